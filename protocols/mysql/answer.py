# cython: annotation_typing=False
"""The answer that a server is giving: where in it the server is, and how it ends.

OK and EOF end a result, and mostly the answer; ERR ends it at once ("Generic Response
Packets" in the MySQL source documentation). What an answer's other packets are, ``packets``
knows; this file ends the records.

Plain Python; compiled with the types in ``answer.pxd``.
"""

from __future__ import annotations

import cython

from protocols.errors import PeerViolation
from protocols.mysql import expected
from protocols.mysql import status as flags
from protocols.mysql.answers import OUT_OF_ORDER, OUT_OF_STEP
from protocols.mysql.in_place import error_packet, refused
from protocols.mysql.ledger import Expected, Ledger
from protocols.mysql.limited import AnswerLimit
from protocols.mysql.prepared import PreparedStatements
from protocols.mysql.refuse import INTERRUPTED, sqlstate_of
from protocols.statements import Kind, Outcome, StatementSink

if cython.compiled:
    from cython.cimports.protocols.mysql.answers import affected_rows, error_in, renumber, status_at
else:
    from protocols.mysql.answers import affected_rows, error_in, renumber, status_at

_RESET = expected.RESET
_QUERY = expected.QUERY
_EXECUTE = expected.EXECUTE
_FETCH = expected.FETCH
_NO_FILE = expected.NO_FILE
_FILE_COMING = expected.FILE_COMING
_FIRST = expected.FIRST

# A member of an Enum is looked up through its class; these are read for every statement.
_FAILED = Outcome.FAILED
_PENDING = Outcome.PENDING
_SUCCEEDED = Outcome.SUCCEEDED
_SUSPENDED = Outcome.SUSPENDED

_MORE_RESULTS = flags.MORE_RESULTS
_CURSOR_EXISTS = flags.CURSOR_EXISTS
_LAST_ROW_SENT = flags.LAST_ROW_SENT

# In an OK of ours: the first announces text that is not there.
_NOT_OURS = flags.SESSION_STATE_CHANGED | flags.MORE_RESULTS

# The errors with which a server ends a session: ER_SERVER_SHUTDOWN, MariaDB's
# ER_CONNECTION_KILLED, ER_SESSION_WAS_KILLED, ER_CLIENT_INTERACTION_TIMEOUT, and what it
# says of a packet that it does not read to its end.
_FATAL = frozenset({1053, 1153, 1156, 1157, 1158, 1159, 1160, 1161, 1927, 3169, 4031})

_INTERRUPTED = INTERRUPTED

# By a statement's first word: what changes nothing where it only reads.
_READING = frozenset({Kind.SELECT, Kind.SHOW, Kind.EXPLAIN, Kind.FETCH})


class Answer:
    """The answer at the head of the ledger; where it is complete, the next one.

    ``is_untouched``: nothing of it is here yet. ``state`` is where in it the server is.
    ``rows`` and ``size`` (bytes) count what the client was sent of it.
    """

    def __init__(
        self,
        sink: StatementSink,
        ledger: Ledger,
        prepared: PreparedStatements,
        deprecates_eof: bool,
        limit: AnswerLimit | None,
    ) -> None:
        self._sink = sink
        self._ledger = ledger
        self._prepared = prepared
        self._deprecates_eof = deprecates_eof
        self._limit = limit
        self.is_untouched = True
        self.state = _FIRST
        self.rows = 0
        self.size = 0
        # Rows that were changed.
        self._affected = 0

    def end_result(
        self, entry: Expected, first: int, data: bytes, at: int, total: int, now: float
    ) -> None:
        """An OK or EOF packet: the end of a result, and mostly of the whole answer."""
        code = entry.code
        affected = 0
        if first == 0xFE and total == 9:
            status = data[at + 7] | (data[at + 8] << 8)
        else:
            if first != 0 and not (first == 0xFE and self._deprecates_eof):
                raise PeerViolation(OUT_OF_STEP)
            stop = min(at + total, len(data))
            place = status_at(data, at + 5, stop)
            affected = affected_rows(data, at + 5, stop)
            status = data[place] | (data[place + 1] << 8)
        ledger = self._ledger
        ledger.status = status
        ledger.is_fatal = False
        if entry.is_replaced:
            return
        limit = self._limit
        if limit is not None and limit.cut is not None and not _only_read(entry, status):
            # To the client an error would mean that nothing was done.
            return
        if first == 0:
            self._affected += affected
        if code == _QUERY or code == _EXECUTE:
            if status & _MORE_RESULTS:
                ledger.file_state = _NO_FILE
                self.state = _FIRST
                return
            if entry.has_cursor and status & _CURSOR_EXISTS and not status & _LAST_ROW_SENT:
                self.finish(_SUSPENDED, "", now)
                return
        elif code == _FETCH:
            if not status & _LAST_ROW_SENT:
                self.finish(_SUSPENDED, "", now)
                return
        elif code == _RESET:
            self._prepared.forget_all()
        self.finish(_SUCCEEDED, "", now)

    def replace(self, entry: Expected, now: float) -> bytes:
        """The answer to the COM_PING that went upstream, made into the client's."""
        answer = entry.in_place
        if answer is None:
            self.finish(_SUCCEEDED, "", now)
            # Nothing of the session has changed for the client, and nothing follows.
            status = (self._ledger.status & ~_NOT_OURS).to_bytes(2, "little")
            return b"\7\0\0" + bytes((entry.sequence,)) + b"\0\0\0" + status + b"\0\0"
        self.finish(answer.outcome, answer.sqlstate, now)
        return error_packet(entry.sequence, answer)

    def fail(
        self,
        entry: Expected,
        data: bytes,
        fresh: bytearray | None,
        at: int,
        total: int,
        sequence: int,
        now: float,
    ) -> bytes | None:
        """An ERR packet: the answer, or the session, ends. What stands for it, or None."""
        number, sqlstate = error_in(data, at, total)
        is_fatal = number in _FATAL
        ledger = self._ledger
        if fresh is not None:
            renumber(fresh, at, sequence)
        elif not is_fatal and data[at + 3] != sequence:
            raise PeerViolation(OUT_OF_ORDER)
        if not is_fatal and (not entry.is_whole or ledger.file_state == _FILE_COMING):
            raise PeerViolation(OUT_OF_ORDER)
        ledger.is_fatal = is_fatal
        if entry.is_replaced and not is_fatal:
            return self.replace(entry, now)
        if entry.prepared is not None:
            self._prepared.fail(entry.prepared)
        stopped = self._sink.why_stopped() if number == _INTERRUPTED else None
        if stopped is None:
            self.finish(_FAILED, sqlstate, now)
            return None
        self.finish(_FAILED, sqlstate_of(stopped), now)
        return error_packet(sequence, refused(stopped))

    def end_session(self, first: int, data: bytes, at: int, total: int) -> None:
        """With nothing owed a server says one thing only: why it ends the session."""
        if first != 0xFF or self._ledger.is_fatal:
            raise PeerViolation("the data source sent an answer that nobody asked for")
        error_in(data, at, total)
        self._ledger.is_fatal = True
        self.size = 0

    def finish(self, outcome: Outcome, sqlstate: str, now: float) -> None:
        """The answer is complete."""
        entry = self._ledger.take()
        self.is_untouched = True
        self.state = _FIRST
        statement = entry.statement
        limit = self._limit
        if limit is not None:
            if limit.cut is not None:
                outcome = _FAILED
                sqlstate = sqlstate_of(limit.cut)
            limit.end(entry, self.rows, self.size)
        if statement is not None and statement.outcome is _PENDING:
            statement.outcome = outcome
            statement.code = sqlstate
            statement.ended = now
            statement.rows = self.rows + self._affected
            statement.bytes_out = self.size
            self.rows = 0
            self.size = 0
            self._sink.end(statement)
        self.rows = 0
        self._affected = 0
        self.size = 0
        if limit is not None:
            limit.renew(0, 0)


def _only_read(entry: Expected, status: int) -> bool:
    """Whether what the server has finished was one statement that only reads."""
    statement = entry.statement
    return statement is not None and statement.kind in _READING and not status & _MORE_RESULTS
