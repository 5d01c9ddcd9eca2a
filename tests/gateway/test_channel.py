from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from protocols.errors import PeerClosed, PeerViolation
from proxy.gateway.channel import SocketChannel
from proxy.gateway.inbox import INBOX_LIMIT
from proxy.gateway.plain import Side
from proxy.gateway.poller import READ, Poller, Watched
from proxy.gateway.tls import NoTls, ServerTls
from tests.hostile.raw import unverified_context
from tests.servers.certificates import Certificates


@pytest.fixture
def tls(certificates: Certificates) -> ServerTls:
    return ServerTls(
        certificates.certificate("server"), certificates.key("server"), "intermediate", None
    )


Pair = tuple[socket.socket, socket.socket]


async def test_not_a_byte_more_is_read_than_was_asked_for(pair: Pair, poller: Poller):
    ours, peer = pair
    channel = SocketChannel(ours, NoTls(), poller, is_server=True)
    peer.sendall(b"exactly and the rest")
    assert await channel.read_exactly(7) == b"exactly"
    assert ours.recv(100) == b" and the rest"
    channel.abandon()


async def test_a_peek_waits_for_all_it_asks_for_and_takes_nothing(pair: Pair, poller: Poller):
    ours, peer = pair
    channel = SocketChannel(ours, NoTls(), poller, is_server=True)
    peer.sendall(b"ab")
    peeking = asyncio.create_task(channel.peek(4))
    await asyncio.wait({peeking}, timeout=0)
    assert not peeking.done()
    peer.sendall(b"cdef")
    async with asyncio.timeout(40):
        assert await peeking == b"abcd"
    assert channel.has_unread()
    assert await channel.read_exactly(6) == b"abcdef"
    assert not channel.has_unread()
    channel.abandon()


@pytest.mark.parametrize("sent", [b"", b"abc"])
async def test_a_peer_that_leaves_early_is_told_as_that(pair: Pair, sent: bytes, poller: Poller):
    ours, peer = pair
    channel = SocketChannel(ours, NoTls(), poller, is_server=True)
    peer.sendall(sent)
    peer.close()
    async with asyncio.timeout(40):
        with pytest.raises(PeerClosed):
            await channel.peek(4)
        with pytest.raises(PeerClosed):
            await channel.read_exactly(4)
    channel.abandon()
    with pytest.raises(PeerClosed):
        await channel.read_exactly(1)


async def test_what_was_written_goes_out_with_the_next_wait(pair: Pair, poller: Poller):
    ours, peer = pair
    channel = SocketChannel(ours, NoTls(), poller, is_server=True)
    channel.write(b"one")
    channel.write(b"two")
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(100)
    peer.settimeout(10)
    peer.sendall(b"x")
    await channel.read_exactly(1)
    assert peer.recv(100) == b"onetwo"
    channel.abandon()


async def test_last_words_arrive_though_the_peer_was_still_sending(pair: Pair, poller: Poller):
    ours, peer = pair
    channel = SocketChannel(ours, NoTls(), poller, is_server=True)
    # Unread bytes at a close make the kernel send RST, which overtakes what was written.
    peer.sendall(b"x" * 100_000)
    await asyncio.gather(channel.close(b"last words"), asyncio.to_thread(_read_words, peer))


def _read_words(peer: socket.socket) -> None:
    received = b""
    while data := peer.recv(100):
        received += data
    assert received == b"last words"
    peer.close()


async def test_closing_is_bounded_where_the_peer_does_not_listen(pair: Pair, poller: Poller):
    ours, _ = pair
    channel = SocketChannel(ours, NoTls(), poller, is_server=True)
    async with asyncio.timeout(40):
        await channel.close(b"last words")
    assert ours.fileno() == -1


async def test_tls_is_refused_where_it_is_not_offered(pair: Pair, poller: Poller):
    channel = SocketChannel(pair[0], NoTls(), poller, is_server=True)
    assert not channel.offers_tls
    with pytest.raises(PeerViolation):
        await channel.start_tls()
    channel.abandon()


async def test_a_tls_channel_reads_as_a_plain_one_does(pair: Pair, tls: ServerTls, poller: Poller):
    ours, peer = pair
    channel = SocketChannel(ours, tls, poller, is_server=True)
    assert channel.offers_tls

    def client() -> bytes:
        with unverified_context().wrap_socket(peer, server_hostname="localhost") as wrapped:
            wrapped.sendall(b"hello and the rest")
            return wrapped.recv(100)

    talking = asyncio.create_task(asyncio.to_thread(client))
    async with asyncio.timeout(20):
        await channel.start_tls()
        assert channel.is_encrypted
        assert channel.tls_version in ("TLSv1.2", "TLSv1.3")
        assert channel.cipher
        assert channel.channel_binding is not None
        assert len(channel.channel_binding) == 32
        assert await channel.read_exactly(5) == b"hello"
        assert channel.has_unread()
        channel.write(b"welcome")
        await channel.flush()
        assert await talking == b"welcome"
        with pytest.raises(PeerViolation):
            await channel.start_tls()
    channel.abandon()


async def test_a_handshake_that_fails_closes_the_socket(pair: Pair, tls: ServerTls, poller: Poller):
    ours, peer = pair
    channel = SocketChannel(ours, tls, poller, is_server=True)
    peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(20):
        with pytest.raises(PeerViolation):
            await channel.start_tls()
    assert ours.fileno() == -1


class Canceller(Watched):
    """Cancels a task when its descriptor is ready."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def happened(self, events: int) -> None:
        self._task.cancel()


async def test_a_handshake_cancelled_at_its_very_end_leaves_no_descriptor_watched(
    pair: Pair, tls: ServerTls, poller: Poller
):
    ours, peer = pair
    channel = SocketChannel(ours, tls, poller, is_server=True)
    starting = asyncio.create_task(channel.start_tls())
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = unverified_context().wrap_bio(received, sent, server_hostname="localhost")
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(20):
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                await loop.sock_sendall(peer, sent.read())
                received.write(await loop.sock_recv(peer, 65_536))
        mine, other = socket.socketpair()
        poller.watch(mine.fileno(), Canceller(starting), READ)
        # Both at once: the handshake is over, and before anybody has noticed it is cancelled.
        peer.send(sent.read())
        other.send(b"x")
        with pytest.raises(asyncio.CancelledError):
            await starting
    assert ours.fileno() == -1
    # Its number is the next connection's, which somebody else must not be told of, or forget.
    assert len(poller) == 1
    poller.forget(mine.fileno())
    mine.close()
    other.close()


async def test_what_nobody_asked_for_is_bounded_and_handed_over(
    pair: Pair, tls: ServerTls, poller: Poller
):
    ours, peer = pair
    channel = SocketChannel(ours, tls, poller, is_server=True)
    total = 4 * INBOX_LIMIT

    def client() -> ssl.SSLSocket:
        wrapped = unverified_context().wrap_socket(peer, server_hostname="localhost")
        wrapped.sendall(b"x" * total)
        return wrapped

    class Sink(Side):
        def __init__(self) -> None:
            self.received = 0
            self.is_all = asyncio.Event()

        def data_received(self, data: bytes) -> None:
            self.take(len(data))

        def take(self, count: int) -> None:
            self.received += count
            if self.received >= total:
                self.is_all.set()

    talking = asyncio.create_task(asyncio.to_thread(client))
    async with asyncio.timeout(20):
        await channel.start_tls()
        await channel.read_exactly(1)
        sink = Sink()
        transport, early = await channel.hand_over(sink)
        sink.take(1 + len(early))
        assert len(early) <= 2 * INBOX_LIMIT
        await sink.is_all.wait()
        wrapped = await talking
    transport.abort()
    wrapped.close()
