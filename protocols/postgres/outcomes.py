# cython: annotation_typing=False
"""What the server's answers mean for what was asked: each ends something, or makes it true.

Called for whole messages, or as much of them as is looked at (``scan_server`` sees to that),
of which the ``ledger`` knows whom they answer.

Plain Python; compiled with the types in ``outcomes.pxd``.
"""

from __future__ import annotations

from protocols.errors import PeerViolation, Refusal
from protocols.interface import ScanLimits
from protocols.postgres import expected
from protocols.postgres.answers import deallocated_names, error_fields, followed_setting
from protocols.postgres.in_place import ServerError
from protocols.postgres.ledger import Expected, Ledger
from protocols.postgres.prepared import PreparedStatements, retell
from protocols.postgres.records import Records
from protocols.postgres.refuse import CANCELED, refusal_message
from protocols.postgres.refuse import sqlstate as sqlstate_of
from protocols.statements import Outcome, Statement

_NOTHING = expected.NOTHING
_QUERY = expected.QUERY
_FUNCTION = expected.FUNCTION
_SYNC = expected.SYNC
_PARSE = expected.PARSE
_EXECUTE = expected.EXECUTE
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

_CANCELED = CANCELED

LOOK_LIMIT = 1024
"""Bytes: a server message whose content we read is held until so much of it is here. A command
tag has at most 64 (COMPLETION_TAG_BUFSIZE), an error's SQLSTATE stands in front of its texts, a
setting we follow is shorter still."""
_LOOK_LIMIT = LOOK_LIMIT  # compiled, it is a number of C's here

# CommandComplete beyond this is no server's.
_TAG_LIMIT = 1024


class Outcomes:
    """How the statements of one session end.

    ``status`` is the transaction's, as the newest ReadyForQuery told it; ``settings`` the
    followed ones; ``is_fatal``: the server has said that it ends the session.
    """

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
        self._keeps_values = limits.values > 0
        self.status = status
        self.settings: dict[bytes, bytes] = {}
        self.is_fatal = False
        # The server takes copy data.
        self._is_copy_in = False

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
        stopped = self._records.why_stopped() if sqlstate == _CANCELED else None
        if head == _NOTHING or head == _SYNC or head == _MAYBE:
            self._records.fail_commit(sqlstate, now)
            return None if stopped is None else refusal_message(stopped, is_fatal=False)
        self._is_copy_in = False
        ledger.is_copying = False
        entry = ledger.first()
        replacement: bytes | None = None
        if entry.refusal is not None:
            assert isinstance(entry.refusal, Refusal)
            replacement = refusal_message(entry.refusal, is_fatal=False)
            sqlstate = sqlstate_of(entry.refusal)
        elif stopped is not None:
            replacement = refusal_message(stopped, is_fatal=False)
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
        self._dropped(dropped, sqlstate, now)
        failed = _FAILED if first.refusal is None else _REFUSED
        if isinstance(first.refusal, ServerError):
            failed = _FAILED
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

    def _dropped(self, dropped: list[Expected], sqlstate: str, now: float) -> None:
        """These are not answered any more: the first has failed, the others are skipped."""

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
