# cython: annotation_typing=False
"""From the server: follows its answers, counts rows, lets the bodies pass.

Of a row only the header and the first byte are read; a chunk goes on untouched and
whole wherever no answer in it is replaced. What is held back are the first bytes of the
short packets whose content matters: OK, ERR, EOF, counts ("Text Resultset", "Binary
Protocol Resultset", "COM_STMT_PREPARE Response" in the MySQL source documentation).

Plain Python; compiled with the types in ``scan_server.pxd``.
"""

from __future__ import annotations

from protocols.errors import PeerViolation, Refusal
from protocols.interface import ScanLimits
from protocols.metering import ResultMeter, Share
from protocols.mysql import expected, local_file
from protocols.mysql.framing import MAX_PAYLOAD
from protocols.mysql.in_place import error_packet, refused
from protocols.mysql.ledger import Expected, Ledger
from protocols.mysql.prepared import PreparedStatements
from protocols.mysql.refuse import INTERRUPTED, sqlstate_of
from protocols.statements import Kind, Outcome, StatementSink

_RESET = expected.RESET
_TEXT = expected.TEXT
_QUERY = expected.QUERY
_EXECUTE = expected.EXECUTE
_PREPARE = expected.PREPARE
_FETCH = expected.FETCH
_FIELDS = expected.FIELDS
_NO_FILE = expected.NO_FILE
_FILE_COMING = expected.FILE_COMING

# A member of an Enum is looked up through its class; these are read for every statement.
_FAILED = Outcome.FAILED
_PENDING = Outcome.PENDING
_PREPARED = Outcome.PREPARED
_SUCCEEDED = Outcome.SUCCEEDED
_SUSPENDED = Outcome.SUSPENDED

# Where in an answer the server is.
_FIRST = 0  # before its first packet, or a further result's
_DEFINITIONS = 1  # in definitions of columns or parameters, so many to go
_DEFINED = 2  # at the EOF behind a result set's columns
_ROWS = 3  # in rows, up to OK, EOF or ERR
_PARAMETERS_DEFINED = 4  # at the EOF behind a prepared statement's parameters
_COLUMNS_DEFINED = 5  # at the EOF behind its columns
_FIELD_LIST = 6  # in definitions up to an EOF
_AFTER_FILE = 7  # before the OK or ERR for a file that the client sent

_FULL = MAX_PAYLOAD

_MORE_RESULTS = 0x0008  # SERVER_MORE_RESULTS_EXISTS
_CURSOR_EXISTS = 0x0040  # SERVER_STATUS_CURSOR_EXISTS
_LAST_ROW_SENT = 0x0080  # SERVER_STATUS_LAST_ROW_SENT

# In an OK of ours: SERVER_SESSION_STATE_CHANGED announces text that is not there.
_NOT_OURS = 0x4000 | _MORE_RESULTS

# Of a packet whose content matters, this much is looked at: two integers of nine bytes
# and two of two are the most in front of an OK's text.
_LOOK_LIMIT = 32

# A server allows 4096 columns in a table and in a select list; a proxy may allow more.
_COLUMN_LIMIT = 65_535

# Beyond this, "affected rows" is no count: servers say -1 where there is none.
_AFFECTED_LIMIT = 1 << 48

# The errors with which a server ends a session: ER_SERVER_SHUTDOWN, MariaDB's
# ER_CONNECTION_KILLED, ER_SESSION_WAS_KILLED, ER_CLIENT_INTERACTION_TIMEOUT, and what it
# says of a packet that it does not read to its end.
_FATAL = frozenset({1053, 1153, 1156, 1157, 1158, 1159, 1160, 1161, 1927, 3169, 4031})

# MariaDB's progress report is an ERR of this number (CLIENT_PROGRESS, never negotiated).
_PROGRESS = 0xFFFF

# Bytes of an ERR packet: its text has 512 at most (MYSQL_ERRMSG_SIZE), a proxy's a few more.
_ERROR_LIMIT = 8192

# By a statement's first word: what changes nothing where it only reads.
_READING = frozenset({Kind.SELECT, Kind.SHOW, Kind.EXPLAIN, Kind.FETCH})

_OUT_OF_STEP = "the data source sent an answer out of step"
_OUT_OF_ORDER = "the data source sent packets out of order"
_INTERRUPTED = INTERRUPTED
_INVALID_LENGTH = "the data source sent an invalid message length"


class ServerScan:
    """One direction of a session: what goes to the client.

    ``renumbers``: what arrives was compressed, and its packets' numbers mean nothing (see
    ``compressed``). They are not compared but replaced by those that the client expects.
    """

    def __init__(
        self,
        sink: StatementSink,
        limits: ScanLimits,
        ledger: Ledger,
        prepared: PreparedStatements,
        deprecates_eof: bool,
        renumbers: bool = False,
        meter: ResultMeter | None = None,
    ) -> None:
        self._sink = sink
        self._renumbers = renumbers
        # The chunk being read, to be written into, where packets are renumbered.
        self._fresh: bytearray | None = None
        self._ledger = ledger
        self._prepared = prepared
        self._deprecates_eof = deprecates_eof
        self._message_limit = limits.message
        self._held = b""
        self._pass = 0
        self._drop = 0
        self._is_continued = False
        self._size = 0
        # The answer at the head of the ledger: nothing of it is here yet; where in it;
        # the next packet's number.
        self._is_untouched = True
        self._state = _FIRST
        self._sequence = 0
        # How many definitions are to come, and what stands behind them.
        self._definitions = 0
        self._behind = _DEFINED
        self._columns = 0
        self._is_binary = False
        self._number = 0
        # Rows that were sent, and those that were changed.
        self._rows = 0
        self._affected = 0
        self._bytes = 0
        # Where answers are limited: what has passed of this one, and the one that was cut,
        # with the number of the packet that stands in the place of its rest.
        self._meter = meter
        self._share = None if meter is None else Share(meter)
        self._base_rows = 0
        self._base_bytes = 0
        self._row_cap = 0
        self._size_cap = 0
        self._cut: Refusal | None = None
        self._cut_sequence = 0
        self._is_over = False
        # What the client expects where a chunk turns out to be broken and is not sent.
        self._is_reading = False
        self._sequence_before = 0

    def remaining(self) -> int:
        """How many bytes the packet that the client is being sent still lacks."""
        if self._cut is not None:
            return 0
        if self._is_continued:
            # Nobody knows how long a message is that another packet continues.
            return 1 << 40
        return self._pass

    def is_between(self) -> bool:
        """Whether no message of the server is half here."""
        return (
            self._pass == 0 and self._drop == 0 and not self._is_continued and len(self._held) == 0
        )

    def is_between_answers(self) -> bool:
        """Whether nothing is here of the answer that comes next."""
        return self._is_untouched and self.is_between()

    def next_sequence(self, idle: int) -> int:
        """The packet number that the client expects next; ``idle`` where nothing is owed."""
        if self._cut is not None:
            return self._cut_sequence
        if self._is_reading:
            return self._sequence_before
        ledger = self._ledger
        if ledger.count == 0:
            return idle
        if ledger.file_state != _NO_FILE:
            return ledger.file_sequence
        return ledger.first().sequence if self._is_untouched else self._sequence

    def read(self, data: bytes, now: float, idle: int) -> bytes:
        """Account for the server's answers; return what goes to the client now."""
        if self._is_over:
            return b""
        self._sequence_before = self.next_sequence(idle)
        self._is_reading = True
        is_limited = self._share is not None
        if is_limited:
            self._renew()
        if self._held:
            data = self._held + data
            self._held = b""
        size = len(data)
        at = 0
        self._fresh = fresh = bytearray(data) if self._renumbers else None
        if self._pass > 0:
            if self._pass > size:
                self._pass -= size
                self._is_reading = False
                return data
            # Forgotten at the end: a violation behind it must not cut this message short.
            at = self._pass
        remaining = 0
        copied = 0
        pieces: list[bytes] | None = None
        if self._drop > 0:
            if self._drop > size:
                self._drop -= size
                self._is_reading = False
                return b""
            at = copied = self._drop
            pieces = []
            self._drop = 0
        state = self._state
        sequence = self._sequence
        rows = self._rows
        count = self._bytes
        is_binary = self._is_binary
        p = data
        while at < size:
            left = size - at
            if left < 4:
                self._held = data[at:]
                break
            length = p[at] | (p[at + 1] << 8) | (p[at + 2] << 16)
            total = length + 4
            if self._is_continued:
                if self._cut is None:
                    count += total
                if p[at + 3] != sequence:
                    self._renumber(at, sequence)
                self._size += length
                if self._size > self._message_limit:
                    raise PeerViolation(_INVALID_LENGTH)
                self._is_continued = length == _FULL
            else:
                if length == 0:
                    raise PeerViolation("the data source sent an empty packet")
                if left < 5:
                    self._held = data[at:]
                    break
                first = p[at + 4]
                if state == _ROWS and first != 0xFF and (first != 0xFE or length == _FULL):
                    if p[at + 3] != sequence:
                        self._renumber(at, sequence)
                    if is_binary and first != 0:
                        raise PeerViolation("the data source sent an invalid row")
                    if length > self._message_limit:
                        raise PeerViolation(_INVALID_LENGTH)
                    if length == _FULL:
                        self._is_continued = True
                        self._size = length
                    if not is_limited or not self._is_beyond(rows, count, total, sequence):
                        rows += 1
                        count += total
                elif state == _DEFINITIONS and first != 0xFF:
                    if p[at + 3] != sequence:
                        self._renumber(at, sequence)
                    if length == _FULL or first == 0xFE:
                        raise PeerViolation("the data source sent an invalid definition")
                    count += total
                    self._definitions -= 1
                    if self._definitions == 0:
                        self._bytes = count
                        self._defined(now)
                        count = self._bytes
                        state = self._state
                else:
                    if left < total and left < self._needed(first, total):
                        self._held = data[at:]
                        break
                    self._rows = rows
                    self._bytes = count + total
                    replacement = self._take(first, data, at, total, sequence, now)
                    state = self._state
                    rows = self._rows
                    count = self._bytes
                    is_binary = self._is_binary
                    sequence = p[at + 3] if fresh is None else fresh[at + 3]
                    if is_limited:
                        if self._cut is not None:
                            replacement = self._behind_cut()
                        elif first == 0 and state == _ROWS:
                            # The first row of a fetch, which nothing stands before.
                            rows, count = 0, 0
                            if self._is_beyond(rows, count, total, sequence):
                                sequence = (sequence + 1) & 0xFF
                                replacement = b""
                            else:
                                rows, count = 1, total
                    if replacement is not None:
                        if pieces is None:
                            pieces = []
                        if copied < at:
                            pieces.append(_part(data, fresh, copied, at))
                        pieces.append(replacement)
                        if left < total:
                            self._drop = total - left
                            at = copied = size
                            break
                        at += total
                        copied = at
                        continue
            sequence = (sequence + 1) & 0xFF
            if is_limited and self._cut is not None:
                if pieces is None:
                    pieces = []
                if copied < at:
                    pieces.append(_part(data, fresh, copied, at))
                if left < total:
                    self._drop = total - left
                    at = copied = size
                    break
                at += total
                copied = at
                continue
            if left < total:
                remaining = total - left
                at = size
                break
            at += total
        self._pass = remaining
        self._state = state
        self._sequence = sequence
        self._rows = rows
        self._bytes = count
        self._is_reading = False
        if is_limited:
            self._renew()
        if pieces is None:
            return data if at >= size and fresh is None else _part(data, fresh, 0, at)
        if copied < at:
            pieces.append(_part(data, fresh, copied, at))
        return b"".join(pieces)

    def _renumber(self, at: int, sequence: int) -> None:
        """The packet there has another number than the client expects."""
        if self._fresh is None:
            raise PeerViolation(_OUT_OF_ORDER)
        self._fresh[at + 3] = sequence

    # -- answers that are limited ------------------------------------------------------

    def _renew(self) -> None:
        """Account for what has passed, and see how much more may."""
        share = self._share
        if share is None or self._cut is not None:
            return
        share.renew(self._base_rows + self._rows, self._base_bytes + self._bytes)
        self._row_cap = share.row_cap - self._base_rows
        self._size_cap = share.size_cap - self._base_bytes

    def _begin_limited(self, entry: Expected) -> None:
        """The first packet of an answer: part of its rows may have passed before."""
        if self._share is None or entry.runs is None:
            return
        if entry.code == _FETCH:
            self._base_rows, self._base_bytes = entry.runs.fetched
            self._share.begin(self._base_rows, self._base_bytes)
            self._row_cap = self._share.row_cap - self._base_rows
            self._size_cap = self._share.size_cap - self._base_bytes
        else:
            entry.runs.fetched = (0, 0)

    def _is_beyond(self, rows: int, count: int, size: int, sequence: int) -> bool:
        """Whether one more row, of so many bytes, must not pass; the answer is cut there."""
        if self._cut is None:
            if rows < self._row_cap and count + size <= self._size_cap:
                return False
            meter = self._meter
            assert meter is not None, "only a meter makes limits"
            self._rows, self._bytes = rows, count
            self._renew()
            self._cut = meter.cut(self._base_rows + rows + 1, self._base_bytes + count + size)
            self._cut_sequence = sequence
        return True

    def _behind_cut(self) -> bytes:
        """What stands for the end of an answer that was cut."""
        refusal = self._cut
        meter = self._meter
        assert refusal is not None, "only what was cut has an end like this"
        assert meter is not None, "only a meter makes limits"
        if self._is_untouched:
            self._cut = None
            self._renew()
            return error_packet(self._cut_sequence, refused(refusal))
        if not self._is_over:
            self._is_over = True
            meter.give_up(refusal)
        return b""

    def _needed(self, first: int, total: int) -> int:
        """How much of a packet must be here before it is taken."""
        limit = _LOOK_LIMIT
        if first == 0xFB and self._state == _FIRST:
            limit = 5 + local_file.NAME_LIMIT
        return min(total, limit)

    def _take(
        self, first: int, data: bytes, at: int, total: int, sequence: int, now: float
    ) -> bytes | None:
        """Account for one packet whose content matters; what stands for it, or None."""
        ledger = self._ledger
        if ledger.count == 0:
            self._take_unasked(first, data, at, total)
            return None
        entry = ledger.first()
        if self._is_untouched:
            sequence = 1 if entry.is_replaced else entry.sequence
        elif self._state == _AFTER_FILE:
            sequence = ledger.file_sequence
        if first == 0xFF:
            return self._take_error(entry, data, at, total, sequence, now)
        if data[at + 3] != sequence:
            self._renumber(at, sequence)
        if not entry.is_whole or ledger.file_state == _FILE_COMING:
            raise PeerViolation(_OUT_OF_STEP)
        if self._is_untouched:
            self._begin_limited(entry)
        self._is_untouched = False
        is_row = entry.code == _FETCH and self._state == _FIRST and first == 0
        if (total == _FULL + 4 and not is_row) or total - 4 > self._message_limit:
            raise PeerViolation(_INVALID_LENGTH)
        if entry.is_replaced:
            self._end_result(entry, first, data, at, total, now)
            return self._in_place(entry, now)
        if self._state == _FIRST:
            self._take_first(entry, first, data, at, total, sequence, now)
        elif self._state == _FIELD_LIST:
            if first == 0xFE:
                self._end_result(entry, first, data, at, total, now)
        elif self._state == _AFTER_FILE:
            if first != 0:
                raise PeerViolation(_OUT_OF_STEP)
            self._end_result(entry, first, data, at, total, now)
        else:
            if first != 0xFE:
                raise PeerViolation(_OUT_OF_STEP)
            self._take_eof(entry, data, at, total, now)
        return None

    def _take_first(
        self,
        entry: Expected,
        first: int,
        data: bytes,
        at: int,
        total: int,
        sequence: int,
        now: float,
    ) -> None:
        """The first packet of an answer or of a further result."""
        code = entry.code
        if code == _QUERY or code == _EXECUTE:
            if first == 0:
                self._end_result(entry, first, data, at, total, now)
            elif first == 0xFB:
                self._take_file(entry, data, at, total, sequence)
            else:
                self._definitions = self._column_count(first, data, at, total)
                self._behind = _DEFINED
                self._is_binary = code == _EXECUTE
                self._state = _DEFINITIONS
        elif code == _PREPARE:
            if first != 0 or total < 16:
                raise PeerViolation(_OUT_OF_STEP)
            self._number = int.from_bytes(data[at + 5 : at + 9], "little")
            self._columns = data[at + 9] | (data[at + 10] << 8)
            self._definitions = data[at + 11] | (data[at + 12] << 8)
            if self._definitions > 0:
                self._behind = _PARAMETERS_DEFINED
                self._state = _DEFINITIONS
            else:
                self._begin_columns(now)
        elif code == _FETCH:
            self._state = _ROWS
            self._is_binary = True
            if first == 0:
                self._rows = 1
                self._is_continued = total == _FULL + 4
                self._size = _FULL
            else:
                self._end_result(entry, first, data, at, total, now)
        elif code == _FIELDS:
            self._state = _FIELD_LIST
            if first == 0xFE:
                self._end_result(entry, first, data, at, total, now)
        elif code == _TEXT:
            self._finish(_SUCCEEDED, "", now)
        else:
            self._end_result(entry, first, data, at, total, now)

    def _column_count(self, first: int, data: bytes, at: int, total: int) -> int:
        if first < 0xFB and total == 5:
            return first
        if first == 0xFC and total == 7:
            columns = data[at + 5] | (data[at + 6] << 8)
            if 0 < columns <= _COLUMN_LIMIT:
                return columns
        raise PeerViolation(_OUT_OF_STEP)

    def _take_file(self, entry: Expected, data: bytes, at: int, total: int, sequence: int) -> None:
        """LOCAL INFILE Request: the client will send a file, if it asked to."""
        ledger = self._ledger
        if total > 5 + local_file.NAME_LIMIT or not entry.text:
            raise PeerViolation("the data source asked for a file that nobody loads")
        if not local_file.is_named(entry.text, data[at + 5 : at + total]):
            raise PeerViolation("the data source asked for another file than the client loads")
        if ledger.count > 1 or not ledger.is_client_between or ledger.has_silent_behind:
            raise PeerViolation("a command was sent in the place of a file")
        ledger.file_state = _FILE_COMING
        ledger.is_file_continued = False
        ledger.file_sequence = (sequence + 1) & 0xFF
        ledger.files += 1
        self._state = _AFTER_FILE

    def _defined(self, now: float) -> None:
        """The last of the announced definitions has come."""
        if self._behind == _DEFINED:
            self._state = _ROWS if self._deprecates_eof else _DEFINED
        elif not self._deprecates_eof:
            self._state = self._behind
        elif self._behind == _PARAMETERS_DEFINED:
            self._begin_columns(now)
        else:
            self._confirm(now)

    def _begin_columns(self, now: float) -> None:
        """A prepared statement's columns, if it has any."""
        if self._columns == 0:
            self._confirm(now)
            return
        self._definitions = self._columns
        self._behind = _COLUMNS_DEFINED
        self._state = _DEFINITIONS

    def _confirm(self, now: float) -> None:
        """The answer to COM_STMT_PREPARE is complete."""
        entry = self._ledger.first()
        self._prepared.confirm(self._number, entry.prepared)
        self._finish(_PREPARED, "", now)

    def _take_eof(self, entry: Expected, data: bytes, at: int, total: int, now: float) -> None:
        """The end of rows, or of definitions."""
        state = self._state
        if state == _ROWS:
            self._end_result(entry, 0xFE, data, at, total, now)
            return
        if total != 9:
            raise PeerViolation(_INVALID_LENGTH)
        if state == _DEFINED:
            status = data[at + 7] | (data[at + 8] << 8)
            if entry.has_cursor and status & _CURSOR_EXISTS:
                self._end_result(entry, 0xFE, data, at, total, now)
            else:
                self._state = _ROWS
        elif state == _PARAMETERS_DEFINED:
            self._begin_columns(now)
        elif state == _COLUMNS_DEFINED:
            self._confirm(now)
        else:
            raise PeerViolation(_OUT_OF_STEP)

    def _end_result(
        self, entry: Expected, first: int, data: bytes, at: int, total: int, now: float
    ) -> None:
        """An OK or EOF packet: the end of a result, and mostly of the whole answer."""
        code = entry.code
        affected = 0
        if first == 0xFE and total == 9:
            status = data[at + 7] | (data[at + 8] << 8)
        else:
            if first != 0 and not (first == 0xFE and self._deprecates_eof):
                raise PeerViolation(_OUT_OF_STEP)
            stop = min(at + total, len(data))
            place = at + 5
            size = _integer_size(data, place, stop)
            affected = _integer(data, place, size)
            place += size
            place += _integer_size(data, place, stop)
            if place + 4 > stop:
                raise PeerViolation(_INVALID_LENGTH)
            status = data[place] | (data[place + 1] << 8)
        ledger = self._ledger
        ledger.status = status
        ledger.is_fatal = False
        if entry.is_replaced:
            return
        if self._cut is not None and not _only_read(entry, status):
            # To the client an error would mean that nothing was done.
            return
        if first == 0:
            self._affected += affected
        if code == _QUERY or code == _EXECUTE:
            if status & _MORE_RESULTS:
                ledger.file_state = _NO_FILE
                self._state = _FIRST
                return
            if entry.has_cursor and status & _CURSOR_EXISTS and not status & _LAST_ROW_SENT:
                self._finish(_SUSPENDED, "", now)
                return
        elif code == _FETCH:
            if not status & _LAST_ROW_SENT:
                self._finish(_SUSPENDED, "", now)
                return
        elif code == _RESET:
            self._prepared.forget_all()
        self._finish(_SUCCEEDED, "", now)

    def _in_place(self, entry: Expected, now: float) -> bytes:
        """The answer to the COM_PING that went upstream, made into the client's."""
        answer = entry.in_place
        if answer is None:
            self._finish(_SUCCEEDED, "", now)
            # Nothing of the session has changed for the client, and nothing follows.
            status = (self._ledger.status & ~_NOT_OURS).to_bytes(2, "little")
            return b"\7\0\0" + bytes((entry.sequence,)) + b"\0\0\0" + status + b"\0\0"
        self._finish(answer.outcome, answer.sqlstate, now)
        return error_packet(entry.sequence, answer)

    def _take_error(
        self, entry: Expected, data: bytes, at: int, total: int, sequence: int, now: float
    ) -> bytes | None:
        number, sqlstate = _error(data, at, total)
        is_fatal = number in _FATAL
        ledger = self._ledger
        if self._fresh is not None:
            self._renumber(at, sequence)
        elif not is_fatal and data[at + 3] != sequence:
            raise PeerViolation(_OUT_OF_ORDER)
        if not is_fatal and (not entry.is_whole or ledger.file_state == _FILE_COMING):
            raise PeerViolation(_OUT_OF_ORDER)
        ledger.is_fatal = is_fatal
        if entry.is_replaced and not is_fatal:
            return self._in_place(entry, now)
        if entry.prepared is not None:
            self._prepared.fail(entry.prepared)
        stopped = self._sink.why_stopped() if number == _INTERRUPTED else None
        if stopped is None:
            self._finish(_FAILED, sqlstate, now)
            return None
        self._finish(_FAILED, sqlstate_of(stopped), now)
        return error_packet(sequence, refused(stopped))

    def _take_unasked(self, first: int, data: bytes, at: int, total: int) -> None:
        """With nothing owed a server says one thing only: why it ends the session."""
        if first != 0xFF or self._ledger.is_fatal:
            raise PeerViolation("the data source sent an answer that nobody asked for")
        _error(data, at, total)
        self._ledger.is_fatal = True
        self._bytes = 0

    def _finish(self, outcome: Outcome, sqlstate: str, now: float) -> None:
        """The answer at the head is complete."""
        entry = self._ledger.take()
        self._is_untouched = True
        self._state = _FIRST
        statement = entry.statement
        if self._cut is not None:
            outcome = Outcome.FAILED
            sqlstate = sqlstate_of(self._cut)
        if self._share is not None:
            self._renew()
            if entry.code == _FETCH and entry.runs is not None:
                entry.runs.fetched = (
                    self._base_rows + self._rows,
                    self._base_bytes + self._bytes,
                )
            self._base_rows = self._base_bytes = 0
            self._share.begin()
        if statement is not None and statement.outcome is _PENDING:
            statement.outcome = outcome
            statement.code = sqlstate
            statement.ended = now
            statement.rows = self._rows + self._affected
            statement.bytes_out = self._bytes
            self._rows = 0
            self._bytes = 0
            self._sink.end(statement)
        self._rows = 0
        self._affected = 0
        self._bytes = 0
        self._renew()


def _only_read(entry: Expected, status: int) -> bool:
    """Whether what the server has finished was one statement that only reads."""
    statement = entry.statement
    return statement is not None and statement.kind in _READING and not status & _MORE_RESULTS


def _part(data: bytes, fresh: bytearray | None, start: int, stop: int) -> bytes:
    """A part of a chunk, with the numbers that its packets were given."""
    return data[start:stop] if fresh is None else bytes(fresh[start:stop])


def _error(data: bytes, at: int, total: int) -> tuple[int, str]:
    """Number and SQLSTATE of an ERR packet."""
    if total < 7 or total > _ERROR_LIMIT:
        raise PeerViolation(_INVALID_LENGTH)
    number = data[at + 5] | (data[at + 6] << 8)
    if number == _PROGRESS:
        raise PeerViolation("the data source sent a progress report that nobody asked for")
    sqlstate = data[at + 8 : at + 13]
    if total >= 13 and data[at + 7] == 0x23 and sqlstate.isalnum():
        return number, sqlstate.decode("ascii")
    return number, "HY000"


def _integer_size(data: bytes, at: int, stop: int) -> int:
    """How many bytes a length-encoded integer has, all of which are here."""
    size = 1
    if at < stop:
        first = data[at]
        if first == 0xFC:
            size = 3
        elif first == 0xFD:
            size = 4
        elif first == 0xFE:
            size = 9
        elif first > 0xFA:
            raise PeerViolation("the data source sent an invalid integer")
    if at + size > stop:
        raise PeerViolation(_INVALID_LENGTH)
    return size


def _integer(data: bytes, at: int, size: int) -> int:
    """A length-encoded integer; what no count can be is 0."""
    if size == 1:
        return data[at]
    value = int.from_bytes(data[at + 1 : at + size], "little")
    return value if value < _AFFECTED_LIMIT else 0
