from __future__ import annotations

import pytest

from protocols.channel import MemoryChannel, run
from protocols.errors import PeerClosed, PeerViolation
from protocols.mysql.framing import LOGIN_LIMIT, MAX_PAYLOAD, Packets, frame


def test_both_sides_count_with_one_number():
    channel = MemoryChannel(frame(b"a", 0) + frame(b"b", 2))
    packets = Packets(channel)
    assert run(packets.receive()) == b"a"
    packets.send(b"x")
    assert run(packets.receive()) == b"b"
    packets.send(b"y")
    assert channel.sent == frame(b"x", 1) + frame(b"y", 3)


def test_the_number_wraps():
    packets = Packets(MemoryChannel(frame(b"", 255) + frame(b"z", 0)), 255)
    assert run(packets.receive()) == b""
    assert run(packets.receive()) == b"z"


@pytest.mark.parametrize("sequence", [0, 2, 255])
def test_a_packet_out_of_order_is_refused(sequence: int):
    with pytest.raises(PeerViolation, match="out of order"):
        run(Packets(MemoryChannel(frame(b"a", sequence)), 1).receive())


def test_a_length_is_refused_before_its_bytes_are_awaited():
    announced = (LOGIN_LIMIT + 1).to_bytes(3, "little") + b"\0"
    with pytest.raises(PeerViolation, match="too long"):
        run(Packets(MemoryChannel(announced)).receive())


@pytest.mark.parametrize("size", range(5))
def test_a_packet_cut_short_is_a_closed_connection(size: int):
    with pytest.raises(PeerClosed):
        run(Packets(MemoryChannel(frame(b"ab", 0)[:size])).receive())


def test_a_long_payload_is_not_framed_as_one_packet():
    with pytest.raises(ValueError, match="several packets"):
        frame(bytes(MAX_PAYLOAD), 0)
