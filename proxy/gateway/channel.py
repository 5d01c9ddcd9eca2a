"""One socket during its login: a ``protocols.channel.Channel`` over the event loop.

Before TLS it reads straight from the socket and never a byte more than asked, so that
whatever the peer sends behind its request for TLS stays in the kernel, for the TLS
handshake. After TLS, or when the login is done, the socket belongs to a transport.
It must never know a protocol; deadlines are the caller's.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Callable
from traceback import clear_frames
from typing import Any, Protocol, cast

import aiofastnet

from protocols.errors import PeerClosed, PeerViolation
from proxy.gateway.inbox import Inbox
from proxy.gateway.layer import Layer
from proxy.gateway.plain import PlainTransport, Side
from proxy.gateway.poller import PolledLoop, Poller
from proxy.gateway.raw import RawSocket

# OpenSSL's buffers between socket and session, per direction. A TLS record carries at
# most 16 KiB; smaller buffers cost system calls, larger ones idle memory.
BIO_SIZE = 17 * 1024

# A write buffer above this pauses the other side's reading: two of the largest chunks
# the event loop reads at once. A welcome has at most 200 KiB.
WRITE_HIGH = 512 * 1024
WRITE_LOW = 128 * 1024

# How long a TLS handshake may take; the phase's own deadline is usually shorter.
HANDSHAKE_SECONDS = 30.0
# How long we wait for the peer's close_notify; it tells us nothing we need.
SHUTDOWN_SECONDS = 1.0
# How long a peer may take to read a refusal before the connection is cut.
LINGER_SECONDS = 1.0


class TlsStarter(Protocol):
    """How this side of the channel does TLS; see ``tls``."""

    @property
    def context(self) -> ssl.SSLContext | None:
        """The context, or None where TLS is not offered."""
        ...

    @property
    def server_hostname(self) -> str | None:
        """As a client: the name to send and check. As a server: None."""
        ...

    def check(self, connection: ssl.SSLObject) -> None:
        """Look at the finished handshake; raises Refusal."""
        ...

    def binding(self, connection: ssl.SSLObject) -> bytes | None:
        """The tls-server-end-point value, or None where it is undefined."""
        ...


class SocketChannel:
    """A Channel over a connected, non-blocking socket, which it owns until handed over.

    What was handed over may be taken back, and handed over again.
    """

    def __init__(
        self, sock: socket.socket, tls: TlsStarter, poller: Poller, *, is_server: bool
    ) -> None:
        self._raw: RawSocket | None = RawSocket(sock, poller)
        self._tls = tls
        self._poller = poller
        self._is_server = is_server
        self._out = bytearray()
        self._transport: asyncio.Transport | None = None
        self._inbox: Inbox | None = None
        self._binding: bytes | None = None
        self._lent: asyncio.Transport | None = None
        self.tls_version = ""
        self.cipher = ""

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is up."""
        return bool(self.tls_version)

    @property
    def offers_tls(self) -> bool:
        """Whether ``start_tls`` can work."""
        return self._tls.context is not None

    @property
    def channel_binding(self) -> bytes | None:
        """The tls-server-end-point value, once TLS is up."""
        return self._binding

    async def peek(self, count: int) -> bytes:
        """Wait for ``count`` bytes of plaintext without taking them."""
        raw = self._plain()
        await self.flush()
        return await raw.peek(count)

    async def read_exactly(self, count: int) -> bytes:
        """Send what was written, then take ``count`` bytes."""
        if self._out:
            await self.flush()
        inbox = self._inbox
        if inbox is not None:
            # A login is some thirty of these, and most are here already.
            if len(inbox.data) < count:
                await inbox.wait(count)
            data = bytes(inbox.data[:count])
            del inbox.data[:count]
            return data
        return await self._plain().read_exactly(count)

    def write(self, data: bytes) -> None:
        """Queue bytes until the next wait."""
        self._out += data

    async def flush(self) -> None:
        """Give what was written to the kernel or the TLS transport."""
        if not self._out:
            return
        data = bytes(self._out)
        self._out.clear()
        if self._transport is not None:
            self._transport.write(data)
            return
        await self._plain().send(data)

    async def start_tls(self) -> None:
        """Shake hands. Raises PeerViolation (as server), Refusal, or ssl.SSLError (as client)."""
        context = self._tls.context
        if context is None or self._transport is not None:
            raise PeerViolation("TLS is not offered here")
        raw = self._plain()
        await self.flush()
        sock = raw.let_go()
        self._raw = None
        inbox = Inbox()
        # To its types a Side is no asyncio.Protocol; it has all of one's methods.
        mailbox: Any = inbox
        # To its types a whole event loop; it calls no more of it than is there.
        loop: Any = PolledLoop(self._poller, asyncio.get_running_loop())
        try:
            if self._is_server:
                transport, _ = await aiofastnet.connect_accepted_socket(
                    loop,
                    lambda: mailbox,
                    sock,
                    ssl=context,
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                    ssl_shutdown_timeout=SHUTDOWN_SECONDS,
                    ssl_incoming_bio_size=BIO_SIZE,
                    ssl_outgoing_bio_size=BIO_SIZE,
                )
            else:
                transport, _ = await aiofastnet.create_connection(
                    loop,
                    lambda: mailbox,
                    sock=sock,
                    ssl=context,
                    server_hostname=self._tls.server_hostname or "",
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                    ssl_shutdown_timeout=SHUTDOWN_SECONDS,
                    ssl_incoming_bio_size=BIO_SIZE,
                    ssl_outgoing_bio_size=BIO_SIZE,
                )
        except (ssl.SSLError, OSError, TimeoutError) as error:
            sock.close()
            # They hold the transport, which holds the error: a cycle for each failed handshake.
            clear_frames(error.__traceback__)
            if self._is_server:
                raise PeerViolation("the TLS handshake failed") from error
            raise
        except asyncio.CancelledError:
            # Of a handshake that was over already the transport goes on: it would be told of
            # the next connection that gets this descriptor's number.
            inbox.abort()
            sock.close()
            raise
        # Above anything a login writes: an Inbox that was told to pause could not hand
        # that on, and the relay would never hear that the peer does not take.
        transport.set_write_buffer_limits(high=WRITE_HIGH, low=WRITE_LOW)
        self._transport = transport
        self._inbox = inbox
        connection = transport.get_extra_info("ssl_object")
        self.tls_version = connection.version() or ""
        cipher = connection.cipher()
        self.cipher = cipher[0] if cipher else ""
        self._tls.check(connection)
        self._binding = self._tls.binding(connection)

    def has_unread(self) -> bool:
        """Whether bytes of the peer wait that nobody asked for."""
        if self._inbox is not None:
            return bool(self._inbox.data)
        return bool(self._plain().peek_now(1))

    async def hand_over(
        self, side: Side, layer: Layer | None = None
    ) -> tuple[asyncio.Transport, bytes]:
        """Give the connection to the relay: its transport, and bytes it has to see first.

        ``side`` gets ``connection_made`` in either case. ``layer`` stands in between, and
        unwraps the first bytes like all others: then none are returned.
        """
        if layer is not None:
            _, rest = await self.hand_over(layer.around(side))
            layer.data_received(rest)
            return cast(asyncio.Transport, layer), b""
        await self.flush()
        if self._transport is not None and self._inbox is not None:
            transport, inbox = self._transport, self._inbox
            if inbox.is_closed:
                raise PeerClosed("the peer closed the connection")
            self._transport = None
            self._lent = transport
            rest = inbox.hand_over()
            transport.set_protocol(cast(asyncio.BaseProtocol, side))
            side.connection_made(transport)
            return transport, rest
        sock = self._plain().let_go()
        # While it can fail, the socket is still ours to close.
        plain = cast(asyncio.Transport, PlainTransport(self._poller, sock, side))
        self._raw = None
        self._lent = plain
        side.connection_made(plain)
        return plain, b""

    @property
    def is_lent(self) -> bool:
        """Whether it was handed over, and not taken back."""
        return self._lent is not None

    def take_back(self) -> None:
        """Have the connection again after its relay has let go of it."""
        transport = self._lent
        assert transport is not None, "only what was handed over is taken back"
        self._lent = None
        self._inbox = inbox = Inbox()
        self._transport = transport
        inbox.connection_made(transport)
        transport.set_protocol(cast(asyncio.BaseProtocol, inbox))
        # The relay may have held it for a client that did not take.
        if not transport.is_closing():
            transport.resume_reading()

    def watch(self, on_stir: Callable[[], None] | None) -> None:
        """While nobody uses it: tell of whatever the peer does. None: no longer."""
        assert self._inbox is not None, "only what was taken back is watched"
        self._inbox.on_stir = on_stir

    @property
    def is_quiet(self) -> bool:
        """Whether the connection stands and the peer has said nothing, read or unread."""
        transport, inbox = self._transport, self._inbox
        if transport is None or inbox is None or inbox.is_closed or inbox.data:
            return False
        sock = transport.get_extra_info("socket")
        return not transport.is_closing() and sock is not None and not _is_ready(sock.fileno())

    def part(self, last_words: bytes) -> None:
        """Say them and close, without waiting for anything; after ``take_back``."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(last_words)
        self.abandon(is_flushing=True)

    async def close(self, last_words: bytes = b"") -> None:
        """Say the last words, let the peer read them, and close; bounded in time.

        Closing a socket that has unread bytes resets it, and a reset overtakes the last
        words; so what the peer still sends is read and dropped for a moment.
        """
        self.write(last_words)
        is_speaking = bool(self._out)
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await self.flush()
                if self._raw is not None and is_speaking:
                    await self._raw.drain()
        except (OSError, PeerClosed, TimeoutError):
            # The peer is gone or does not listen: nothing is left to say.
            pass
        finally:
            # With close_notify even where nothing was said: to libpq, a cancel request's
            # connection that ends without one is a cancel that failed.
            inbox = self._inbox if self._transport is not None else None
            self.abandon(is_flushing=True)
            if inbox is not None:
                # The transport gives up after SHUTDOWN_SECONDS, if the peer does not answer.
                await inbox.is_lost.wait()

    def abandon(self, *, is_flushing: bool = False) -> None:
        """Close at once; with ``is_flushing`` TLS may still send what was written."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None
        if self._transport is not None:
            transport = self._transport
            self._transport = None
            if is_flushing and not transport.is_closing():
                transport.close()
                asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.abort)
            else:
                transport.abort()

    def _plain(self) -> RawSocket:
        if self._raw is None:
            raise PeerClosed("the peer closed the connection")
        return self._raw


def _is_ready(fd: int) -> bool:
    """Whether something can be read there, an end or an error included."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
