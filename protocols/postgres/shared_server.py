# cython: annotation_typing=False
"""From a connection that a client has for one transaction: what answers us, it never sees.

The answers to the messages of ``shared_client`` are taken out of their places, and what
happened to them is told to the connection's own memory. A setting that the server reports
is held against what it was after the login.

Plain Python; compiled with the types in ``shared_server.pxd``.
"""

from __future__ import annotations

from protocols.errors import PeerViolation
from protocols.interface import ScanLimits
from protocols.postgres import expected
from protocols.postgres.ledger import Expected, Ledger
from protocols.postgres.outcomes import LOOK_LIMIT
from protocols.postgres.pooled import NOWHERE, ServerMemory, Text
from protocols.postgres.prepared import PreparedStatements
from protocols.postgres.records import Records
from protocols.postgres.scan_server import ServerScan
from protocols.postgres.session_settings import RESET_ALL
from protocols.postgres.shared_client import SharedClientScan
from protocols.statements import Statement

_IDLE = expected.IDLE
_QUERY = expected.QUERY
_PARSE = expected.PARSE
_BIND = expected.BIND
_EXECUTE = expected.EXECUTE
_MAYBE = expected.MAYBE
_OUR_PARSE = expected.OUR_PARSE
_OUR_CLOSE = expected.OUR_CLOSE
_OUR_QUERY = expected.OUR_QUERY
_LOOK_LIMIT = LOOK_LIMIT

_PARSE_COMPLETE = b"1\0\0\0\4"

# A plan whose result has another type now, and a statement that is not there: the next run
# parses it again.
_OUTDATED = frozenset({"0A000", "26000"})


class SharedServerScan(ServerScan):
    """As ``ServerScan``, for a session that shares its server connections."""

    def __init__(
        self,
        records: Records,
        limits: ScanLimits,
        ledger: Ledger,
        statements: PreparedStatements,
        status: int,
        client: SharedClientScan,
    ) -> None:
        ServerScan.__init__(self, records, limits, ledger, statements, status)
        self._of_client = client
        self._memory: ServerMemory = NOWHERE
        # Settings that are reported otherwise than expected: as after the login, or as
        # ``reported`` since the session has set them. By name, the newest value.
        self._changed: dict[bytes, bytes] = {}
        self.reported: dict[bytes, bytes] = {}
        # Changes of settings since the server was last idle.
        self._made: list[tuple[bytes, bytes]] = []

    def attach(self, memory: ServerMemory) -> None:
        """This connection from now on."""
        self._memory = memory

    def has_changed(self) -> bool:
        """Whether the server has reported a setting that nobody is known to have set."""
        return bool(self._changed)

    def _take_server(self, code: int, data: bytes, at: int, total: int, now: float) -> bytes | None:
        ledger = self._ledger
        if code == 0x31 or code == 0x33:  # ParseComplete, CloseComplete
            if ledger.head == _MAYBE:
                ledger.skip_maybes()
            head = ledger.head
            if head == _PARSE:
                entry = ledger.first()
                if entry.is_stood_in:
                    if code == 0x33:
                        self._confirm_parse(ledger.take(), now)
                        return _PARSE_COMPLETE
                    raise PeerViolation("the data source sent an answer out of step")
                if code == 0x31:
                    self._confirm(entry)
            elif (head == _OUR_PARSE and code == 0x31) or (head == _OUR_CLOSE and code == 0x33):
                self._confirm(ledger.take())
                return b""
        elif ledger.head == _OUR_QUERY:
            if code == 0x43:
                return b""
            if code == 0x5A:
                ledger.take()
                return b""
            if code == 0x45:
                raise PeerViolation("the data source did not take a setting, or a DISCARD, again")
        elif code == 0x43:
            # SET, RESET and ROLLBACK, each with its length; and not each SELECT of one row.
            if total == 9 or total == 11 or (total == 14 and data[at + 5] == 0x52):
                self._note_setting(data, at, total)
        elif code == 0x5A:
            if ledger.head == _QUERY:
                # A Query drops the unnamed statement (exec_simple_query).
                self.forget(b"", now)
            if self._made:
                self._settle(is_idle=total == 6 and data[at + 5] == _IDLE)
        elif code == 0x45 and self._made:
            # What was done since the last Sync is undone, unless the client has committed it.
            self._lose_made()
        return ServerScan._take_server(self, code, data, at, total, now)

    def _note_setting(self, data: bytes, at: int, total: int) -> None:
        """SET or RESET has succeeded: a change that is carried on, or nobody knows which."""
        tag = data[at + 5 : at + total - 1]
        ledger = self._ledger
        if tag == b"ROLLBACK" and self._made:
            # In one pipeline with what it may have undone.
            self._lose_made()
        if tag != b"SET" and tag != b"RESET":
            return
        if ledger.head == _MAYBE:
            ledger.skip_maybes()
        change: tuple[bytes, bytes] | None = None
        if ledger.head == _QUERY:
            change = self._of_client.change_of(ledger.first())
        elif ledger.head == _EXECUTE:
            prepared = self._statements.in_portal(ledger.first().name)
            if prepared is not None:
                change = prepared.sets
        if change is not None:
            self._made.append(change)
        elif tag == b"RESET" and (self._made or self._of_client.settings):
            # Of those that the session has set, or of one.
            self._of_client.pin("setting")

    def _settle(self, *, is_idle: bool) -> None:
        made, self._made = self._made, []
        self._of_client.settle(made, is_idle)
        if self._of_client.pinned_by:
            return
        after_login = dict(self._memory.parameters)
        for name, value in list(self._changed.items()):
            if name:
                del self._changed[name]
                self.reported.pop(name, None)
                if after_login.get(name) != value:
                    self.reported[name] = value

    def _lose_made(self) -> None:
        """What is set now is not known any more."""
        self._made = []
        self._of_client.pin("setting")

    def _confirm(self, entry: Expected) -> None:
        prepared = entry.prepared
        if prepared is None:
            return
        if isinstance(prepared, Text):
            if entry.code == _OUR_CLOSE:
                self._memory.statements.confirm_close(prepared, entry)
            else:
                self._memory.statements.confirm_parse(prepared, entry)
        elif prepared.shared is not None:
            self._memory.statements.confirm_parse(prepared.shared, entry)
        elif not prepared.name:
            self._of_client.confirm_unnamed(prepared)

    def _dropped(self, dropped: list[Expected], sqlstate: str, now: float) -> None:
        first = dropped[0]
        statements = self._memory.statements
        self._of_client.lose_unnamed()
        for entry in dropped:
            text = entry.prepared
            if text is None:
                continue
            if not isinstance(text, Text):
                text = text.shared
            if entry.code == _OUR_CLOSE:
                statements.lose_close(text, entry)
            elif text is not None and (entry.code == _OUR_PARSE or entry.code == _PARSE):
                statements.lose_parse(text, entry)
        if first.code == _PARSE and not first.name:
            # The server drops the unnamed statement before it parses another.
            self.forget(b"", now)
        elif first.code == _BIND or first.code == _EXECUTE:
            prepared = first.prepared
            if sqlstate in _OUTDATED and prepared is not None and prepared.shared is not None:
                prepared.shared.epoch += 1

    def _follow_deallocate(self, tag: bytes, statement: Statement | None, now: float) -> None:
        ServerScan._follow_deallocate(self, tag, statement, now)
        if tag == b"DISCARD ALL" or tag == b"DEALLOCATE ALL":
            self._memory.statements.forget_doubtful()
        if tag == b"DISCARD ALL":
            # It ends at once, outside of any transaction.
            self._made.append(RESET_ALL)
            if self._ledger.head == _QUERY:
                self._of_client.unpin(self._ledger.first())

    def _follow(self, data: bytes, at: int, total: int) -> None:
        ServerScan._follow(self, data, at, total)
        if total > _LOOK_LIMIT:
            self._changed[b""] = b""
            return
        name, _, value = data[at + 5 : at + total - 1].partition(b"\0")
        expected = self.reported.get(name)
        if expected is None:
            expected = dict(self._memory.parameters).get(name)
        if expected == value:
            self._changed.pop(name, None)
        else:
            self._changed[name] = value
