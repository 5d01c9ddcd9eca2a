"""A connected socket that no transport has yet: read and written straight from the kernel.

Never a byte more is read than was asked for: what follows stays in the kernel, for a TLS
handshake or a relay. Where nothing is there the poller tells when something is, at the edge
(epoll(7)): a wait costs no call to begin it or to end it. One task at a time.
Must never know a protocol; deadlines are the caller's.
"""

from __future__ import annotations

import asyncio
import socket

import cython

from protocols.errors import PeerClosed
from proxy.gateway.poller import EDGE, READ, WRITE, Poller, Watched

if cython.compiled:
    from cython.cimports.proxy.gateway.syscalls import receive, send
else:
    from proxy.gateway.syscalls import receive, send

_DRAIN = 4096


class RawSocket(Watched):
    """One non-blocking socket's, which it owns until ``let_go``."""

    def __init__(self, sock: socket.socket, poller: Poller) -> None:
        self._sock = sock
        self._poller = poller
        self._wanted = 0
        self._waiter: asyncio.Future[None] | None = None

    def happened(self, events: int) -> None:
        """Whoever waits tries again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def peek_now(self, count: int) -> bytes | None:
        """What is here of the next ``count`` bytes; b"" for a closed peer, None for nothing yet."""
        try:
            return self._sock.recv(count, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    async def peek(self, count: int) -> bytes:
        """Wait for ``count`` bytes without taking them. Raises PeerClosed."""
        sock = self._sock
        data = self.peek_now(count)
        if data is None and count == 1:
            await self._wait(READ)
            data = self.peek_now(count)
        elif data is None or 0 < len(data) < count:
            # Be told when all of them are here (SO_RCVLOWAT, socket(7)), not of each. A close
            # is told of, too.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
            try:
                await self._wait(READ)
            finally:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            data = self.peek_now(count)
        if data is None or len(data) < count:
            raise PeerClosed("the peer closed the connection")
        return data

    async def read_exactly(self, count: int) -> bytes:
        """Take ``count`` bytes. Raises PeerClosed."""
        data = b""
        while len(data) < count:
            part = self._receive(count - len(data))
            if part is None:
                await self._wait(READ)
            elif part:
                data = data + part if data else part
            else:
                raise PeerClosed("the peer closed the connection")
        return data

    async def send(self, data: bytes) -> None:
        """Have the kernel take all of it. Raises PeerClosed."""
        sent = 0
        while True:
            try:
                # By number, asked for each time: a closed socket has none, and its old one may
                # be another's.
                sent += send(self._sock.fileno(), data, sent)
            except OSError as error:
                raise PeerClosed("the peer closed the connection") from error
            if sent == len(data):
                return
            await self._wait(READ | WRITE)

    async def drain(self) -> None:
        """Say that nothing more comes, and drop what the peer says until it ends, too.

        Raises PeerClosed, OSError.
        """
        self._sock.shutdown(socket.SHUT_WR)
        while (data := self._receive(_DRAIN)) != b"":
            if data is None:
                await self._wait(READ)

    def let_go(self) -> socket.socket:
        """The socket, for somebody else to watch."""
        self._forget()
        return self._sock

    def close(self) -> None:
        """Close at once."""
        self._forget()
        self._sock.close()

    def _receive(self, count: int) -> bytes | None:
        """At most ``count`` bytes that are here; b"" at the peer's end, None for nothing yet."""
        try:
            data: bytes | None = receive(self._sock.fileno(), count)
        except OSError as error:
            raise PeerClosed("the peer closed the connection") from error
        return data

    async def _wait(self, events: int) -> None:
        """Until the descriptor may have become ready since it last was not."""
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        try:
            if events != self._wanted:
                self._watch(events)
            await waiter
        except OSError as error:
            raise PeerClosed("the peer closed the connection") from error
        finally:
            self._waiter = None

    def _watch(self, events: int) -> None:
        before, self._wanted = self._wanted, events
        if before == 0:
            self._poller.watch(self._sock.fileno(), self, events | EDGE)
        else:
            self._poller.change(self._sock.fileno(), events | EDGE)

    def _forget(self) -> None:
        if self._wanted:
            self._wanted = 0
            self._poller.forget(self._sock.fileno())
