# cython: annotation_typing=False
"""A session whose answers are limited: cuts the server's stream before it is scanned.

What the scanner behind it sees is a server that failed the statement with our error, so
the order of answers, the record and the client agree. In the place of the rest of a
result stands one ErrorResponse, and the session goes on, if that is true: the server was
stopped, or what it finished was a statement that only reads, alone before its
ReadyForQuery. Otherwise the client would believe undone what was done, and the session
ends with its reason.

Installed only where there is a limit. Reads headers, like the scanner; knows no rule.

Plain Python; compiled with the types in ``bounded.pxd``.
"""

from __future__ import annotations

from protocols.errors import PeerViolation, Reason, Refusal
from protocols.metering import ResultMeter, Share
from protocols.postgres.refuse import refusal_message
from protocols.postgres.scan import PostgresScanner
from protocols.scanner import Scanner

_DATA_ROW = 0x44
_COPY_DATA = 0x64
_COPY_DONE = 0x63
_COMMAND_COMPLETE = 0x43
_EMPTY_QUERY = 0x49
_ERROR = 0x45
_READY = 0x5A
_SUSPENDED = 0x73
_BIND_COMPLETE = 0x32
_FUNCTION_RESULT = 0x56
_AT_ANY_TIME = frozenset({0x4E, 0x41, 0x53})  # notices, notifications, settings

# What is read of a message's content: a tag, an error's severity and SQLSTATE.
_LOOK_LIMIT = 1024
# Portals that stopped at their row limit, in one transaction; drivers have one at a time.
_SUSPENDED_LIMIT = 1024
_FATAL = frozenset({b"SFATAL", b"VFATAL", b"SPANIC", b"VPANIC"})
_READING = (b"SELECT", b"FETCH", b"SHOW", b"EXPLAIN", b"COPY")

# Where in an answer the server is.
_FLOWING = 0
_STOPPING = 1  # cut; its end is still to come
_DONE = 2  # cut, and the server finished it all the same
_OVER = 3  # the session ends


class BoundedScanner(Scanner):
    """In front of a scanner; everything but what the server says is the scanner's own."""

    def __init__(self, scanner: PostgresScanner, meter: ResultMeter) -> None:
        Scanner.__init__(self)
        self._scanner = scanner
        self._meter = meter
        self._share = Share(meter)
        self._held = b""
        self._pass = 0
        self._drop = 0
        self._rows = 0
        self._size = 0
        self._is_fresh = True
        self._state = _FLOWING
        self._refusal: Refusal | None = None
        # Statements that have ended since the last ReadyForQuery.
        self._completed = 0
        self._suspended: dict[bytes, tuple[int, int]] = {}

    def from_client(self, data: bytes, now: float) -> bytes:
        """What of the client's bytes goes upstream now."""
        sent = self._scanner.from_client(data, now)
        self.is_crowded = self._scanner.is_crowded
        self.has_said_goodbye = self._scanner.has_said_goodbye
        self._look_if_releasable()
        return sent

    def from_server(self, data: bytes, now: float) -> bytes:
        """What goes to the client now."""
        sent: list[bytes] = []
        try:
            self._read(data, now, sent)
        except PeerViolation:
            if not sent:
                raise
            # The scanner counts on it that what it has returned goes to the client.
            self._state = _OVER
            self._meter.give_up(
                Refusal(
                    Reason.SOURCE_LOST,
                    "the data source broke the protocol and the session was ended",
                )
            )
        self.is_crowded = self._scanner.is_crowded
        self._look_if_releasable()
        return sent[0] if len(sent) == 1 else b"".join(sent)

    def _read(self, data: bytes, now: float, sent: list[bytes]) -> None:
        data, self._held = self._held + data, b""
        self._share.renew(self._rows, self._size)
        row_cap = self._share.row_cap
        size_cap = self._share.size_cap
        size = len(data)
        at = start = 0
        p = data
        if self._pass:
            at = min(self._pass, size)
            self._pass -= at
        elif self._drop:
            at = start = min(self._drop, size)
            self._drop -= at
        while at < size:
            left = size - at
            if left < 5:
                break
            code = p[at]
            length = (p[at + 1] << 24) | (p[at + 2] << 16) | (p[at + 3] << 8) | p[at + 4]
            total = length + 1
            if total < 5:
                at = size  # The scanner says what is wrong with it.
                break
            if (
                (code == _DATA_ROW or code == _COPY_DATA)
                and self._state == _FLOWING
                and not self._is_fresh
            ):
                self._rows += 1
                self._size += total
                if self._rows > row_cap or self._size > size_cap:
                    self._cut(total)
                    continue
                at += total
                continue
            if (left < total and left < _LOOK_LIMIT) and (
                code == _COMMAND_COMPLETE or code == _ERROR or code == _READY
            ):
                break
            if start < at:
                # What the scanner knows must be as new as what is asked about.
                sent.append(self._scanner.from_server(data[start:at], now))
                start = at
            instead = self._take(code, data, at, total)
            if instead is not None:
                sent.append(self._scanner.from_server(instead, now))
                start = at + total
            at += total
            row_cap = self._share.row_cap
            size_cap = self._share.size_cap
        if at > size:
            if start >= at:
                self._drop, start = at - size, size
            else:
                self._pass = at - size
            at = size
        if start < at:
            sent.append(self._scanner.from_server(data[start:at], now))
        if at < size:
            self._held = data[at:]
        self._share.renew(self._rows, self._size)
        if self._state == _DONE and not self._scanner.owes_ready:
            self._give_up()

    def _take(self, code: int, data: bytes, at: int, total: int) -> bytes | None:
        """Account for a message; what the scanner is given instead, or None."""
        if self._state == _OVER:
            return b""
        if self._state != _FLOWING:
            return self._take_cut(code, data, at, total)
        if code in (_DATA_ROW, _COPY_DATA):
            self._begin_rows()
            return self._take_first_row(total)
        if code == _FUNCTION_RESULT:
            self._rows += 1
            self._size += total
            if self._size > self._share.size_cap:
                self._cut(total)
                return self._give_up()
        elif code in (_COMMAND_COMPLETE, _EMPTY_QUERY):
            self._completed += 1
            self._suspended.pop(self._scanner.answering, None)
            self._end()
        elif code == _SUSPENDED:
            self._completed += 1
            self._suspended[self._scanner.answering] = (self._rows, self._size)
            if len(self._suspended) > _SUSPENDED_LIMIT:
                raise PeerViolation("too many portals are suspended at once")
            self._end()
        elif code == _BIND_COMPLETE:
            self._suspended.pop(self._scanner.answering, None)
        elif code == _ERROR:
            self._end()
        elif code == _READY:
            self._ready(data[at + 5 : at + 6])
        return None

    def _take_cut(self, code: int, data: bytes, at: int, total: int) -> bytes | None:
        """A message behind a cut."""
        if code in _AT_ANY_TIME:
            return None
        if code == _ERROR:
            self._state = _FLOWING
            self._end()
            fields = data[at + 5 : at + min(total, _LOOK_LIMIT)].split(b"\0")
            return None if _FATAL.intersection(fields) else self._said()
        if self._state == _STOPPING:
            if code in (_DATA_ROW, _COPY_DATA, _COPY_DONE):
                return b""
            is_read = code == _COMMAND_COMPLETE and data.startswith(_READING, at + 5)
            if (is_read or code == _SUSPENDED) and self._completed == 0:
                self._state = _DONE
                return b""
        elif code == _READY:
            self._state = _FLOWING
            said = self._said() + data[at : at + total]
            self._ready(data[at + 5 : at + 6])
            return said
        return self._give_up()

    def _begin_rows(self) -> None:
        """The first row of an answer: part of it may have passed before."""
        rows, size = 0, 0
        if self._suspended:
            rows, size = self._suspended.get(self._scanner.answering, (0, 0))
        self._rows, self._size = rows, size
        self._share.begin(rows, size)
        self._is_fresh = False

    def _take_first_row(self, total: int) -> bytes | None:
        self._rows += 1
        self._size += total
        if self._rows > self._share.row_cap or self._size > self._share.size_cap:
            self._cut(total)
            return b""
        return None

    def _end(self) -> None:
        """An answer has ended."""
        self._share.renew(self._rows, self._size)
        self._rows = self._size = 0
        self._share.begin()
        self._is_fresh = True

    def _ready(self, status: bytes) -> None:
        self._completed = 0
        if status == b"I":
            # Portals end with their transaction.
            self._suspended.clear()
        self._end()

    def _cut(self, total: int) -> None:
        self._refusal = self._meter.cut(self._rows, self._size)
        self._rows -= 1
        self._size -= total
        self._state = _STOPPING

    def _said(self) -> bytes:
        assert self._refusal is not None, "only what was cut is refused"
        return refusal_message(self._refusal, is_fatal=False)

    def _give_up(self) -> bytes:
        self._state = _OVER
        assert self._refusal is not None, "only what was cut is given up"
        self._meter.give_up(self._refusal)
        return b""

    def _look_if_releasable(self) -> None:
        self.is_releasable = (
            self._scanner.is_releasable
            and self._state == _FLOWING
            and not (self._held or self._drop or self._pass)
        )

    # -- the scanner's own -------------------------------------------------------------

    def needs_server(self, data: bytes) -> int:
        """Whether a server is needed for what the client has sent."""
        return self._scanner.needs_server(data)

    def attach(self, memory: object) -> bytes:
        """The session has this connection from now on."""
        return self._scanner.attach(memory)

    def detach(self) -> None:
        """The session has no connection from now on."""
        self._scanner.detach()
        self.is_releasable = False

    def refusal(self, refusal: Refusal) -> bytes:
        """A fatal ErrorResponse."""
        return self._scanner.refusal(refusal)

    @property
    def goodbye(self) -> bytes:
        """Terminate."""
        return self._scanner.goodbye

    @property
    def has_outstanding(self) -> bool:
        """Whether the server still owes an answer."""
        return self._scanner.has_outstanding

    @property
    def oldest(self) -> object | None:
        """What the server is answering: the same object until it has; None for nothing."""
        return self._scanner.oldest

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, is half sent or is being dropped, and no transaction is open."""
        return self._scanner.is_idle and not self._held and not self._drop

    @property
    def is_reusable(self) -> bool:
        """Whether the server waits for a command, and nothing of it is held or dropped here."""
        return (
            self._scanner.is_reusable
            and self._state == _FLOWING
            and not (self._held or self._drop or self._pass)
        )

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, failed or not."""
        return self._scanner.is_in_transaction

    @property
    def client_message_remaining(self) -> int:
        """How much of the message now going to the client is still to come."""
        return self._scanner.client_message_remaining

    @property
    def is_ended_by_server(self) -> bool:
        """Whether the server has sent a FATAL error."""
        return self._scanner.is_ended_by_server

    def close(self, now: float) -> None:
        """The session is over."""
        self._scanner.close(now)
