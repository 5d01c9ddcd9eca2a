"""A statement that we had stopped: our reason in the place of the server's."""

from __future__ import annotations

from protocols.errors import Reason, Refusal
from tests.protocols.mysql.conversation import (
    ROW,
    Slicing,
    Talk,
    answer,
    err,
    ok,
    query,
    three_slicings,
)

STOPPED = Refusal(Reason.STATEMENT_TIMEOUT, "it ran for too long (limits.statement_seconds)")
INTERRUPTED = err(1317, b"70100")


@three_slicings
def test_a_query_is_told_our_reason(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(query(b"SELECT 1") + query(b"SELECT 2"))
    talk.sink.stopped = STOPPED
    said = talk.server(answer(INTERRUPTED) + answer(INTERRUPTED))
    assert said.count(STOPPED.public.encode()) == 1
    assert said.endswith(answer(INTERRUPTED))
    assert said[3] == 1
    assert said[4:13] == b"\xff\x25\x05#70100"
    assert [outcome for _, _, outcome in talk.told] == ["failed", "failed"]
    talk.finish()


@three_slicings
def test_in_the_middle_of_rows_the_error_has_the_next_number(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(query(b"SELECT 1"))
    rows = answer(*talk.rows(ROW)[:-1])
    talk.sink.stopped = STOPPED
    error = answer(*talk.rows(ROW)[:-1], INTERRUPTED)[len(rows) :]
    said = talk.server(rows + error)
    assert said.startswith(rows)
    assert said[len(rows) + 3] == error[3]
    assert STOPPED.public.encode() in said
    talk.finish()


@three_slicings
def test_any_other_error_and_end_is_the_servers(slicing: Slicing):
    talk = Talk(slicing)
    talk.sink.stopped = STOPPED
    for end in (err(1064, b"42000"), ok()):
        talk.client(query(b"SELECT 1"))
        assert talk.scanner.oldest is talk.scanner.oldest is not None
        assert talk.server(answer(end)) == answer(end)
        assert talk.scanner.oldest is None
    talk.finish()
