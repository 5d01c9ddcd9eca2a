from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import pytest

from proxy.gateway.plain import CHUNK, SMALL, PlainTransport, Side
from proxy.gateway.poller import READ, Poller, Watched

Pair = tuple[socket.socket, socket.socket]
SECONDS = 20


class Remembering(Side):
    """Keeps what it is told; ``changed`` is set by each call."""

    def __init__(self) -> None:
        self.data = b""
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.changed = asyncio.Event()
        self.raises: Exception | None = None

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self.changed.set()

    def data_received(self, data: bytes) -> None:
        if self.raises is not None:
            raise self.raises
        self.data += data
        self._note("data")

    def eof_received(self) -> None:
        self._note("eof")

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self._note("lost")

    async def until(self, call: str) -> None:
        async with asyncio.timeout(SECONDS):
            while call not in self.calls:
                self.changed.clear()
                await self.changed.wait()

    async def until_data(self, size: int) -> None:
        async with asyncio.timeout(SECONDS):
            while len(self.data) < size:
                self.changed.clear()
                await self.changed.wait()


def _reset(peer: socket.socket) -> None:
    """Close so that the kernel sends a reset (SO_LINGER of 0, socket(7))."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def _fill(transport: PlainTransport) -> int:
    """Write until the kernel takes no more and some waits; how much was written."""
    piece = b"x" * CHUNK
    written = 0
    while transport.get_write_buffer_size() < 4 * CHUNK:
        transport.write(piece)
        written += len(piece)
    return written


async def test_what_the_peer_sends_is_received_and_what_is_written_arrives(
    pair: Pair, poller: Poller
):
    side = Remembering()
    transport = PlainTransport(poller, pair[0], side)
    pair[1].sendall(b"question")
    await side.until_data(8)
    transport.write(b"answer")
    assert (side.data, pair[1].recv(100)) == (b"question", b"answer")
    transport.abort()
    await side.until("lost")


@pytest.mark.parametrize("size", [1, SMALL - 1, SMALL, SMALL + 1, CHUNK, 5 * CHUNK + 17])
async def test_every_size_arrives_whole_and_in_order(pair: Pair, poller: Poller, size: int):
    side = Remembering()
    transport = PlainTransport(poller, pair[0], side)
    data = bytes(range(256)) * (size // 256 + 1)
    sending = asyncio.create_task(asyncio.to_thread(pair[1].sendall, data[:size]))
    await side.until_data(size)
    await sending
    assert side.data == data[:size]
    transport.abort()
    await side.until("lost")


async def test_the_peers_end_closes_after_all_it_said(pair: Pair, poller: Poller):
    side = Remembering()
    transport = PlainTransport(poller, pair[0], side)
    pair[1].sendall(b"last words")
    pair[1].close()
    await side.until("lost")
    assert (side.data, side.calls[-2:], side.error) == (b"last words", ["eof", "lost"], None)
    assert transport.is_closing()
    assert pair[0].fileno() == -1
    assert len(poller) == 0


async def test_a_paused_transport_reads_nothing_until_it_is_resumed(pair: Pair, poller: Poller):
    side, other = Remembering(), Remembering()
    transport = PlainTransport(poller, pair[0], side)
    transport.pause_reading()
    assert not transport.is_reading()
    pair[1].sendall(b"early")
    # Another connection of the same poller is served meanwhile.
    left, right = socket.socketpair()
    left.setblocking(False)
    second = PlainTransport(poller, left, other)
    right.sendall(b"now")
    await other.until_data(3)
    assert side.data == b""
    transport.resume_reading()
    await side.until_data(5)
    right.close()
    for each in (transport, second):
        each.abort()
    await side.until("lost")


async def test_a_peer_that_does_not_take_is_told_of_and_gets_everything_in_the_end(
    pair: Pair, poller: Poller
):
    side = Remembering()
    transport = PlainTransport(poller, pair[0], side)
    transport.set_write_buffer_limits(high=2 * CHUNK, low=CHUNK)
    written = _fill(transport)
    assert side.calls == ["pause"]
    transport.close()

    def read_all() -> int:
        total = 0
        while data := pair[1].recv(CHUNK):
            total += len(data)
        return total

    reading = asyncio.create_task(asyncio.to_thread(read_all))
    await side.until("lost")
    assert side.calls == ["pause", "resume", "lost"]
    assert await reading == written


async def test_an_abort_drops_what_waits(pair: Pair, poller: Poller):
    side = Remembering()
    transport = PlainTransport(poller, pair[0], side)
    _fill(transport)
    transport.abort()
    assert transport.get_write_buffer_size() == 0
    transport.write(b"nobody hears this")
    await side.until("lost")
    assert side.calls.count("lost") == 1


@pytest.mark.parametrize("is_paused", [False, True])
async def test_a_reset_ends_the_connection_also_while_it_is_not_read(
    pair: Pair, poller: Poller, is_paused: bool
):
    side = Remembering()
    transport = PlainTransport(poller, pair[0], side)
    if is_paused:
        transport.pause_reading()
    _reset(pair[1])
    await side.until("lost")
    assert transport.is_closing()


async def test_what_was_said_before_the_end_is_read_though_writing_fails(
    pair: Pair, poller: Poller
):
    # A server that ends a session says why and closes; a statement sent meanwhile meets a
    # reset, and what the server said must not be lost to that.
    side = Remembering()
    transport = PlainTransport(poller, pair[0], side)
    transport.pause_reading()
    transport.write(b"unread by the peer")
    pair[1].sendall(b"FATAL 57P01")
    transport.resume_reading()
    pair[1].close()
    while not transport.is_closing():
        transport.write(b"one more statement")
        async with asyncio.timeout(SECONDS):
            side.changed.clear()
            await side.changed.wait()
    await side.until("lost")
    assert side.data == b"FATAL 57P01"


async def test_a_side_that_fails_loses_its_connection_and_nobody_elses(pair: Pair, poller: Poller):
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: told.append(context))
    side, other = Remembering(), Remembering()
    side.raises = RuntimeError("a bug")
    PlainTransport(poller, pair[0], side)
    left, right = socket.socketpair()
    left.setblocking(False)
    second = PlainTransport(poller, left, other)
    pair[1].sendall(b"x")
    right.sendall(b"y")
    await side.until("lost")
    await other.until_data(1)
    assert side.error is side.raises
    assert [context["exception"] for context in told] == [side.raises]
    right.close()
    second.abort()
    await other.until("lost")


async def test_a_closed_transport_is_not_read_again(pair: Pair, poller: Poller):
    side = Remembering()
    transport = PlainTransport(poller, pair[0], side)
    transport.close()
    transport.resume_reading()
    assert not transport.is_reading()
    await side.until("lost")
    assert side.data == b""


class Asking(Remembering):
    """Asks each time it is told something whether a transport is quiet then."""

    def __init__(self) -> None:
        super().__init__()
        self.of: PlainTransport | None = None
        self.answers: list[bool] = []

    def data_received(self, data: bytes) -> None:
        assert self.of is not None
        self.answers.append(self.of.is_quiet())
        super().data_received(data)


async def test_what_was_read_to_its_end_is_quiet_while_the_loop_serves_what_it_found(
    pair: Pair, poller: Poller
):
    ours, peer = pair
    side = Asking()
    transport = side.of = PlainTransport(poller, ours, side)
    peer.sendall(b"x")
    await side.until_data(1)
    assert side.answers == [True]
    # Who asks at another moment cannot know.
    assert not transport.is_quiet()
    peer.sendall(b"x" * SMALL)
    await side.until_data(1 + SMALL)
    assert side.answers == [True, False]
    transport.abort()
    await side.until("lost")


async def test_nothing_is_quiet_that_the_loop_has_still_to_serve(pair: Pair, poller: Poller):
    ours, peer = pair
    with socket.create_server(("127.0.0.1", 0)) as listener:
        second_peer = socket.create_connection(listener.getsockname())
        second, _ = listener.accept()
    second.setblocking(False)
    one, other = Asking(), Asking()
    transport = other.of = PlainTransport(poller, ours, one)
    one.of = PlainTransport(poller, second, other)
    for end in (peer, second_peer):
        end.sendall(b"x")
    await one.until_data(1)
    await other.until_data(1)
    # Both were found at once, and whoever came first asked about the second.
    one.answers.clear()
    other.answers.clear()
    for end in (second_peer, peer):
        end.sendall(b"x")
    await one.until_data(2)
    await other.until_data(2)
    assert (other.answers, one.answers) == ([False], [True])
    for each, side in ((transport, one), (one.of, other)):
        each.abort()
        await side.until("lost")
    second_peer.close()


async def test_what_was_not_read_meanwhile_is_not_quiet(pair: Pair, poller: Poller):
    ours, peer = pair
    side = Asking()
    transport = side.of = PlainTransport(poller, ours, side)
    peer.sendall(b"x")
    await side.until_data(1)
    asked: list[bool] = []

    class Other(Watched):
        def happened(self, events: int) -> None:
            asked.append(transport.is_quiet())
            reader.recv(1)
            if len(asked) == 1:
                transport.pause_reading()
                transport.resume_reading()
            side.changed.set()

    reader, writer = socket.socketpair()
    other = Other()
    poller.watch(reader.fileno(), other, READ)
    for count in (1, 2):
        writer.send(b"x")
        async with asyncio.timeout(SECONDS):
            while len(asked) < count:
                side.changed.clear()
                await side.changed.wait()
    assert asked == [True, False]
    poller.forget(reader.fileno())
    reader.close()
    writer.close()
    transport.abort()
    await side.until("lost")
