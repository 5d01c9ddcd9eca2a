"""A layer between a fake transport and a fake relay's side; its wrapping is a simple one."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import pytest

from protocols.errors import PeerClosed, PeerViolation, Reason, Refusal
from proxy.gateway.channel import SocketChannel
from proxy.gateway.layer import TURN, Layer, layers
from proxy.gateway.plain import Side
from proxy.gateway.poller import Poller
from proxy.gateway.tls import NoTls
from tests.gateway.fakes import FakeTransport, Wire

PIECE = 64 * 1024


class Doubling:
    """Each byte stands for two; to the peer it is one of every two. ``!`` is a violation."""

    def __init__(self, factor: int = 2) -> None:
        self.factor = factor
        self.held = bytearray()

    def receive(self, data: bytes) -> None:
        self.held += data

    def unwrap(self) -> bytes:
        count = max(1, PIECE // self.factor)
        part = bytes(self.held[:count])
        del self.held[:count]
        if b"!" in part:
            raise PeerViolation("a cry")
        return b"".join(bytes((one,)) * self.factor for one in part)

    def wrap(self, data: bytes) -> bytes:
        return data[:: self.factor]


class Ours(Side):
    """A relay's side: remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.received = b""
        self.transport: object = None
        self.pauses_after = 0
        self.fails = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.fails:
            raise ValueError("a bug")
        self.received += data
        if self.pauses_after and len(self.received) >= self.pauses_after:
            cast(asyncio.Transport, self.transport).pause_reading()

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")


class Leg:
    """A layer with both of its neighbours."""

    def __init__(self, factor: int = 2) -> None:
        self.wrapping = Doubling(factor)
        self.violations: list[PeerViolation] = []
        self.layer = Layer(self.wrapping, self.violations.append)
        self.side = Ours()
        self.layer.around(self.side)
        self.transport = FakeTransport(self.layer)
        self.layer.connection_made(self.transport)

    def is_read(self) -> bool:
        return self.transport.is_read


async def turn() -> None:
    """Until what was due has been done."""
    await asyncio.sleep(0)


async def test_bytes_are_unwrapped_one_way_and_wrapped_the_other():
    leg = Leg()
    assert leg.side.transport is leg.layer
    leg.layer.data_received(b"ab")
    assert leg.side.received == b"aabb"
    leg.layer.write(b"xxyy")
    assert leg.transport.written == b"xy"
    leg.layer.pause_writing()
    leg.layer.resume_writing()
    assert leg.side.told == ["pause", "resume"]


async def test_a_relay_that_takes_no_more_gets_no_more_of_what_is_here():
    leg = Leg(factor=PIECE)
    leg.side.pauses_after = 2 * PIECE
    leg.layer.data_received(b"abcd")
    assert (len(leg.side.received), leg.is_read()) == (2 * PIECE, False)
    # What still arrives waits here as it came.
    leg.layer.data_received(b"e")
    assert bytes(leg.wrapping.held) == b"cde"
    leg.side.pauses_after = 0
    leg.layer.resume_reading()
    assert len(leg.side.received) == 2 * PIECE
    await turn()
    assert (len(leg.side.received), leg.is_read()) == (5 * PIECE, True)


async def test_a_relay_that_paused_while_nothing_was_here_is_obeyed():
    leg = Leg()
    leg.layer.pause_reading()
    assert not leg.is_read()
    leg.layer.resume_reading()
    assert leg.is_read()


async def test_others_have_their_turn_while_much_is_unwrapped():
    leg = Leg(factor=PIECE)
    count = 2 * TURN // PIECE + 1
    leg.layer.data_received(b"x" * count)
    assert (len(leg.side.received), leg.is_read()) == (TURN, False)
    await turn()
    assert (len(leg.side.received), leg.is_read()) == (2 * TURN, False)
    await turn()
    assert (len(leg.side.received), leg.is_read()) == (count * PIECE, True)


async def test_a_relay_that_fails_in_a_later_turn_ends_its_connection():
    # In the transport's own call the transport sees to it; here only the loop would hear of it.
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    leg = Leg(factor=PIECE)
    leg.layer.data_received(b"x" * (TURN // PIECE + 1))
    leg.side.fails = True
    await turn()
    assert leg.transport.aborted.is_set()
    assert [str(one["exception"]) for one in reported] == ["a bug"]


async def test_a_violation_is_told_once_and_nothing_is_read_after_it():
    leg = Leg()
    leg.layer.data_received(b"!")
    leg.layer.data_received(b"ab")
    leg.layer.resume_reading()
    await turn()
    assert [str(one) for one in leg.violations] == ["a cry"]
    assert (leg.side.received, leg.is_read()) == (b"", False)
    # The last word still goes out.
    leg.layer.write(b"xx")
    assert leg.transport.written == b"x"


async def test_a_lost_peers_last_bytes_come_first():
    leg = Leg(factor=PIECE)
    leg.side.pauses_after = PIECE
    leg.layer.data_received(b"ab")
    leg.transport.closed = True
    leg.transport.lose()
    assert (leg.side.told, leg.layer.is_closing()) == ([], False)
    # The socket is closed: nobody may ask it anything, and writing is in vain.
    assert leg.layer.get_extra_info("socket") is None
    leg.layer.write(b"xx")
    leg.side.pauses_after = 0
    leg.layer.resume_reading()
    await turn()
    assert (len(leg.side.received), leg.side.told) == (2 * PIECE, ["lost"])
    assert (leg.layer.is_closing(), leg.transport.written) == (True, b"")


async def test_a_relay_that_closes_does_not_wait_for_a_lost_peers_last_bytes():
    for close in ("close", "abort"):
        leg = Leg(factor=PIECE)
        leg.side.pauses_after = PIECE
        leg.layer.data_received(b"ab")
        leg.transport.closed = True
        leg.transport.lose()
        getattr(leg.layer, close)()
        assert leg.layer.is_closing()
        await turn()
        assert leg.side.told == ["lost"]
        assert len(leg.side.received) == PIECE


async def test_a_peer_that_leaves_with_nothing_waiting_is_gone_at_once():
    leg = Leg()
    leg.layer.data_received(b"a")
    leg.transport.lose()
    assert leg.side.told == ["lost"]


async def test_nothing_arrives_after_the_relay_has_closed():
    leg = Leg()
    leg.layer.close()
    leg.layer.data_received(b"late")
    assert (leg.side.received, leg.transport.closed) == (b"", True)


@pytest.mark.parametrize("which", [0, 1], ids=["client", "source"])
async def test_a_leg_that_breaks_ends_the_session_with_its_reason(which: int):
    cuts: list[Refusal] = []
    pair = layers((Doubling(), Doubling()), cuts.append)
    layer = pair[which]
    assert layer is not None
    layer.around(Ours()).connection_made(FakeTransport())
    layer.data_received(b"!")
    (cut,) = cuts
    assert cut.reason == (Reason.PROTOCOL_VIOLATION, Reason.SOURCE_LOST)[which]
    assert "a cry" in cut.private


def test_a_leg_without_a_wrapping_has_no_layer():
    cuts: list[Refusal] = []
    assert layers((None, None), cuts.append) == (None, None)


async def test_a_real_relay_works_through_layers():
    wire = Wire(has_client=False)
    wrapped = layers((Doubling(), Doubling()), wire.relay.cut)
    client, source = wrapped
    assert client is not None
    assert source is not None
    source.around(wire.relay.source_side).connection_made(wire.source)
    client.around(wire.relay.client_side).connection_made(wire.client)
    client.data_received(b"q")
    source.data_received(b"a")
    assert (wire.source.written, wire.client.written) == (b"q", b"a")
    wire.relay.client_side.pause_writing()
    held = not wire.source.is_read
    wire.relay.client_side.resume_writing()
    assert (held, wire.source.is_read) == (True, True)
    source.data_received(b"!")
    # Wrapped as well: every second letter of the reason.
    assert wire.client.written == b"a" + b"<source_lost>"[::2]
    assert (wire.client.closed, wire.source.closed) == (True, True)


async def test_a_channel_is_handed_over_with_its_layer(poller: Poller):
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    channel = SocketChannel(ours, NoTls(), poller, is_server=True)
    side = Ours()
    layer = Layer(Doubling(), lambda violation: None)
    transport, early = await channel.hand_over(side, layer)
    assert [transport, early, side.transport] == [layer, b"", layer]
    loop = asyncio.get_running_loop()
    peer.setblocking(False)
    await loop.sock_sendall(peer, b"ab")
    async with asyncio.timeout(30):
        while side.received != b"aabb":
            await turn()
        layer.write(b"xxyy")
        assert await loop.sock_recv(peer, 10) == b"xy"
    layer.close()
    async with asyncio.timeout(30):
        while not side.told:
            await turn()
    peer.close()
    with pytest.raises(PeerClosed):
        await channel.hand_over(side, layer)
