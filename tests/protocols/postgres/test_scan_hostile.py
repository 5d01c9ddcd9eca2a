"""Servers and clients that do not keep to the protocol."""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import PeerViolation
from protocols.interface import ScanLimits
from protocols.postgres.scan import PostgresScanner
from protocols.statements import Outcome
from tests.protocols.postgres.conversation import (
    BOUND,
    CALLED,
    CLOSED,
    COPY_DONE,
    COPY_IN,
    COPY_OUT,
    DESCRIBED,
    EMPTY,
    FLUSH,
    NO_DATA,
    PARAMETERS,
    PARSED,
    READY,
    ROW,
    SUSPENDED,
    SYNC,
    TERMINATE,
    Recorder,
    Slicing,
    Talk,
    bind,
    close,
    complete,
    copy_fail,
    data,
    describe,
    error,
    execute,
    function,
    message,
    notice,
    parse,
    query,
    ready,
    setting,
    three_slicings,
    unnamed,
)

ANSWERS = {
    "PARSED": PARSED,
    "BOUND": BOUND,
    "CLOSED": CLOSED,
    "NO_DATA": NO_DATA,
    "PARAMETERS": PARAMETERS,
    "DESCRIBED": DESCRIBED,
    "ROW": ROW,
    "COMPLETE": complete(b"SELECT 1"),
    "SUSPENDED": SUSPENDED,
    "EMPTY": EMPTY,
    "COPY_IN": COPY_IN,
    "COPY_OUT": COPY_OUT,
    "COPY_DATA": data(),
    "COPY_DONE": COPY_DONE,
    "CALLED": CALLED,
    "READY": READY,
}
# What each message of the client may be answered by, first.
PAIRS = {
    "query": (
        query(b"select 1"),
        # A server that answers with ReadyForQuery alone is none that we know, yet harmless.
        [
            "DESCRIBED",
            "ROW",
            "COMPLETE",
            "EMPTY",
            "COPY_IN",
            "COPY_OUT",
            "COPY_DATA",
            "COPY_DONE",
            "READY",
        ],
    ),
    "parse": (parse(b"select 1"), ["PARSED"]),
    "bind": (bind(), ["BOUND"]),
    "describe": (describe(), ["PARAMETERS", "DESCRIBED", "NO_DATA"]),
    "execute": (
        execute(),
        ["ROW", "COMPLETE", "EMPTY", "SUSPENDED", "COPY_IN", "COPY_OUT", "COPY_DATA", "COPY_DONE"],
    ),
    "close statement": (close(b"s"), ["CLOSED"]),
    "close portal": (close(b"p", b"P"), ["CLOSED"]),
    "sync": (SYNC, ["READY"]),
    "function": (function(1), ["CALLED", "READY"]),
    "flush": (FLUSH, []),
    "copy data": (data(), []),
    "copy done": (COPY_DONE, []),
    "copy fail": (copy_fail(), []),
    "nothing": (b"", []),
}


@three_slicings
@pytest.mark.parametrize("sent", PAIRS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_each_message_has_its_answers_and_no_others(slicing: Slicing, sent: str, answer: str):
    client, allowed = PAIRS[sent]
    talk = Talk(slicing)
    assert talk.client(client) == client
    if answer in allowed:
        assert talk.server(ANSWERS[answer]) == ANSWERS[answer]
    else:
        with pytest.raises(PeerViolation):
            talk.server(ANSWERS[answer])
    talk.close()


@pytest.mark.parametrize("sent", PAIRS)
def test_an_error_may_answer_anything(sent: str):
    talk = Talk()
    talk.client(PAIRS[sent][0])
    assert talk.server(error()) == error()
    talk.close()
    assert all(each.outcome is Outcome.FAILED for each in talk.sink.ended)


@pytest.mark.parametrize("code", [*b"RKvWpQPBXFf\0\xff"])
@three_slicings
def test_a_message_that_no_running_session_knows_is_refused(slicing: Slicing, code: int):
    talk = Talk(slicing)
    talk.client(query(b"select 1"))
    with pytest.raises(PeerViolation):
        talk.server(message(bytes([code]), b"\0\0\0\0"))


@pytest.mark.parametrize(
    "bad",
    [
        message(b"Z"),
        message(b"Z", b"X"),
        message(b"Z", b"II"),
        message(b"Z", b"I" * 5000),
        message(b"C"),
        message(b"C", b"SELECT 1"),
        message(b"S", b"name"),
        message(b"S", b"n" * 5000),
    ],
)
@three_slicings
def test_a_malformed_answer_is_refused(slicing: Slicing, bad: bytes):
    talk = Talk(slicing)
    talk.client(query(b"select 1"))
    with pytest.raises(PeerViolation):
        talk.server(bad)


@pytest.mark.parametrize(
    "odd",
    [
        message(b"E"),
        message(b"E", b"\0"),
        message(b"E", b"C"),
        message(b"E", b"C42601"),
        message(b"E", b"S\0\0"),
        message(b"E", b"\xff" * 3000),
        message(b"E", b"M" + b"x" * 3000 + b"\0C42601\0\0"),
    ],
)
@three_slicings
def test_an_odd_error_is_an_error_all_the_same(slicing: Slicing, odd: bytes):
    talk = Talk(slicing)
    talk.passes(query(b"select 1"), odd + READY)
    assert talk.last.outcome is Outcome.FAILED
    assert talk.last.code == "XX000"
    talk.finish()


@three_slicings
def test_two_answers_to_one_message_are_out_of_step(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(unnamed(b"select 1"), SYNC)
    with pytest.raises(PeerViolation):
        talk.server(PARSED, PARSED)
    talk = Talk(slicing)
    talk.client(query(b"select 1"))
    with pytest.raises(PeerViolation):
        talk.server(complete(b"SELECT 1"), READY, READY)


@three_slicings
def test_a_server_that_goes_on_after_a_fatal_error_breaks_the_protocol(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(query(b"select 1"))
    talk.server(error(b"57P01", b"FATAL"), notice())
    with pytest.raises(PeerViolation, match="after a fatal error"):
        talk.server(complete(b"SELECT 1"))
    talk.close()
    assert talk.last.outcome is Outcome.FAILED


@pytest.mark.parametrize("answer", [SUSPENDED, EMPTY, COPY_IN, READY])
def test_a_copy_ends_as_copies_do(answer: bytes):
    talk = Talk()
    talk.client(unnamed(b"copy t from stdin"), FLUSH)
    talk.server(PARSED, BOUND, COPY_IN)
    with pytest.raises(PeerViolation):
        talk.server(answer)
    talk.close()
    assert talk.last.outcome is Outcome.INTERRUPTED
    talk = Talk()
    talk.client(query(b"copy t from stdin"))
    talk.server(COPY_IN)
    with pytest.raises(PeerViolation):
        talk.server(READY)
    talk.close()
    assert talk.last.outcome is Outcome.INTERRUPTED


def test_a_server_that_never_answers_fills_no_memory():
    limits = ScanLimits()
    scanner = PostgresScanner(Recorder(), limits)
    tracemalloc.start()
    number = 0
    while not scanner.is_crowded:
        number += 1
        scanner.from_client(unnamed(b"%08d" % number + b"x" * 100_000), 0.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 60 <= number <= 70
    assert peak < 10_000_000


def test_a_server_that_says_yes_to_everything_fills_no_memory():
    talk = Talk()
    talk.passes(query(b"begin"), complete(b"BEGIN") + ready(b"T"))
    refused = 0
    tracemalloc.start()
    for number in range(500):
        portal = bind(b"p%d" % number)
        talk.client(parse(b"%08d" % number + b"x" * 60_000))
        is_sent = talk.client(portal) == portal
        refused += not is_sent
        talk.client(SYNC)
        if is_sent:
            talk.server(PARSED, BOUND, ready(b"T"))
        else:
            talk.server(PARSED, error(), ready(b"T"))
        talk.sink.begun.clear()
        talk.sink.ended.clear()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > 100
    assert peak < 30_000_000


# --- any bytes at all ----------------------------------------------------------------

CLIENT = [
    query(b"select 1"),
    query(b""),
    query(b"x" * 100),
    parse(b"select 1"),
    parse(b"select 2", b"s"),
    bind(),
    bind(b"p", b"s"),
    execute(),
    execute(b"p", 1),
    describe(),
    close(b"s"),
    close(b"p", b"P"),
    function(1),
    data(),
    COPY_DONE,
    copy_fail(),
    SYNC,
    SYNC,
    FLUSH,
    TERMINATE,
    b"Q\0\0\0",
    b"\0",
]
SERVER = [
    *ANSWERS.values(),
    READY,
    ready(b"T"),
    ready(b"E"),
    error(),
    error(),
    error(b"", b"FATAL"),
    error(text=b"x" * 2000),
    notice(),
    setting(b"client_encoding", b"UTF8"),
    complete(b"DEALLOCATE"),
    complete(b"DISCARD ALL"),
    b"D\0\0\0",
    b"\0",
]

somebody = st.lists(
    st.one_of(
        st.tuples(st.just("client"), st.one_of(st.sampled_from(CLIENT), st.binary(max_size=30))),
        st.tuples(st.just("server"), st.one_of(st.sampled_from(SERVER), st.binary(max_size=30))),
    ),
    max_size=60,
)


def says_anything(moves: list[tuple[str, bytes]], refused: bytes) -> None:
    recorder = Recorder(refused)
    scanner = PostgresScanner(recorder, ScanLimits(text=20, prepared=3, outstanding=10))
    try:
        for side, stream in moves:
            say = scanner.from_client if side == "client" else scanner.from_server
            assert len(say(stream, 0.0)) <= 2500 + len(stream) * 20
            assert scanner.client_message_remaining >= 0
            assert isinstance(scanner.is_idle, bool)
            if scanner.is_idle:
                assert not scanner.has_outstanding
    except PeerViolation:
        pass
    scanner.close(1.0)
    assert sorted(map(id, recorder.begun)) == sorted(map(id, recorder.ended))


@settings(max_examples=500, deadline=None)
@given(somebody, st.sampled_from([b"", b"select", b"1"]))
def test_any_bytes_from_either_side_end_in_a_violation_or_not_at_all(
    moves: list[tuple[str, bytes]], refused: bytes
):
    says_anything(moves, refused)


def test_long_disorder_ends_in_a_violation_or_not_at_all():
    chance = Random(7)
    for _ in range(800):
        moves = [
            ("client", chance.choice(CLIENT[:-5]))
            if chance.random() < 0.5
            else ("server", chance.choice(SERVER[:-2]))
            for _ in range(40)
        ]
        says_anything(moves, chance.choice([b"", b"", b"select"]))


def test_long_half_order_ends_every_record_once():
    # Answers come only where some are owed, so that the disorder comes later.
    chance = Random(11)
    for _ in range(600):
        recorder = Recorder(chance.choice([b"", b"select 2"]))
        scanner = PostgresScanner(recorder, ScanLimits(prepared=3, outstanding=10))
        try:
            for _ in range(60):
                scanner.from_client(chance.choice(CLIENT[:-3]), 0.0)
                for _ in range(chance.randint(0, 3)):
                    if scanner.has_outstanding:
                        scanner.from_server(chance.choice(SERVER[:-2]), 0.0)
        except PeerViolation:
            pass
        scanner.close(1.0)
        assert sorted(map(id, recorder.begun)) == sorted(map(id, recorder.ended))
