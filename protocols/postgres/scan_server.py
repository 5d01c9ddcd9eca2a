# cython: annotation_typing=False
"""From the server: counts rows and bytes, and lets them pass; what ends something is looked at.

A few short messages whose content matters are held until they are whole; everything else
streams untouched. What may come is told by the ``ledger``: an answer out of step ends the
session. What an answer means is ``outcomes``'.

Plain Python; compiled with the types in ``scan_server.pxd``.
"""

from __future__ import annotations

from protocols.errors import PeerViolation
from protocols.interface import ScanLimits
from protocols.postgres import expected
from protocols.postgres.ledger import Ledger
from protocols.postgres.outcomes import LOOK_LIMIT, Outcomes
from protocols.postgres.prepared import PreparedStatements
from protocols.postgres.records import Records
from protocols.statements import Outcome

_QUERY = expected.QUERY
_FUNCTION = expected.FUNCTION
_PARSE = expected.PARSE
_BIND = expected.BIND
_EXECUTE = expected.EXECUTE
_DESCRIBE = expected.DESCRIBE
_CLOSE_STATEMENT = expected.CLOSE_STATEMENT
_CLOSE_PORTAL = expected.CLOSE_PORTAL
_MAYBE = expected.MAYBE
_SUCCEEDED = Outcome.SUCCEEDED
_SUSPENDED = Outcome.SUSPENDED
_LOOK_LIMIT = LOOK_LIMIT


class ServerScan(Outcomes):
    """The other direction of a session: what goes to the client."""

    def __init__(
        self,
        records: Records,
        limits: ScanLimits,
        ledger: Ledger,
        statements: PreparedStatements,
        status: int,
    ) -> None:
        Outcomes.__init__(self, records, limits, ledger, statements, status)
        self._message_limit = limits.message
        self._held = b""
        self._pass = 0
        self._drop = 0

    def is_between(self) -> bool:
        """Whether the server is not in the middle of a message."""
        return self._pass == 0 and self._drop == 0 and not self._held

    def remaining(self) -> int:
        """How much of the message now going to the client is still to come."""
        return self._pass

    def read(self, data: bytes, now: float) -> bytes:
        """Account for the server's answers; return what goes to the client now."""
        if self._held:
            data = self._held + data
            self._held = b""
        size = len(data)
        at = 0
        if self._pass > 0:
            if self._pass >= size:
                self._pass -= size
                return data
            # Forgotten at the end: a violation behind it must not cut this message short.
            at = self._pass
        remaining = 0
        copied = 0
        pieces: list[bytes] | None = None
        if self._drop > 0:
            if self._drop >= size:
                self._drop -= size
                return b""
            at = self._drop
            copied = at
            pieces = []
            self._drop = 0
        records = self._records
        rows = records.rows
        count = records.size
        ledger = self._ledger
        may_have_rows = ledger.head == _QUERY or ledger.head == _EXECUTE
        p = data
        while at < size:
            left = size - at
            if left < 5:
                self._held = data[at:]
                break
            code = p[at]
            length = (p[at + 1] << 24) | (p[at + 2] << 16) | (p[at + 3] << 8) | p[at + 4]
            if length < 4 or length > self._message_limit:
                raise PeerViolation("the data source sent an invalid message length")
            total = length + 1
            if code == 0x44:  # DataRow
                if not may_have_rows and not self._skip_maybes():
                    raise PeerViolation("the data source sent a row that nobody asked for")
                rows += 1
                count += total
            elif code == 0x64:  # CopyData
                if not may_have_rows and not self._skip_maybes():
                    raise PeerViolation("the data source sent data that nobody asked for")
                count += total
            else:
                if left < total and (left < _LOOK_LIMIT and self._is_read(code)):
                    self._held = data[at:]
                    break
                records.rows = rows
                records.size = count
                replacement = self._take_server(code, data, at, total, now)
                rows = records.rows
                count = records.size
                may_have_rows = ledger.head == _QUERY or ledger.head == _EXECUTE
                if replacement is not None:
                    if pieces is None:
                        pieces = []
                    if copied < at:
                        pieces.append(data[copied:at])
                    pieces.append(replacement)
                    copied = at + total
                    if left < total:
                        self._drop = total - left
                        copied = size
                        at = size
                        break
            if left < total:
                remaining = total - left
                at = size
                break
            at += total
        self._pass = remaining
        records.rows = rows
        records.size = count
        if pieces is None:
            if at >= size:
                return data
            return data[:at]
        if copied < at:
            pieces.append(data[copied:at])
        return b"".join(pieces)

    def _skip_maybes(self) -> bool:
        """Pass over Syncs that were swallowed; whether rows may come now."""
        ledger = self._ledger
        if ledger.is_lost:
            raise PeerViolation("the answers after a failed COPY cannot be told apart")
        ledger.skip_maybes()
        return ledger.head == _QUERY or ledger.head == _EXECUTE

    def _is_read(self, code: int) -> bool:
        """Whether the content of this server message matters here."""
        return code == 0x43 or code == 0x45 or code == 0x5A or code == 0x53

    def _take_server(self, code: int, data: bytes, at: int, total: int, now: float) -> bytes | None:
        """Account for one server message that is not a row; its replacement, or None."""
        ledger = self._ledger
        if code == 0x4E or code == 0x41:  # NoticeResponse, NotificationResponse
            return None
        if code == 0x53:  # ParameterStatus
            self._follow(data, at, total)
            return None
        if self.is_fatal:
            raise PeerViolation("the data source went on after a fatal error")
        if code == 0x45:  # ErrorResponse
            return self._take_error(data, at, total, now)
        if ledger.is_lost:
            raise PeerViolation("the answers after a failed COPY cannot be told apart")
        if code == 0x5A:  # ReadyForQuery
            if total != 6:
                raise PeerViolation("the data source sent an invalid ReadyForQuery")
            self._take_ready(data[at + 5], now)
            return None
        if ledger.head == _MAYBE:
            ledger.skip_maybes()
        head = ledger.head
        if code == 0x43:  # CommandComplete
            self._take_complete(head, data, at, total, now)
            return None
        if code == 0x54 or code == 0x6E:  # RowDescription, NoData
            if head == _DESCRIBE:
                ledger.take()
                return None
            if head == _QUERY and code == 0x54:
                return None
        elif code == 0x31:  # ParseComplete
            if head == _PARSE:
                self._confirm_parse(ledger.take(), now)
                return None
        elif code == 0x32:  # BindComplete
            if head == _BIND:
                self._confirm_bind(ledger.take(), now)
                return None
        elif code == 0x33:  # CloseComplete
            if head == _CLOSE_STATEMENT:
                entry = ledger.take()
                self._statements.drop(entry)
                self.forget(entry.name, now)
                return None
            if head == _CLOSE_PORTAL:
                entry = ledger.take()
                self._statements.drop(entry)
                self._statements.close_portal(entry.name)
                return None
        elif code == 0x74:  # ParameterDescription: RowDescription or NoData follows
            if head == _DESCRIBE:
                return None
        elif code == 0x73:  # PortalSuspended
            if head == _EXECUTE and not self._is_copy_in:
                self._end_execute(ledger.take(), _SUSPENDED, now)
                return None
        elif code == 0x49:  # EmptyQueryResponse
            if head == _EXECUTE and not self._is_copy_in:
                self._end_execute(ledger.take(), _SUCCEEDED, now)
                return None
            if head == _QUERY:
                ledger.is_answered = True
                return None
        elif code == 0x47:  # CopyInResponse
            if (head == _QUERY or head == _EXECUTE) and not self._is_copy_in:
                self._is_copy_in = True
                ledger.is_copying = not ledger.has_copy_end()
                ledger.begin_copy_in()
                return None
        elif code == 0x48 or code == 0x63:  # CopyOutResponse, CopyDone
            if head == _QUERY or head == _EXECUTE:
                return None
        elif code == 0x56:  # FunctionCallResponse
            if head == _FUNCTION:
                ledger.is_answered = True
                self._records.size += total
                return None
        raise PeerViolation("the data source sent an answer out of step")
