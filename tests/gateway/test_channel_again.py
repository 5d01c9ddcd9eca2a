"""A connection that was handed to a relay, taken back, and handed over again."""

from __future__ import annotations

import asyncio
import socket

import pytest

from protocols.errors import PeerClosed
from proxy.gateway.channel import SocketChannel
from proxy.gateway.plain import Side
from proxy.gateway.poller import Poller
from proxy.gateway.tls import NoTls
from tests.servers.waiting import eventually

Pair = tuple[socket.socket, socket.socket]


class Relayed(Side):
    """A relay's side: what it has been given."""

    def __init__(self) -> None:
        self.data = b""
        self.is_lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True


@pytest.fixture
async def channel(pair: Pair, poller: Poller) -> SocketChannel:
    """A channel whose relay has let go of it."""
    made = SocketChannel(pair[0], NoTls(), poller, is_server=False)
    transport, _ = await made.hand_over(Relayed())
    transport.pause_reading()
    made.take_back()
    return made


async def test_it_can_be_talked_over_again(channel: SocketChannel, pair: Pair):
    peer = pair[1]
    channel.write(b"question")
    peer.sendall(b"answer and more")
    async with asyncio.timeout(40):
        assert await channel.read_exactly(6) == b"answer"
        assert channel.has_unread()
        assert await channel.read_exactly(9) == b" and more"
    assert not channel.has_unread()
    assert peer.recv(100) == b"question"
    assert not channel.is_encrypted
    channel.abandon()


async def test_the_next_relay_gets_what_comes_then(channel: SocketChannel, pair: Pair):
    second = Relayed()
    transport, early = await channel.hand_over(second)
    assert early == b""
    pair[1].sendall(b"for the second")
    await eventually(lambda: second.data == b"for the second")
    transport.abort()
    await eventually(lambda: second.is_lost)


async def test_it_is_quiet_until_the_peer_says_something(channel: SocketChannel, pair: Pair):
    assert channel.is_quiet
    pair[1].sendall(b"!")
    # Read or not: nothing has run since.
    await eventually(lambda: not channel.is_quiet)
    channel.abandon()


async def test_it_is_not_quiet_when_the_peer_has_gone(channel: SocketChannel, pair: Pair):
    pair[1].close()
    await eventually(lambda: not channel.is_quiet)
    with pytest.raises(PeerClosed):
        await channel.read_exactly(1)
    channel.abandon()


@pytest.mark.parametrize("is_leaving", [True, False])
async def test_whatever_the_peer_does_is_told_to_who_watches(
    channel: SocketChannel, pair: Pair, is_leaving: bool
):
    told: list[str] = []
    channel.watch(lambda: told.append("stirred"))
    if is_leaving:
        pair[1].close()
    else:
        pair[1].sendall(b"!")
    await eventually(lambda: bool(told))
    channel.abandon()


async def test_parting_is_said_before_the_connection_closes(channel: SocketChannel, pair: Pair):
    channel.part(b"goodbye")
    await asyncio.sleep(0)
    peer = pair[1]
    assert peer.recv(100) == b"goodbye"
    assert peer.recv(100) == b""
