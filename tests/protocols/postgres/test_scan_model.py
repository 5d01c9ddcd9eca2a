"""Random conversations with a model of the server, cut at random places."""

from __future__ import annotations

import os
from dataclasses import dataclass
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.interface import ScanLimits
from protocols.postgres.scan import PostgresScanner
from protocols.statements import Via
from tests.protocols.postgres.conversation import (
    COPY_DONE,
    FLUSH,
    SYNC,
    Recorder,
    bind,
    close,
    copy_fail,
    data,
    describe,
    execute,
    function,
    messages,
    parse,
    query,
    unnamed,
)
from tests.protocols.postgres.model_server import ModelServer

EXAMPLES = int(os.environ.get("ACCODE_TEST_EXAMPLES", "400"))

names = st.sampled_from([b"", b"", b"a", b"b"])
words = st.sampled_from(
    [
        b"",
        b"rows 0",
        b"rows 3",
        b"insert 2",
        b"copy out 2",
        b"begin",
        b"commit",
        b"rollback",
        b"fail",
        b"bad",
    ]
)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Words that are told apart: no two Parses of a conversation make the same text."""
    word = draw(words)
    if word.startswith((b"rows", b"insert")):
        return word.split(b" ")[0] + b" " + b"%d" % draw(st.integers(0, 9))
    return word


@st.composite
def copies(draw: st.DrawFn) -> bytes:
    """A COPY FROM STDIN from its statement to the Sync that is sure to be read."""
    text = b"copy in %d" % draw(st.integers(0, 3))
    sent = b""
    for part in draw(st.lists(st.sampled_from([data(), data(), SYNC, FLUSH]), max_size=5)):
        sent += part
    end = draw(st.sampled_from([COPY_DONE, copy_fail()]))
    if draw(st.booleans()):
        # Nothing random may run it again: it would need its own end.
        return unnamed(text) + sent + end + SYNC + close()
    before = draw(st.sampled_from([b"", b"rows 2;", b"bad;"]))
    after = draw(st.sampled_from([b"", b";rows 1", b";fail"]))
    late = draw(st.sampled_from([b"", COPY_DONE, data(), SYNC]))
    return query(before + text + after) + sent + end + late


client_messages = st.one_of(
    texts().map(query),
    st.builds(lambda first, second: query(first + b";" + second), texts(), texts()),
    texts().map(unnamed),
    texts().map(lambda text: unnamed(text) + SYNC),
    st.builds(parse, texts(), names),
    st.builds(bind, names, names),
    st.builds(execute, names, st.integers(0, 3)),
    st.builds(describe, names, st.sampled_from([b"S", b"P"])),
    st.builds(close, names, st.sampled_from([b"S", b"P"])),
    st.just(SYNC),
    st.just(SYNC),
    st.just(FLUSH),
    st.just(function(7)),
    copies(),
)

conversations = st.lists(client_messages, max_size=14)
seeds = st.integers(0, 2**32)


@dataclass
class Run:
    """What came of one conversation."""

    recorder: Recorder
    scanner: PostgresScanner
    server: ModelServer
    to_server: bytes
    from_server: bytes
    to_client: bytes


def converse(sent: bytes, seed: int, recorder: Recorder, limits: ScanLimits) -> Run:
    """Carry ``sent`` to a model server and its answers back, in random pieces and order."""
    scanner = PostgresScanner(recorder, limits)
    server = ModelServer()
    to_server = to_client = b""
    arrived = processed = delivered = 0
    chance = Random(seed)
    largest = chance.choice([3, 20, 400, 100_000])
    while True:
        can = []
        if arrived < len(sent):
            can.append("client")
        if processed < len(to_server):
            can.append("process")
        if delivered < len(server.said):
            can.append("server")
        if not can:
            break
        move = chance.choice(can)
        step = chance.randint(1, largest)
        if move == "client":
            to_server += scanner.from_client(sent[arrived : arrived + step], 1.0)
            arrived = min(arrived + step, len(sent))
        elif move == "process":
            server.take(to_server[processed : processed + step])
            processed = min(processed + step, len(to_server))
        else:
            part = server.said[delivered : delivered + step]
            to_client += scanner.from_server(part, 2.0)
            delivered += len(part)
        assert len(recorder.begun) >= len(recorder.ended)
    return Run(recorder, scanner, server, to_server, server.said, to_client)


def ran(run: Run) -> list[tuple[bytes, int, str]]:
    """The records of what ran, as the server would tell them."""
    return [
        (each.text, each.rows, str(each.outcome))
        for each in run.recorder.ended
        if each.via is not Via.PREPARE and str(each.outcome) in ("succeeded", "suspended")
    ]


def ends_well(run: Run) -> None:
    assert not run.scanner.has_outstanding
    run.scanner.close(3.0)
    begun, ended = run.recorder.begun, run.recorder.ended
    assert sorted(map(id, begun)) == sorted(map(id, ended))


often = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@often
@given(conversations, seeds)
def test_every_conversation_is_carried_unchanged_and_told_as_it_ran(
    conversation: list[bytes], seed: int
):
    # The last Sync ends what is still being skipped or kept back.
    sent = b"".join(conversation) + SYNC
    run = converse(sent, seed, Recorder(), ScanLimits())
    assert run.to_server == sent
    assert run.to_client == run.from_server
    told = [
        (text, rows, "succeeded" if outcome == "ok" else outcome)
        for text, rows, outcome in run.server.ran
        if outcome != "failed"
    ]
    assert ran(run) == told
    failed = [each.text for each in run.recorder.ended if str(each.outcome) == "failed"]
    for text, _, outcome in run.server.ran:
        if outcome == "failed":
            assert text in failed
    ends_well(run)


@often
@given(conversations, seeds)
def test_what_is_refused_never_reaches_the_server_and_every_answer_has_its_place(
    conversation: list[bytes], seed: int
):
    sent = b"".join(conversation) + SYNC
    # A refused COPY leaves its data behind, which the server ignores.
    run = converse(sent, seed, Recorder(b"rows"), ScanLimits())
    assert b"rows" not in run.to_server
    assert b"accode" not in run.to_client
    heads = b"".join(part[:1] for part in messages(run.to_client))
    assert heads == b"".join(part[:1] for part in messages(run.from_server))
    assert all(b"rows" not in text for text, _, _ in run.server.ran)
    for each in run.recorder.ended:
        assert (each.code == "42501") == (str(each.outcome) == "refused")
        if b"rows" in each.text:
            assert str(each.outcome) in ("refused", "skipped")
    assert ran(run) == [
        (text, rows, "succeeded" if outcome == "ok" else outcome)
        for text, rows, outcome in run.server.ran
        if outcome != "failed"
    ]
    ends_well(run)


@often
@given(conversations, st.integers(0, 3000), seeds)
def test_a_session_may_end_anywhere(conversation: list[bytes], end: int, seed: int):
    sent = b"".join(conversation)[:end]
    run = converse(sent, seed, Recorder(), ScanLimits())
    run.scanner.close(3.0)
    begun, ended = run.recorder.begun, run.recorder.ended
    assert sorted(map(id, begun)) == sorted(map(id, ended))


@often
@given(conversations, seeds)
def test_small_limits_change_no_more_than_they_must(conversation: list[bytes], seed: int):
    limits = ScanLimits(text=4, outstanding=8)
    sent = b"".join(conversation) + SYNC
    run = converse(sent, seed, Recorder(), limits)

    def without_flushes(stream: bytes) -> bytes:
        return b"".join(part for part in messages(stream) if part != FLUSH)

    assert without_flushes(run.to_server) == without_flushes(sent)
    assert run.to_client == run.from_server
    assert all(
        len(each.text) <= 4 or each.text_length == 0
        for each in run.recorder.ended
        if each.via is not Via.FUNCTION
    )
    ends_well(run)
