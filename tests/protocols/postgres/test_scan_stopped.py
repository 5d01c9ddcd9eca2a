"""A statement that we had stopped: our reason in the place of the server's."""

from __future__ import annotations

from protocols.errors import Reason, Refusal
from protocols.postgres.refuse import refusal_message
from tests.protocols.postgres.conversation import (
    BOUND,
    PARSED,
    RAN,
    READY,
    ROW,
    SYNC,
    Slicing,
    Talk,
    error,
    query,
    ready,
    three_slicings,
    unnamed,
)

STOPPED = Refusal(Reason.STATEMENT_TIMEOUT, "it ran for too long (limits.statement_seconds)")
SAID = refusal_message(STOPPED, is_fatal=False)
CANCELED = error(b"57014", text=b"canceling statement due to user request")


@three_slicings
def test_a_query_is_told_our_reason(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(query(b"SELECT 1"))
    talk.sink.stopped = STOPPED
    assert talk.server(ROW + CANCELED + READY) == ROW + SAID + READY
    assert talk.told == [("simple", b"SELECT 1", "failed")]
    assert talk.last.code == "57014"
    talk.passes(query(b"SELECT 2"), CANCELED + READY)
    talk.finish()


@three_slicings
def test_in_a_pipeline_the_one_that_was_stopped_is_told(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(unnamed(b"a") + unnamed(b"b") + unnamed(b"c") + SYNC)
    assert talk.server(RAN) == RAN
    talk.sink.stopped = STOPPED
    answer = PARSED + BOUND
    assert talk.server(answer + CANCELED + READY) == answer + SAID + READY
    outcomes = [(text, outcome) for _, text, outcome in talk.told]
    assert outcomes == [(b"a", "succeeded"), (b"b", "failed"), (b"c", "skipped")]
    talk.finish()


@three_slicings
def test_a_commit_that_was_stopped_is_told(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(unnamed(b"a") + SYNC)
    assert talk.server(RAN) == RAN
    talk.sink.stopped = STOPPED
    assert talk.server(CANCELED + READY) == SAID + READY
    assert talk.told == [("execute", b"a", "failed")]
    talk.finish()


@three_slicings
def test_any_other_error_and_end_is_the_servers(slicing: Slicing):
    talk = Talk(slicing)
    talk.sink.stopped = STOPPED
    talk.passes(query(b"SELECT 1 / 0"), error(b"22012") + READY)
    talk.client(query(b"BEGIN"))
    assert talk.scanner.oldest is talk.scanner.oldest is not None
    talk.server(ready(b"T"))
    assert talk.scanner.oldest is None
