from __future__ import annotations

import struct

import pytest

from protocols.channel import MemoryChannel, run
from protocols.errors import PeerClosed, PeerViolation
from protocols.postgres.framing import (
    SASL_LIMIT,
    SERVER_LIMITS,
    STARTUP_LIMIT,
    Message,
    read_sasl_message,
    read_server_message,
    read_startup_packet,
)


@pytest.mark.parametrize("length", [0, 3, 4, 7, -1, -(2**31), STARTUP_LIMIT + 5, 2**31 - 1])
def test_a_startup_packet_of_an_impossible_length_is_refused_by_its_length_alone(length: int):
    channel = MemoryChannel(struct.pack("!i", length))
    with pytest.raises(PeerViolation, match="invalid length of startup packet"):
        run(read_startup_packet(channel))


@pytest.mark.parametrize("length", [4, STARTUP_LIMIT])
def test_the_smallest_and_the_largest_startup_packet_are_read(length: int):
    channel = MemoryChannel(struct.pack("!i", length + 4) + b"x" * length + b"next")
    assert run(read_startup_packet(channel)) == b"x" * length
    assert channel.incoming == b"next"


@pytest.mark.parametrize("length", [-1, 0, 3, SASL_LIMIT + 1, 2**31 - 1])
def test_a_sasl_message_of_an_impossible_length_is_refused_by_its_length_alone(length: int):
    with pytest.raises(PeerViolation, match="invalid length"):
        run(read_sasl_message(MemoryChannel(b"p" + struct.pack("!i", length))))


@pytest.mark.parametrize("code", [b"Q", b"X", b"P", b"\0", b"F"])
def test_a_client_that_sends_something_else_than_its_password_is_refused(code: bytes):
    with pytest.raises(PeerViolation, match="expected SASL response"):
        run(read_sasl_message(MemoryChannel(code + b"\0\0\0\4")))


@pytest.mark.parametrize("code", list(SERVER_LIMITS))
def test_each_server_message_has_its_own_bound(code: bytes):
    limit = SERVER_LIMITS[code]
    within = MemoryChannel(code + struct.pack("!i", limit) + b"x" * (limit - 4))
    assert run(read_server_message(within)) == Message(code, b"x" * (limit - 4))
    for length in (limit + 1, 3, 0, -1, 2**31 - 1):
        with pytest.raises(PeerViolation):
            run(read_server_message(MemoryChannel(code + struct.pack("!i", length))))


@pytest.mark.parametrize("code", [b"T", b"D", b"C", b"A", b"G", b"H", b"W", b"\0", b"\xff"])
def test_a_server_message_that_has_no_place_in_a_login_is_refused(code: bytes):
    with pytest.raises(PeerViolation, match="no place in a login"):
        run(read_server_message(MemoryChannel(code + b"\0\0\0\4")))


@pytest.mark.parametrize(
    ("read", "whole"),
    [
        (read_startup_packet, b"\0\0\0\x0aabcdef"),
        (read_sasl_message, b"p\0\0\0\x07abc"),
        (read_server_message, b"R\0\0\0\x08\0\0\0\0"),
    ],
)
def test_a_message_cut_anywhere_is_a_closed_connection(read, whole: bytes):
    for end in range(len(whole)):
        with pytest.raises(PeerClosed):
            run(read(MemoryChannel(whole[:end])))
