"""How a session ends: its client leaves, its server goes, or it is cut in the middle of a message.

Whoever is told anything is told it between two messages, what still runs at the data source is
stopped, and a connection that is fit for others is given away. What passes before that is
``relay``'s. Knows no protocol: the scanner does.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from time import monotonic

import cython

from protocols.errors import PeerViolation, Reason, Refusal
from protocols.scanner import Scanner
from proxy.gateway.plain import PlainTransport
from proxy.gateway.silence import is_silent
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

BY_CLIENT = "closed by the client"


class Turns:
    """Whence a relay has the data source's connection for one transaction at a time.

    The base of ``proxy.gateway.turns``, as the relay knows it.
    """

    def begin(self) -> bool:
        """Have a connection now (True), or have ``Relay.go_on`` called when there is one."""
        return False

    def end(self, now: float) -> None:
        """Nobody's transaction is open on the connection, and nothing of the client left in it."""

    def give_up(self) -> None:
        """The session is ending: it waits for no connection any more."""


class Ends:
    """One session's end, the base of its relay.

    ``finished`` resolves with the word for the log: why the session ended. ``reason`` is set
    where we ended it. ``on_broken`` is called before a session ends because of what its client
    sent: what still runs at the data source is then to be stopped.
    ``keep``: takes the data source's connection, where the client has ended the session and
    left it reusable; None: it is closed in any case. It is told whether a transaction is open.
    ``turns``: whence the data source's connection comes for each transaction; None: there is
    one, from the welcome to the end.
    """

    def __init__(self, scanner: Scanner, metrics: Metrics) -> None:
        loop = asyncio.get_running_loop()
        self.scanner = scanner
        self.finished: asyncio.Future[str] = loop.create_future()
        self.bytes_from_client = 0
        self.bytes_from_source = 0
        self.reason: Refusal | None = None
        self.on_broken: Callable[[], None] = nothing
        self.keep: Callable[[bool], None] | None = None
        self.turns: Turns | None = None
        self._metrics = metrics
        self._client: asyncio.Transport | None = None
        self._source: asyncio.Transport | None = None
        # The same, where they are in plaintext: written to without a look-up.
        self._plain_client: PlainTransport | None = None
        self._plain_source: PlainTransport | None = None
        self._is_client_full = False
        # What the client has sent, while there is no connection for it.
        self._unsent = b""
        self._is_closing = False
        self._is_draining = False
        self._is_leaving = False
        self._word = ""
        self._cutting: Refusal | None = None
        self._cut_remaining = 0
        self._timer: asyncio.TimerHandle | None = None

    def client_is_full(self) -> None:
        """Read the source no further."""
        self._is_client_full = True
        if self._source is not None and not self._source.is_closing():
            self._source.pause_reading()

    def client_has_room(self) -> None:
        """Read the source again."""
        self._is_client_full = False
        if self._source is not None and not self._source.is_closing():
            self._source.resume_reading()

    def notice_resets(self) -> None:
        """Close a connection that its peer has reset where the event loop did not say so.

        aiofastnet's transports are not watched while they do not read.
        """
        for transport in (self._client, self._source):
            if transport is not None and not transport.is_closing():
                sock = transport.get_extra_info("socket")
                if sock is not None and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    transport.abort()

    def notice_silence(self, seconds: float) -> None:
        """End the session whose client's or source's machine answers nothing for so long."""
        client, source = self._client, self._source
        if client is not None and _is_silent(client, seconds):
            client.abort()
        elif source is not None and _is_silent(source, seconds):
            self.cut(
                Refusal(
                    Reason.SOURCE_LOST,
                    "the data source answers nothing any more",
                    f"nothing that was sent to it was acknowledged for {seconds:g} s",
                )
            )

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
        self._timer = loop.call_later(STOPPING_SECONDS, self._close, BY_CLIENT)

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
            self._close(BY_CLIENT)
            return
        if not self.scanner.has_outstanding:
            self._close(BY_CLIENT)

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
        self._close(BY_CLIENT)

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
            self._close(BY_CLIENT)
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
        self._unsent = b""
        if self.turns is not None:
            self.turns.give_up()
        keep, self.keep = self.keep, None
        if keep is not None and word is BY_CLIENT:
            self._give_source(keep)
        self.scanner.close(monotonic())
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        for transport in (self._client, self._source):
            if transport is not None and not transport.is_closing():
                transport.close()
        self._timer = loop.call_later(FLUSH_SECONDS, self._abort, word)
        self._finish_if_over()

    def _give_source(self, keep: Callable[[bool], None]) -> None:
        """Give the data source's connection away, if it is fit for it."""
        source = self._source
        if source is None or source.is_closing() or not self.scanner.is_reusable:
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


def _is_silent(transport: asyncio.Transport, seconds: float) -> bool:
    sock = transport.get_extra_info("socket")
    return sock is not None and not transport.is_closing() and is_silent(sock, seconds)


def nothing() -> None:
    """Where nobody cares."""
