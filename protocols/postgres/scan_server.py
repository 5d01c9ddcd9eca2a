# cython: annotation_typing=False
"""From the server: counts rows and bytes, and ends the records of what has run.

A few short messages whose content matters are held until they are whole; everything else
streams untouched. What may come is told by the ``ledger``: an answer out of step ends the
session.

Plain Python; compiled with the types in ``scan_server.pxd``.
"""

from __future__ import annotations

from protocols.errors import PeerViolation, Refusal
from protocols.interface import ScanLimits
from protocols.postgres import expected
from protocols.postgres.answers import deallocated_names, error_fields, followed_setting
from protocols.postgres.ledger import Expected, Ledger
from protocols.postgres.prepared import PreparedStatements, retell
from protocols.postgres.records import Records
from protocols.postgres.refuse import refusal_message
from protocols.postgres.refuse import sqlstate as sqlstate_of
from protocols.statements import Outcome, Statement

_NOTHING = expected.NOTHING
_QUERY = expected.QUERY
_FUNCTION = expected.FUNCTION
_SYNC = expected.SYNC
_PARSE = expected.PARSE
_BIND = expected.BIND
_EXECUTE = expected.EXECUTE
_DESCRIBE = expected.DESCRIBE
_CLOSE_STATEMENT = expected.CLOSE_STATEMENT
_CLOSE_PORTAL = expected.CLOSE_PORTAL
_MAYBE = expected.MAYBE

_IDLE = expected.IDLE
_IN_TRANSACTION = expected.IN_TRANSACTION
_FAILED_TRANSACTION = expected.FAILED_TRANSACTION

# A member of an Enum is looked up through its class; these are read for every statement.
_FAILED = Outcome.FAILED
_PREPARED = Outcome.PREPARED
_REFUSED = Outcome.REFUSED
_SKIPPED = Outcome.SKIPPED
_SUCCEEDED = Outcome.SUCCEEDED
_SUSPENDED = Outcome.SUSPENDED

# A server message whose content we read is held until this much of it is here: a
# command tag has at most 64 bytes (COMPLETION_TAG_BUFSIZE), an error's SQLSTATE stands
# in front of its texts, a setting we follow is shorter still.
_LOOK_LIMIT = 1024

# CommandComplete beyond this is no server's.
_TAG_LIMIT = 1024


class ServerScan:
    """The other direction of a session: what goes to the client."""

    def __init__(
        self,
        records: Records,
        limits: ScanLimits,
        ledger: Ledger,
        statements: PreparedStatements,
        status: int,
    ) -> None:
        self._records = records
        self._ledger = ledger
        self._statements = statements
        self._message_limit = limits.message
        self._keeps_values = limits.values > 0
        self.status = status
        self.settings: dict[bytes, bytes] = {}
        self.is_fatal = False
        self._held = b""
        self._pass = 0
        self._drop = 0
        # The server takes copy data.
        self._is_copy_in = False

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

    def _take_complete(self, head: int, data: bytes, at: int, total: int, now: float) -> None:
        if total > _TAG_LIMIT or (head != _QUERY and head != _EXECUTE):
            raise PeerViolation("the data source sent an answer out of step")
        if total < 6 or data[at + total - 1] != 0:
            raise PeerViolation("the data source sent an invalid command tag")
        ledger = self._ledger
        p = data
        tag = p[at + 5 : at + total - 1]
        entry = ledger.first()
        statement = entry.statement
        if statement is not None:
            statement.tag = tag
            if self._records.rows == 0:
                statement.rows += _count_in(tag)
            else:
                statement.rows += self._records.rows
                self._records.rows = 0
        if self._is_copy_in:
            self._is_copy_in = False
            ledger.is_copying = False
            ledger.end_copy_in()
        if head == _EXECUTE:
            self._end_execute(ledger.take(), _SUCCEEDED, now)
        else:
            ledger.is_answered = True
        if tag and tag[0] == 0x44 and (tag[:10] == b"DEALLOCATE" or tag == b"DISCARD ALL"):
            self._follow_deallocate(tag, statement, now)

    def _end_execute(self, entry: Expected, outcome: Outcome, now: float) -> None:
        if entry.refusal is not None:
            self._end_refused(entry, now)
        statement = entry.statement
        prepared = self._statements.in_portal(entry.name)
        if statement is not None:
            if prepared is not entry.prepared:
                # What was on its way when this was sent did not come to pass: the
                # record tells what the server really ran.
                retell(statement, entry.name, prepared)
            if self._keeps_values:
                statement.values = self._statements.values_in(entry.name)
            self._records.answer(statement, outcome, now)
        self._statements.release(entry.prepared)

    def _end_refused(self, entry: Expected, now: float) -> None:
        """The server has said yes in the place of a refusal; that ends the session."""
        statement = entry.statement
        if statement is not None:
            assert isinstance(entry.refusal, Refusal)
            statement.code = sqlstate_of(entry.refusal)
            self._records.end(statement, _REFUSED, now)
        raise PeerViolation("the data source accepted what was never sent")

    def _take_ready(self, status: int, now: float) -> None:
        if status != _IDLE and status != _IN_TRANSACTION and status != _FAILED_TRANSACTION:
            raise PeerViolation("the data source sent an invalid ReadyForQuery")
        if self._is_copy_in:
            raise PeerViolation("the data source sent ReadyForQuery out of step")
        try:
            entry = self._ledger.ready()
        except LookupError:
            raise PeerViolation("the data source sent ReadyForQuery out of step") from None
        self.status = status
        self._records.settle()
        if status == _IDLE:
            self._statements.close_portals()
        if entry is None:
            return
        statement = entry.statement
        if statement is not None:
            outcome = _SUCCEEDED
            if statement.code:
                outcome = _FAILED
            if entry.refusal is not None:
                if not statement.code:
                    self._end_refused(entry, now)
                outcome = _REFUSED
            self._records.end(statement, outcome, now)
        self._records.size = 0
        self._records.rows = 0

    def _take_error(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        stop = at + min(total, _LOOK_LIMIT)
        severity, sqlstate = error_fields(data, at + 5, min(stop, len(data)))
        ledger = self._ledger
        if severity == b"FATAL" or severity == b"PANIC":
            # The server ends the session: what runs fails with this code.
            self.is_fatal = True
            for entry in ledger.waiting():
                statement = entry.statement
                if entry.code == _SYNC or statement is not None:
                    if statement is not None and not statement.code and entry.refusal is None:
                        statement.code = sqlstate
                    break
            return None
        if ledger.is_lost:
            return None
        if ledger.head == _MAYBE and ledger.sure_head() not in (_NOTHING, _SYNC):
            # A Sync of a failed COPY has nothing to fail with: this is about what follows.
            ledger.skip_maybes()
        head = ledger.head
        if head == _NOTHING or head == _SYNC or head == _MAYBE:
            self._records.fail_commit(sqlstate, now)
            return None
        self._is_copy_in = False
        ledger.is_copying = False
        entry = ledger.first()
        replacement: bytes | None = None
        if entry.refusal is not None:
            assert isinstance(entry.refusal, Refusal)
            replacement = refusal_message(entry.refusal, is_fatal=False)
            sqlstate = sqlstate_of(entry.refusal)
        if head == _QUERY or head == _FUNCTION:
            ledger.is_answered = True
            statement = entry.statement
            if statement is not None and not statement.code:
                statement.code = sqlstate
            return replacement
        self._fail(sqlstate, now)
        return replacement

    def _fail(self, sqlstate: str, now: float) -> None:
        """The head of an extended-protocol sequence failed; end what it takes along."""
        ledger = self._ledger
        dropped = ledger.fail()
        first = dropped[0]
        failed = _FAILED if first.refusal is None else _REFUSED
        is_told = False
        for entry in dropped:
            statement = entry.statement
            if statement is not None:
                if not is_told and (
                    entry is first or (entry.code == _EXECUTE and entry.refusal is None)
                ):
                    # Where a Bind failed, its statement is the one that did not run.
                    is_told = True
                    statement.code = sqlstate
                    if entry.code == _EXECUTE and entry is first:
                        prepared = self._statements.in_portal(entry.name)
                        if prepared is not entry.prepared and entry.refusal is None:
                            retell(statement, entry.name, prepared)
                        if self._keeps_values:
                            statement.values = self._statements.values_in(entry.name)
                    self._records.end(statement, failed, now)
                else:
                    self._records.end(statement, _SKIPPED, now)
            if entry.code == _EXECUTE:
                self._statements.release(entry.prepared)
            if not ledger.is_skipping:
                # Otherwise kept until the Sync, for what is yet to be skipped.
                self._statements.drop(entry)
                if entry.code == _PARSE:
                    prepared = entry.prepared
                    prepared.pending = None

    def _confirm_parse(self, entry: Expected, now: float) -> None:
        if entry.refusal is not None:
            self._end_refused(entry, now)
        prepared = entry.prepared
        self._statements.drop(entry)
        self.forget(prepared.name, now)
        self._statements.name_statement(prepared)
        if prepared.name and prepared.pending is not None:
            statement = prepared.pending
            prepared.pending = None
            self._records.end(statement, _PREPARED, now)

    def _confirm_bind(self, entry: Expected, now: float) -> None:
        if entry.refusal is not None:
            self._end_refused(entry, now)
        self._statements.drop(entry)
        self._statements.open_portal(entry.name, entry.source, entry.values)

    def forget(self, name: bytes, now: float) -> None:
        """The server has this statement no more."""
        statement = self._statements.forget(name)
        if statement is not None:
            # Parsed, perhaps bound, never run: told all the same.
            self._records.end(statement, _PREPARED, now)

    def _follow_deallocate(self, tag: bytes, statement: Statement | None, now: float) -> None:
        """Forget what DEALLOCATE and DISCARD ALL have removed, to keep the count true."""
        names: list[bytes] = []
        if tag == b"DEALLOCATE" and statement is not None:
            names = deallocated_names(statement.text)
        # Where the name cannot be read, none is known any more: a record that does not
        # know its text is better than one that tells the wrong text.
        for name in names or self._statements.names():
            self.forget(name, now)

    def _follow(self, data: bytes, at: int, total: int) -> None:
        """ParameterStatus: remember the settings that change how statements are read."""
        setting = followed_setting(data, at + 5, at + min(total, _LOOK_LIMIT))
        if setting is not None and total <= _LOOK_LIMIT:
            self.settings[setting[0]] = setting[1]


def _count_in(tag: bytes) -> int:
    """The number at a command tag's end ("INSERT 0 5"), or 0."""
    digits = tag[tag.rfind(b" ") + 1 :]
    return int(digits) if digits.isdigit() and len(digits) < 20 else 0
