"""Bytes that no peer should send: a clean violation, never a crash, never a hang."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import PeerViolation, Reason, Refusal
from protocols.interface import ScanLimits
from tests.protocols.mysql.conversation import (
    BINARY_ROW,
    DEFINITION,
    PING,
    ROW,
    STATISTICS,
    Talk,
    answer,
    both_ends,
    command,
    eof,
    err,
    execute,
    fetch,
    lenenc,
    long_data,
    ok,
    packet,
    prepare,
    prepared,
    query,
)

EXAMPLES = int(os.environ.get("ACCODE_TEST_EXAMPLES", "400"))
REFUSAL = Refusal(Reason.SHUTTING_DOWN, "bye")
LOAD = b"LOAD DATA LOCAL INFILE 'a' INTO TABLE t"

often = settings(max_examples=EXAMPLES, deadline=None)


@pytest.mark.parametrize(
    "body",
    [
        b"\0",
        b"\0\0",
        b"\0\0\0\2\0",
        b"\0\xfe\0\0\0\0\2\0\0\0",
        b"\0\xfb\0\2\0\0\0",
        b"\0\xff\0\2\0\0\0",
        b"\xff",
        b"\xff\0",
        b"\xff\xff\xff\1\1\1\0\0\0x",
        b"\xfe\0\0\2\0",
        b"\xfe",
        b"\xfc\0",
        b"\xfc\0\0",
        b"\xfc\0\0\0",
        b"\xfd\0\0\1",
        b"\xfe\0\0\0\0\0\0\0\1",
        b"\1\1",
        b"\xfb",
        b"\xfb/etc/passwd",
        b"\xff\1\0" + b"x" * 9000,
    ],
)
@both_ends
def test_a_broken_first_packet_of_an_answer_is_a_violation(body: bytes, deprecates: bool):
    talk = Talk(deprecates=deprecates)
    talk.client(query(b"SELECT"))
    with pytest.raises(PeerViolation):
        talk.server(answer(body))


@both_ends
def test_rows_end_in_a_known_way(deprecates: bool):
    for body in (b"\xfe", b"\xfe\0", b"\xfe\0\0\2", b"\xfe\0\0\2\0\0", b"\xfe" + b"\xfe" * 8):
        talk = Talk(deprecates=deprecates)
        talk.client(query(b"SELECT"))
        with pytest.raises(PeerViolation):
            talk.server(answer(*talk.rows(ROW)[:-1], body))


def test_without_deprecate_eof_definitions_end_with_eof():
    for body in (ROW, ok(), ok(0, 2, 0xFE), b"\xfe"):
        talk = Talk(deprecates=False)
        talk.client(query(b"SELECT"))
        with pytest.raises(PeerViolation):
            talk.server(answer(b"\1", DEFINITION, body))


@both_ends
def test_an_answer_to_prepare_is_checked(deprecates: bool):
    for bodies in ([ok()], [b"\0\1\0\0\0\0\0\0\0\0"], [b"\1"], [prepared(1, 1), eof()]):
        talk = Talk(deprecates=deprecates)
        talk.client(prepare(b"SELECT"))
        with pytest.raises(PeerViolation):
            talk.server(answer(*bodies))


def test_rows_that_nobody_asked_for_are_a_violation():
    for sent in (PING, prepare(b"x")):
        talk = Talk()
        talk.client(sent)
        with pytest.raises(PeerViolation):
            talk.server(answer(b"\1", DEFINITION))


def test_an_answer_before_the_command_is_whole_is_a_violation():
    talk = Talk()
    talk.client(query(b"x" * 0x1000000)[:0x1000000])
    with pytest.raises(PeerViolation):
        talk.server(answer(ok()))
    talk = Talk()
    talk.client(query(b"x" * 0x1000000)[:0x1000000])
    last = packet(7, err(1153, b"08S01"))
    assert talk.server(last) == last
    assert talk.scanner.is_ended_by_server


client_parts = st.one_of(
    st.binary(max_size=12),
    st.binary(max_size=12).map(lambda body: packet(0, body)),
    st.builds(packet, st.integers(0, 4), st.binary(max_size=6)),
    st.builds(command, st.integers(0, 255), st.binary(max_size=12)),
    st.sampled_from(
        [
            query(b"SELECT 1"),
            query(LOAD),
            query(b"KILL 1"),
            prepare(b"x"),
            execute(1),
            execute(1, 1),
            execute(0xFFFFFFFF),
            fetch(1),
            long_data(1, b"x"),
            PING,
            STATISTICS,
            command(0x1F),
            command(4, b"t\0"),
        ]
    ),
)
server_bodies = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [
            ok(),
            ok(3, 10),
            ok(0, 0x42, 0xFE),
            ok(0, 2, 0xFE),
            eof(),
            eof(0x42),
            eof(10),
            err(),
            err(1053),
            b"\1",
            b"\2",
            lenenc(300),
            DEFINITION,
            ROW,
            BINARY_ROW,
            b"\xfba",
            prepared(1, 1, 1),
            prepared(1),
            b"\0" * 12,
        ]
    ),
)


moves = st.tuples(st.booleans(), client_parts, st.lists(server_bodies, max_size=6))


@often
@given(
    st.lists(moves, max_size=20),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2),
)
def test_only_violations_are_raised_and_every_record_ends_once(
    turns: list[tuple[bool, bytes, list[bytes]]], deprecates: bool, is_mariadb: bool, shift: int
):
    talk = Talk(
        deprecates=deprecates,
        is_mariadb=is_mariadb,
        local_infile=True,
        refused=b"SELECT",
        limits=ScanLimits(text=20, prepared=3),
        sessions=frozenset({1}),
    )
    for is_client, sent, bodies in turns:
        said = answer(*bodies, sequence=talk.scanner.refusal(REFUSAL)[3])
        try:
            if is_client:
                talk.client(sent)
            elif said:
                cut = max(0, len(said) - shift)
                talk.server(said[:cut])
                talk.server(said[cut:])
        except (PeerViolation, Refusal):
            break
        assert talk.scanner.client_message_remaining >= 0
        assert isinstance(talk.is_idle(), bool)
        assert isinstance(talk.is_crowded(), bool)
    assert 0 <= talk.scanner.refusal(REFUSAL)[3] <= 255
    talk.close()


@often
@given(st.lists(st.binary(max_size=30), max_size=10), st.booleans())
def test_random_bytes_of_the_server_end_in_a_violation_or_wait(
    parts: list[bytes], deprecates: bool
):
    talk = Talk(deprecates=deprecates)
    talk.client(query(b"SELECT"), prepare(b"x"), PING, STATISTICS)
    try:
        for part in parts:
            talk.server(part)
    except PeerViolation:
        pass
    talk.close()


@often
@given(st.lists(st.binary(max_size=30), max_size=10), st.booleans())
def test_random_bytes_of_the_client_end_in_a_violation_or_wait(parts: list[bytes], mariadb: bool):
    talk = Talk(is_mariadb=mariadb)
    try:
        for part in parts:
            talk.client(part)
    except PeerViolation:
        pass
    talk.close()
