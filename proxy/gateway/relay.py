"""Bytes both ways: one read and one write per direction and wake-up, nothing per row.

Each side is what its connection calls; the scanner looks at what passes. Backpressure is
mutual: a side that does not take pauses the other side's reading, so a session holds at
most one chunk and a write buffer per direction, whatever its peers do. Knows no
protocol: the scanner does.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from time import monotonic
from typing import cast

import cython

from protocols.errors import PeerViolation, Reason, Refusal
from protocols.scanner import Scanner
from proxy.audit.pressure import Pressure
from proxy.gateway.channel import WRITE_HIGH, WRITE_LOW
from proxy.gateway.plain import PlainTransport, Side
from proxy.metrics.metrics import Metrics

if cython.compiled:
    from cython.cimports.proxy.gateway.syscalls import now as clock
else:
    from proxy.gateway.syscalls import now as clock

# How long a session that was cut in the middle of a message waits for that message's
# end, to put its reason behind it; and how long a peer has to take what is buffered.
CUT_SECONDS = 0.25
FLUSH_SECONDS = 5.0
# How long what a client has left running may go on where its source's connection is to be
# kept: after a goodbye until it is stopped, and once it was stopped until the connection is
# closed after all.
GOODBYE_SECONDS = 5.0
STOPPING_SECONDS = 5.0

_BY_CLIENT = "closed by the client"

# Why the client is not read, as bits.
SOURCE_FULL = 1
CROWDED = 2
AUDIT_FULL = 4
CANCELLING = 8


class ClientSide(Side):
    """What the client's connection calls."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client's connection is the relay's from now on."""
        self._relay.has_client(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        """The client has said something."""
        self._relay.from_client(data)

    def pause_writing(self) -> None:
        """The client does not take: read the source no further."""
        self._relay.client_is_full()

    def resume_writing(self) -> None:
        """The client takes again."""
        self._relay.client_has_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._relay.client_is_gone()


class SourceSide(Side):
    """What the data source's connection calls."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The data source's connection is the relay's from now on."""
        self._relay.has_source(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        """The data source has said something."""
        self._relay.from_source(data)

    def pause_writing(self) -> None:
        """The source does not take: read the client no further."""
        self._relay.hold(SOURCE_FULL)

    def resume_writing(self) -> None:
        """The source takes again."""
        self._relay.release(SOURCE_FULL)

    def eof_received(self) -> None:
        """The source says no more."""
        self._relay.source_has_ended()

    def connection_lost(self, exc: Exception | None) -> None:
        """The source is gone."""
        self._relay.source_is_gone()


class Relay:
    """One session's bytes, from its welcome to its end.

    ``active`` is when bytes last passed (monotonic seconds). ``finished`` resolves with
    the word for the log: why the session ended. ``reason`` is set where we ended it.
    ``on_broken`` is called before the relay ends a session of its own accord because of
    what its client sent: what still runs at the data source is then to be stopped.
    ``keep``: takes the data source's connection, where the client has ended the session and
    left it reusable; None: it is closed in any case. It is told whether a transaction is open.
    """

    def __init__(
        self,
        scanner: Scanner,
        congestion: Pressure,
        metrics: Metrics,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.scanner = scanner
        self.client_side = ClientSide(self)
        self.source_side = SourceSide(self)
        self.finished: asyncio.Future[str] = loop.create_future()
        self.active = monotonic()
        self.bytes_from_client = 0
        self.bytes_from_source = 0
        self.reason: Refusal | None = None
        self.on_broken: Callable[[], None] = _nothing
        self.keep: Callable[[bool], None] | None = None
        self._congestion = congestion
        self._metrics = metrics
        self._client: asyncio.Transport | None = None
        self._source: asyncio.Transport | None = None
        # The same, where they are in plaintext: written to without a look-up.
        self._plain_client: PlainTransport | None = None
        self._plain_source: PlainTransport | None = None
        self._held = 0
        self._is_closing = False
        self._is_draining = False
        self._is_leaving = False
        self._early = b""
        self._word = ""
        self._cutting: Refusal | None = None
        self._cut_remaining = 0
        self._timer: asyncio.TimerHandle | None = None

    def has_source(self, source: asyncio.Transport) -> None:
        """The data source's connection is here. It comes first."""
        self._source = source
        self._plain_source = _plain(source)
        source.set_write_buffer_limits(high=WRITE_HIGH, low=WRITE_LOW)

    def wait_for_client(self) -> None:
        """Read the source no further until the client is here: a flood waits in the kernel.

        Not done in ``has_source``: TLS transports begin to read after ``connection_made``.
        """
        self.client_is_full()

    def has_client(self, client: asyncio.Transport) -> None:
        """The client's connection is here, with its welcome written."""
        self._client = client
        self._plain_client = _plain(client)
        client.set_write_buffer_limits(high=WRITE_HIGH, low=WRITE_LOW)
        if self._is_closing:
            # Cut, or left by the source, while the client was on its way here.
            if self.reason is not None:
                self._speak(self.reason)
            client.close()
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, client.abort)
            return
        # First: what is early may fill the client, and then this must not be undone.
        self.client_has_room()
        early, self._early = self._early, b""
        if early:
            self.from_source(early)

    # -- the hot path -----------------------------------------------------------------

    def from_client(self, data: bytes) -> None:
        """Bytes of the client: judge, then send on what may go."""
        source = self._source
        if self._is_closing or self._cutting is not None or source is None:
            # Also while the client's last message ends: behind a chunk that was refused the
            # scanner no longer knows where the client's messages begin at the server.
            return
        self.active = now = clock()
        size = len(data)
        self.bytes_from_client += size
        self._metrics.bytes_from_client += size
        scanner = self.scanner
        try:
            data = scanner.from_client(data, now)
        except (PeerViolation, Refusal) as error:
            self._broken(error)
            return
        if scanner.has_said_goodbye and self.keep is not None:
            data = self._without_goodbye(data)
        if data:
            if self._plain_source is not None:
                self._plain_source.write(data)
            else:
                source.write(data)
        if scanner.is_crowded:
            self.hold(CROWDED)
        if self._congestion.is_congested():
            self._wait_for_audit()
        if scanner.has_said_goodbye and not scanner.has_outstanding:
            self._close(_BY_CLIENT)

    def from_source(self, data: bytes) -> None:
        """Bytes of the data source: account, then send on."""
        client = self._client
        if client is None or self._is_closing:
            if self._is_leaving:
                self._take_unheard(data)
            elif not self._is_closing:
                # What was read before the hand-over, for the client to come.
                self._early += data
            return
        if self._cutting is not None:
            self._cut_short(data)
            return
        self.active = now = clock()
        size = len(data)
        self.bytes_from_source += size
        self._metrics.bytes_from_source += size
        scanner = self.scanner
        try:
            data = scanner.from_server(data, now)
        except PeerViolation as violation:
            self._broken_source(violation, data)
            return
        if data:
            if self._plain_client is not None:
                self._plain_client.write(data)
            else:
                client.write(data)
        if self._held & CROWDED and not scanner.is_crowded:
            self.release(CROWDED)
        if scanner.has_said_goodbye and not scanner.has_outstanding:
            # Only now: to close a socket on unread answers resets the connection, and with
            # it goes what the source has not read yet.
            self._close(_BY_CLIENT)
        if self._is_draining and scanner.is_idle and self.reason is not None:
            self.cut(self.reason)

    # -- backpressure -----------------------------------------------------------------

    def client_is_full(self) -> None:
        """Read the source no further."""
        if self._source is not None and not self._source.is_closing():
            self._source.pause_reading()

    def client_has_room(self) -> None:
        """Read the source again."""
        if self._source is not None and not self._source.is_closing():
            self._source.resume_reading()

    def hold(self, cause: int) -> None:
        """Read the client no further, for this cause."""
        if self._held == 0 and self._client is not None and not self._client.is_closing():
            self._client.pause_reading()
        self._held |= cause

    def release(self, cause: int) -> None:
        """This cause is over; read the client again when none is left."""
        if self._held == 0:
            return
        self._held &= ~cause
        if self._held == 0 and self._client is not None and not self._client.is_closing():
            self._client.resume_reading()

    def _wait_for_audit(self) -> None:
        if not self._held & AUDIT_FULL:
            self.hold(AUDIT_FULL)
            self._congestion.on_drained(lambda: self.release(AUDIT_FULL))

    # -- the end ----------------------------------------------------------------------

    def notice_resets(self) -> None:
        """Close a connection that its peer has reset where the event loop did not say so.

        aiofastnet's transports are not watched while they do not read.
        """
        for transport in (self._client, self._source):
            if transport is not None and not transport.is_closing():
                sock = transport.get_extra_info("socket")
                if sock is not None and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    transport.abort()

    @property
    def is_closing(self) -> bool:
        """Whether the session is ending or has ended."""
        return self._is_closing or self._cutting is not None

    def _without_goodbye(self, data: bytes) -> bytes:
        """The client leaves; the connection to the data source is to stay."""
        goodbye = self.scanner.goodbye
        if not data.endswith(goodbye):
            # Not where it is expected: then it is as with any other session.
            self.keep = None
            return data
        return data[: len(data) - len(goodbye)]

    def _leave(self) -> None:
        """The client has gone and the data source still owes answers: wait for them a while.

        What it left running is stopped: at once where it hung up, and where it said goodbye
        behind its last statement only if that does not end by itself.
        """
        self._is_leaving = True
        loop = asyncio.get_running_loop()
        if self.scanner.has_said_goodbye:
            self._timer = loop.call_later(GOODBYE_SECONDS, self._stop)
        else:
            self._stop()
        self.client_has_room()

    def _stop(self) -> None:
        self.on_broken()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(STOPPING_SECONDS, self._close, _BY_CLIENT)

    def _take_unheard(self, data: bytes) -> None:
        """Account for answers that nobody waits for any more."""
        if self._is_closing:
            return
        size = len(data)
        self.bytes_from_source += size
        self._metrics.bytes_from_source += size
        try:
            self.scanner.from_server(data, clock())
        except PeerViolation:
            self.keep = None
            self._close(_BY_CLIENT)
            return
        if not self.scanner.has_outstanding:
            self._close(_BY_CLIENT)

    def drain(self, refusal: Refusal) -> None:
        """End at the next idle point; now, if this is one."""
        if self.is_closing:
            return
        self._is_draining = True
        self.reason = refusal
        if self.scanner.is_idle:
            self.cut(refusal)

    def cut(self, refusal: Refusal) -> None:
        """End now, and tell the client why if that can be done without garbling a message."""
        if self.is_closing:
            return
        self.reason = refusal
        if self._is_leaving:
            # Nobody is there to be told.
            self._close(str(refusal.reason))
            return
        remaining = self.scanner.client_message_remaining
        if remaining == 0:
            self._speak(refusal)
            self._close(str(refusal.reason))
            return
        self._cutting = refusal
        self._cut_remaining = remaining
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(CUT_SECONDS, self._abort, str(refusal.reason))

    def _cut_short(self, data: bytes) -> None:
        """Let the message end that was on its way when the session was cut."""
        refusal = self._cutting
        client = self._client
        if refusal is None or client is None:
            return
        data = data[: self._cut_remaining]
        self._cut_remaining -= len(data)
        client.write(data)
        if self._cut_remaining == 0:
            self._speak(refusal)
            self._close(str(refusal.reason))

    def _broken(self, error: PeerViolation | Refusal) -> None:
        if isinstance(error, PeerViolation):
            error = Refusal(Reason.PROTOCOL_VIOLATION, f"protocol violation: {error}")
        # First: afterwards nobody knows that something runs.
        self.on_broken()
        self.cut(error)

    def _broken_source(self, violation: PeerViolation, data: bytes) -> None:
        self.cut(
            Refusal(
                Reason.SOURCE_LOST,
                "the data source broke the protocol and the session was ended",
                str(violation),
            )
        )
        if self._cutting is not None:
            # The chunk begins with the end of a message that the client has half of.
            self._cut_short(data)

    def _speak(self, refusal: Refusal) -> None:
        self._metrics.refused(refusal.reason)
        if self._client is not None and not self._client.is_closing():
            self._client.write(self.scanner.refusal(refusal))

    def client_is_gone(self) -> None:
        """The client's connection is closed."""
        self._client = self._plain_client = None
        if self._is_closing:
            self._finish_if_over()
            return
        if self.scanner.has_outstanding and self._cutting is None:
            if self.keep is not None:
                self._leave()
                return
            if not self.scanner.has_said_goodbye:
                # A server notices a lost client only when it has something to say.
                self.on_broken()
        self._close(_BY_CLIENT)

    def source_has_ended(self) -> None:
        """The data source says no more; so it will not take what still waits for it.

        To wait until it does would leave a client that sends a long statement without an end.
        """
        if self._source is not None:
            self._source.abort()

    def source_is_gone(self) -> None:
        """The data source's connection is closed; what it said before is still sent."""
        self._source = self._plain_source = None
        if self._is_closing or self._cutting is not None:
            self._close("the data source closed the connection")
            self._finish_if_over()
            return
        if self.scanner.has_said_goodbye or self._is_leaving:
            # It was asked to, or nobody is there: there is nothing to explain.
            self._close(_BY_CLIENT)
            return
        if not self.scanner.is_ended_by_server and self.scanner.client_message_remaining == 0:
            refusal = Refusal(Reason.SOURCE_LOST, "the data source closed the connection")
            self.reason = refusal
            self._speak(refusal)
        self._close("the data source closed the connection")

    def _close(self, word: str) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._word = word
        if word is _BY_CLIENT:
            self._keep_source()
        self.scanner.close(monotonic())
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        for transport in (self._client, self._source):
            if transport is not None and not transport.is_closing():
                transport.close()
        self._timer = loop.call_later(FLUSH_SECONDS, self._abort, word)
        self._finish_if_over()

    def _keep_source(self) -> None:
        """Give the data source's connection away, if it is wanted and fit for it."""
        keep, source = self.keep, self._source
        self.keep = None
        if keep is None or source is None or source.is_closing() or not self.scanner.is_reusable:
            return
        self._source = self._plain_source = None
        keep(self.scanner.is_in_transaction)

    def abort(self) -> None:
        """Close both connections at once: the session did not come to be."""
        self._abort("not started")

    def _abort(self, word: str) -> None:
        """A peer did not take its last bytes in time."""
        if not self._is_closing:
            self._close(word)
        for transport in (self._client, self._source):
            if transport is not None:
                transport.abort()

    def _finish_if_over(self) -> None:
        if self._client is None and self._source is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if not self.finished.done():
                self.finished.set_result(self._word)


def _plain(transport: object) -> PlainTransport | None:
    return transport if isinstance(transport, PlainTransport) else None


def _nothing() -> None:
    pass
