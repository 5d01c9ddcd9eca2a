# cython: annotation_typing=False
"""What a packet of an answer is, by its first byte and its place.

First packets, definitions and what stands behind them, and a server's request for a file
("Text Resultset", "Binary Protocol Resultset", "COM_STMT_PREPARE Response", "LOCAL INFILE
Request" in the MySQL source documentation). Rows and definitions are not seen here:
``scan_server`` lets them pass. ``answer`` knows how an answer ends.

Plain Python; compiled with the types in ``packets.pxd``.
"""

from __future__ import annotations

import cython

from protocols.errors import PeerViolation
from protocols.mysql import expected, local_file
from protocols.mysql import status as flags
from protocols.mysql.answer import Answer
from protocols.mysql.answers import INVALID_LENGTH, OUT_OF_STEP
from protocols.mysql.framing import MAX_PAYLOAD
from protocols.mysql.ledger import Expected, Ledger
from protocols.mysql.limited import AnswerLimit
from protocols.mysql.prepared import PreparedStatements
from protocols.statements import Outcome

if cython.compiled:
    from cython.cimports.protocols.mysql.answers import column_count, renumber
else:
    from protocols.mysql.answers import column_count, renumber

_TEXT = expected.TEXT
_QUERY = expected.QUERY
_EXECUTE = expected.EXECUTE
_PREPARE = expected.PREPARE
_FETCH = expected.FETCH
_FIELDS = expected.FIELDS
_FILE_COMING = expected.FILE_COMING

_FIRST = expected.FIRST
_DEFINITIONS = expected.DEFINITIONS
_DEFINED = expected.DEFINED
_ROWS = expected.ROWS
_PARAMETERS_DEFINED = expected.PARAMETERS_DEFINED
_COLUMNS_DEFINED = expected.COLUMNS_DEFINED
_FIELD_LIST = expected.FIELD_LIST
_AFTER_FILE = expected.AFTER_FILE

_PREPARED = Outcome.PREPARED
_SUCCEEDED = Outcome.SUCCEEDED

_FULL = MAX_PAYLOAD

_CURSOR_EXISTS = flags.CURSOR_EXISTS

# Of a packet whose content matters, this much is looked at: two integers of nine bytes
# and two of two are the most in front of an OK's text.
_LOOK_LIMIT = 32


class AnswerPackets:
    """Those of one session. ``definitions``: how many are to come; ``is_binary``: how rows look."""

    def __init__(
        self,
        ledger: Ledger,
        prepared: PreparedStatements,
        answer: Answer,
        limit: AnswerLimit | None,
        deprecates_eof: bool,
        message_limit: int,
    ) -> None:
        self._ledger = ledger
        self._prepared = prepared
        self._answer = answer
        self._limit = limit
        self._deprecates_eof = deprecates_eof
        self._message_limit = message_limit
        self.is_binary = False
        self.definitions = 0
        # What stands behind the definitions.
        self._behind = _DEFINED
        # Of the statement that is being prepared.
        self._number = 0
        self._columns = 0

    def needed(self, first: int, total: int) -> int:
        """How much of a packet must be here before it is taken."""
        limit = _LOOK_LIMIT
        if first == 0xFB and self._answer.state == _FIRST:
            limit = 5 + local_file.NAME_LIMIT
        return min(total, limit)

    def take(
        self,
        first: int,
        data: bytes,
        fresh: bytearray | None,
        at: int,
        total: int,
        sequence: int,
        now: float,
    ) -> bytes | None:
        """Account for one packet whose content matters; what stands for it, or None."""
        ledger = self._ledger
        answer = self._answer
        if ledger.count == 0:
            answer.end_session(first, data, at, total)
            return None
        entry = ledger.first()
        if answer.is_untouched:
            sequence = 1 if entry.is_replaced else entry.sequence
        elif answer.state == _AFTER_FILE:
            sequence = ledger.file_sequence
        if first == 0xFF:
            return answer.fail(entry, data, fresh, at, total, sequence, now)
        if data[at + 3] != sequence:
            renumber(fresh, at, sequence)
        if not entry.is_whole or ledger.file_state == _FILE_COMING:
            raise PeerViolation(OUT_OF_STEP)
        if answer.is_untouched:
            limit = self._limit
            if limit is not None:
                limit.begin(entry)
            answer.is_untouched = False
        state = answer.state
        is_row = entry.code == _FETCH and state == _FIRST and first == 0
        if (total == _FULL + 4 and not is_row) or total - 4 > self._message_limit:
            raise PeerViolation(INVALID_LENGTH)
        if entry.is_replaced:
            answer.end_result(entry, first, data, at, total, now)
            return answer.replace(entry, now)
        if state == _FIRST:
            self._take_first(entry, first, data, at, total, sequence, now)
        elif state == _FIELD_LIST:
            if first == 0xFE:
                answer.end_result(entry, first, data, at, total, now)
        elif state == _AFTER_FILE:
            if first != 0:
                raise PeerViolation(OUT_OF_STEP)
            answer.end_result(entry, first, data, at, total, now)
        else:
            if first != 0xFE:
                raise PeerViolation(OUT_OF_STEP)
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
        answer = self._answer
        if code == _QUERY or code == _EXECUTE:
            if first == 0:
                answer.end_result(entry, first, data, at, total, now)
            elif first == 0xFB:
                self._take_file(entry, data, at, total, sequence)
            else:
                self.definitions = column_count(first, data, at, total)
                self._behind = _DEFINED
                self.is_binary = code == _EXECUTE
                answer.state = _DEFINITIONS
        elif code == _PREPARE:
            if first != 0 or total < 16:
                raise PeerViolation(OUT_OF_STEP)
            self._number = int.from_bytes(data[at + 5 : at + 9], "little")
            self._columns = data[at + 9] | (data[at + 10] << 8)
            self.definitions = data[at + 11] | (data[at + 12] << 8)
            entry.prepared.parameters = self.definitions
            if self.definitions > 0:
                self._behind = _PARAMETERS_DEFINED
                answer.state = _DEFINITIONS
            else:
                self._begin_columns(now)
        elif code == _FETCH:
            answer.state = _ROWS
            self.is_binary = True
            if first == 0:
                answer.rows = 1
            else:
                answer.end_result(entry, first, data, at, total, now)
        elif code == _FIELDS:
            answer.state = _FIELD_LIST
            if first == 0xFE:
                answer.end_result(entry, first, data, at, total, now)
        elif code == _TEXT:
            answer.finish(_SUCCEEDED, "", now)
        else:
            answer.end_result(entry, first, data, at, total, now)

    def _take_file(self, entry: Expected, data: bytes, at: int, total: int, sequence: int) -> None:
        """LOCAL INFILE Request: the client will send a file, if it asked to."""
        ledger = self._ledger
        if total > 5 + local_file.NAME_LIMIT or entry.files == 0:
            raise PeerViolation("the data source asked for a file that nobody loads")
        if not local_file.is_named(entry.text, data[at + 5 : at + total]):
            raise PeerViolation("the data source asked for another file than the client loads")
        if ledger.count > 1 or not ledger.is_client_between or ledger.has_silent_behind:
            raise PeerViolation("a command was sent in the place of a file")
        ledger.file_state = _FILE_COMING
        ledger.is_file_continued = False
        ledger.file_sequence = (sequence + 1) & 0xFF
        ledger.files += 1
        entry.files -= 1
        self._answer.state = _AFTER_FILE

    def defined(self, now: float) -> None:
        """The last of the announced definitions has come."""
        answer = self._answer
        if self._behind == _DEFINED:
            answer.state = _ROWS if self._deprecates_eof else _DEFINED
        elif not self._deprecates_eof:
            answer.state = self._behind
        elif self._behind == _PARAMETERS_DEFINED:
            self._begin_columns(now)
        else:
            self._confirm(now)

    def _begin_columns(self, now: float) -> None:
        """A prepared statement's columns, if it has any."""
        if self._columns == 0:
            self._confirm(now)
            return
        self.definitions = self._columns
        self._behind = _COLUMNS_DEFINED
        self._answer.state = _DEFINITIONS

    def _confirm(self, now: float) -> None:
        """The answer to COM_STMT_PREPARE is complete."""
        entry = self._ledger.first()
        self._prepared.confirm(self._number, entry.prepared)
        self._answer.finish(_PREPARED, "", now)

    def _take_eof(self, entry: Expected, data: bytes, at: int, total: int, now: float) -> None:
        """The end of rows, or of definitions."""
        state = self._answer.state
        if state == _ROWS:
            self._answer.end_result(entry, 0xFE, data, at, total, now)
            return
        if total != 9:
            raise PeerViolation(INVALID_LENGTH)
        if state == _DEFINED:
            status = data[at + 7] | (data[at + 8] << 8)
            if entry.has_cursor and status & _CURSOR_EXISTS:
                self._answer.end_result(entry, 0xFE, data, at, total, now)
            else:
                self._answer.state = _ROWS
        elif state == _PARAMETERS_DEFINED:
            self._begin_columns(now)
        elif state == _COLUMNS_DEFINED:
            self._confirm(now)
        else:
            raise PeerViolation(OUT_OF_STEP)
