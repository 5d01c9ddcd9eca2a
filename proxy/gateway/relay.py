"""Bytes both ways: one read and one write per direction and wake-up, nothing per row.

Each side is what its connection calls; the scanner looks at what passes. Backpressure is
mutual: a side that does not take pauses the other side's reading, so a session holds at
most one chunk and a write buffer per direction, whatever its peers do. Knows no
protocol: the scanner does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import cast

import cython

from protocols.errors import PeerViolation, Refusal
from protocols.scanner import Scanner
from proxy.audit.pressure import Pressure
from proxy.gateway.channel import WRITE_HIGH, WRITE_LOW
from proxy.gateway.ends import BY_CLIENT, FLUSH_SECONDS, Ends, nothing
from proxy.gateway.plain import PlainTransport, Side
from proxy.metrics.metrics import Metrics

if cython.compiled:
    from cython.cimports.proxy.gateway.syscalls import now as clock
else:
    from proxy.gateway.syscalls import now as clock

# Why the client is not read, as bits.
SOURCE_FULL = 1
CROWDED = 2
AUDIT_FULL = 4
CANCELLING = 8
WAITING = 16

# The same, where this is compiled, as C's numbers.
_SOURCE_FULL = SOURCE_FULL
_CROWDED = CROWDED
_WAITING = WAITING


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
    """What the data source's connection calls.

    ``relay`` is whose it is; None while it is nobody's: then ``on_stir`` is called for
    whatever happens.
    """

    def __init__(self, relay: Relay | None) -> None:
        self.relay = relay
        self.on_stir: Callable[[], None] = nothing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The data source's connection is the relay's from now on."""
        if self.relay is not None:
            self.relay.has_source(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        """The data source has said something."""
        if self.relay is None:
            self.on_stir()
        else:
            self.relay.from_source(data)

    def pause_writing(self) -> None:
        """The source does not take: read the client no further."""
        if self.relay is not None:
            self.relay.hold(SOURCE_FULL)

    def resume_writing(self) -> None:
        """The source takes again."""
        if self.relay is not None:
            self.relay.release(SOURCE_FULL)

    def eof_received(self) -> None:
        """The source says no more."""
        if self.relay is None:
            self.on_stir()
        else:
            self.relay.source_has_ended()

    def connection_lost(self, exc: Exception | None) -> None:
        """The source is gone."""
        if self.relay is None:
            self.on_stir()
        else:
            self.relay.source_is_gone()


class Relay(Ends):
    """One session's bytes, from its welcome to its end.

    ``active`` is when bytes last passed (monotonic seconds).

    Once it is over nothing that it refers to refers back: a session is freed when it ends, its TLS
    buffers with it, and not when Python next looks for reference cycles.
    """

    def __init__(self, scanner: Scanner, congestion: Pressure, metrics: Metrics) -> None:
        Ends.__init__(self, scanner, metrics)
        self.active = monotonic()
        self._congestion = congestion
        self._held = 0
        # For a connection to the data source.
        self._is_waiting = False
        self._early = b""

    @property
    def client_side(self) -> ClientSide:
        """For the client's connection, which holds it: the relay does not."""
        return ClientSide(self)

    @property
    def source_side(self) -> SourceSide:
        """For the data source's connection, as ``client_side``."""
        return SourceSide(self)

    def has_source(self, source: asyncio.Transport) -> None:
        """The data source's connection is here. It comes first."""
        self._source = source
        self._plain_source = plain_of(source)
        source.set_write_buffer_limits(high=WRITE_HIGH, low=WRITE_LOW)

    def wait_for_client(self) -> None:
        """Read the source no further until the client is here: a flood waits in the kernel.

        Not done in ``has_source``: TLS transports begin to read after ``connection_made``.
        """
        self.client_is_full()

    def has_client(self, client: asyncio.Transport) -> None:
        """The client's connection is here, with its welcome written."""
        self._client = client
        self._plain_client = plain_of(client)
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
        if self._is_closing or self._cutting is not None:
            # Also while the client's last message ends: behind a chunk that was refused the
            # scanner no longer knows where the client's messages begin at the server.
            return
        self.active = now = clock()
        if self._source is None:
            if self.turns is None:
                return
            data = self._begin_turn(data)
            if not data:
                return
        self._send(data, now)

    def _begin_turn(self, data: bytes) -> bytes:
        """What is to be sent now: nothing while there is no connection for it."""
        data = self._unsent + data
        self._unsent = b""
        if self._is_waiting:
            self._unsent = data
            self.hold(_WAITING)
            return b""
        need = self.scanner.needs_server(data)
        if need < 0 or (need > 0 and self._has_turn(data)):
            return data
        self._unsent = data
        return b""

    def _has_turn(self, data: bytes) -> bool:
        assert self.turns is not None, "only asked where there are turns"
        if self.turns.begin():
            return True
        self._is_waiting = True
        # Most clients say nothing more before they are answered, so to stop reading them and to
        # begin again would be two system calls for nothing: the first to say more is held. And who
        # has said goodbye is to have its statement done, though it is gone by then.
        if data.endswith(self.scanner.goodbye):
            self.hold(_WAITING)
        return False

    def take_turn(
        self, source: asyncio.Transport, plain: PlainTransport | None, news: bytes
    ) -> None:
        """This connection is the session's for a transaction; ``news`` are for its client.

        ``plain`` is the same one, where it is in plaintext.
        """
        self._source = source
        self._plain_source = plain
        if self._is_client_full:
            source.pause_reading()
        if news and self._client is not None:
            self._client.write(news)

    def go_on(self) -> None:
        """A connection that was waited for is here."""
        if self.is_closing:
            return
        self._is_waiting = False
        data, self._unsent = self._unsent, b""
        self._send(data, clock())
        self.release(_WAITING)

    def _end_turn(self, now: float) -> None:
        """Nothing of this session is left in the connection."""
        source, turns = self._source, self.turns
        if source is None or turns is None:
            return
        self._source = self._plain_source = None
        if self._is_client_full:
            source.resume_reading()
        self.release(_SOURCE_FULL)
        self.scanner.detach()
        turns.end(now)

    def _send(self, data: bytes, now: float) -> None:
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
            elif self._source is not None:
                self._source.write(data)
        if scanner.is_crowded:
            self.hold(_CROWDED)
        if self._congestion.is_congested():
            self._wait_for_audit()
        if scanner.has_said_goodbye and not scanner.has_outstanding:
            self._close(BY_CLIENT)
        elif scanner.is_releasable:
            self._end_turn(now)

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
        if self._held & _CROWDED and not scanner.is_crowded:
            self.release(_CROWDED)
        if scanner.has_said_goodbye and not scanner.has_outstanding:
            # Only now: to close a socket on unread answers resets the connection, and with
            # it goes what the source has not read yet.
            self._close(BY_CLIENT)
        elif scanner.is_releasable:
            self._end_turn(now)
        if self._is_draining and scanner.is_idle and self.reason is not None:
            self.cut(self.reason)

    # -- backpressure -----------------------------------------------------------------

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

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for a connection to the data source."""
        return self._is_waiting

    def _wait_for_audit(self) -> None:
        if not self._held & AUDIT_FULL:
            self.hold(AUDIT_FULL)
            self._congestion.on_drained(lambda: self.release(AUDIT_FULL))


def plain_of(transport: object) -> PlainTransport | None:
    """The transport, where it is one in plaintext."""
    return transport if isinstance(transport, PlainTransport) else None
