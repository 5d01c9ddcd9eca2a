from __future__ import annotations

import asyncio
import socket

import pytest

from protocols.errors import PeerClosed
from proxy.gateway.poller import Poller
from proxy.gateway.raw import RawSocket

Pair = tuple[socket.socket, socket.socket]


async def test_bytes_that_come_one_by_one_are_read_as_one(pair: Pair, poller: Poller):
    ours, peer = pair
    raw = RawSocket(ours, poller)
    reading = asyncio.create_task(raw.read_exactly(4))
    for byte in (b"a", b"b", b"c"):
        peer.sendall(byte)
        await asyncio.wait({reading}, timeout=0.01)
        assert not reading.done()
    peer.sendall(b"d and more")
    async with asyncio.timeout(40):
        assert await reading == b"abcd"
    assert raw.peek_now(100) == b" and more"
    raw.close()


async def test_what_came_before_the_first_wait_and_between_two_is_not_missed(
    pair: Pair, poller: Poller
):
    ours, peer = pair
    raw = RawSocket(ours, poller)
    peer.sendall(b"here already")
    async with asyncio.timeout(40):
        assert await raw.read_exactly(12) == b"here already"
        waiting = asyncio.create_task(raw.read_exactly(3))
        await asyncio.sleep(0)
        peer.sendall(b"onetwo")
        assert await waiting == b"one"
        # Told of together with the first three, and nothing tells of them again.
        assert await raw.read_exactly(3) == b"two"
    raw.close()


async def test_a_peek_of_one_byte_leaves_it_for_the_read_behind_it(pair: Pair, poller: Poller):
    ours, peer = pair
    raw = RawSocket(ours, poller)
    peeking = asyncio.create_task(raw.peek(1))
    await asyncio.sleep(0)
    peer.sendall(b"xyz")
    async with asyncio.timeout(40):
        assert await peeking == b"x"
        assert await raw.read_exactly(3) == b"xyz"
    raw.close()


async def test_a_peer_that_leaves_in_the_middle_is_told_as_that(pair: Pair, poller: Poller):
    ours, peer = pair
    raw = RawSocket(ours, poller)
    reading = asyncio.create_task(raw.read_exactly(4))
    await asyncio.sleep(0)
    peer.sendall(b"abc")
    peer.close()
    async with asyncio.timeout(40):
        with pytest.raises(PeerClosed):
            await reading
        with pytest.raises(PeerClosed):
            await raw.peek(2)
    raw.close()


async def test_more_than_the_kernel_takes_at_once_is_sent_as_the_peer_reads(
    pair: Pair, poller: Poller
):
    ours, peer = pair
    raw = RawSocket(ours, poller)
    data = bytes(range(256)) * 40_000

    def read_all() -> bytes:
        received = b""
        while len(received) < len(data):
            received += peer.recv(1 << 20)
        return received

    async with asyncio.timeout(30):
        received, _ = await asyncio.gather(asyncio.to_thread(read_all), raw.send(data))
        assert received == data
        peer.sendall(b"answer")
        assert await raw.read_exactly(6) == b"answer"
    raw.close()


async def test_a_socket_that_was_let_go_or_closed_is_watched_no_more(pair: Pair, poller: Poller):
    ours, peer = pair
    before = len(poller)
    raw = RawSocket(ours, poller)
    waiting = asyncio.create_task(raw.read_exactly(1))
    await asyncio.sleep(0)
    assert len(poller) == before + 1
    peer.sendall(b"x")
    async with asyncio.timeout(40):
        await waiting
    assert raw.let_go() is ours
    assert len(poller) == before
    again = RawSocket(ours, poller)
    waiting = asyncio.create_task(again.read_exactly(1))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    again.close()
    assert len(poller) == before
    assert ours.fileno() == -1
