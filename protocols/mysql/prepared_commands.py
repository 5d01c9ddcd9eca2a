# cython: annotation_typing=False
"""The commands of prepared statements: COM_STMT_PREPARE and what names a statement by its id.

The server's ids are the client's; which text stands behind each is known from its answer
to COM_STMT_PREPARE ("Prepared Statements" in the MySQL source documentation).

Plain Python; compiled with the types in ``prepared_commands.pxd``.
"""

from __future__ import annotations

import cython

from protocols.mysql import expected
from protocols.mysql import status as flags
from protocols.mysql.bound import count_limit, values_in
from protocols.mysql.command import Command
from protocols.mysql.in_place import KILL_IN_A_TEXT, TOO_MANY_STATEMENTS, UNKNOWN_STATEMENT
from protocols.mysql.kill import kill_in
from protocols.mysql.ledger import Ledger
from protocols.mysql.prepared import UNKNOWN_TEXT, Prepared, PreparedStatements
from protocols.statements import Via
from protocols.values import BoundValues

if cython.compiled:
    from cython.cimports.protocols.statements import kind_of_text, new_statement
else:
    from protocols.statements import kind_of_text, new_statement

_EXECUTE = expected.EXECUTE
_PREPARE = expected.PREPARE
_FETCH = expected.FETCH

# A member of an Enum is looked up through its class; these are read for every statement.
_VIA_EXECUTE = Via.EXECUTE
_VIA_PREPARE = Via.PREPARE

_NO_BACKSLASH_ESCAPES = flags.NO_BACKSLASH_ESCAPES

# MariaDB's "the statement prepared last" (COM_STMT_EXECUTE).
_LAST_ID = 0xFFFFFFFF

# Of a COM_STMT_EXECUTE's packet: header, command, id, flags, iterations.
_BEFORE_VALUES = 14

# READ_ONLY, FOR_UPDATE, SCROLLABLE of enum_cursor_type.
_CURSOR_TYPES = 7


class PreparedCommands:
    """Those of one session. Each method tells whether its command goes upstream as it is."""

    def __init__(
        self,
        command: Command,
        ledger: Ledger,
        statements: PreparedStatements,
        is_mariadb: bool,
        text_limit: int,
        values_limit: int,
    ) -> None:
        self._command = command
        self._ledger = ledger
        self._statements = statements
        self._is_mariadb = is_mariadb
        self._text_limit = text_limit
        self._values_limit = values_limit

    def prepare(self, data: bytes, at: int, length: int, now: float) -> bool:
        """COM_STMT_PREPARE."""
        text = data[at + 5 : at + 4 + min(length, 1 + self._text_limit)]
        statement = new_statement(_VIA_PREPARE, text, length - 1, now)
        statement.kind = kind_of_text(text)
        statements = self._statements
        # Whatever becomes of this one, the last one before it is not the last any more.
        statements.last = None
        command = self._command
        if not command.begin(_PREPARE, statement, length, len(text)):
            return False
        if kill_in(text, has_escapes=not self._ledger.status & _NO_BACKSLASH_ESCAPES) is not None:
            command.replace(KILL_IN_A_TEXT)
            return False
        # The sink's text, not the wire's: a secret that was redacted stays redacted.
        prepared = Prepared(statement.text, length - 1, statement.kind)
        if not statements.has_room(len(prepared.text)):
            command.replace(TOO_MANY_STATEMENTS)
            return False
        prepared.has_values_shown = statement.text is text and length - 1 == len(text)
        statements.send(prepared)
        entry = command.entry
        assert entry is not None, "it has just begun"
        entry.prepared = prepared
        return True

    def execute(self, data: bytes, at: int, length: int, now: float) -> bool:
        """COM_STMT_EXECUTE."""
        prepared = self._find(data, at)
        long_bytes = 0
        values: BoundValues | None = None
        types = b""
        if prepared is not None:
            long_bytes = prepared.long_bytes
            prepared.long_bytes = 0
            if self._values_limit > 0 and prepared.has_values_shown and prepared.parameters >= 0:
                stop = min(at + 4 + length, len(data))
                values, types = values_in(
                    data,
                    at + _BEFORE_VALUES,
                    stop,
                    prepared.parameters,
                    prepared.types,
                    prepared.long,
                    self._values_limit,
                )
        if not self._run(_EXECUTE, prepared, long_bytes, values, length, now):
            return False
        if prepared is not None and values is not None:
            # Only now: what is refused brings the server no types, and leaves it its long data.
            self._statements.keep_types(prepared, types)
            prepared.long = 0
        entry = self._command.entry
        assert entry is not None, "it has just begun"
        entry.has_cursor = data[at + 9] & _CURSOR_TYPES != 0
        return True

    def fetch(self, data: bytes, at: int, length: int, now: float) -> bool:
        """COM_STMT_FETCH."""
        return self._run(_FETCH, self._find(data, at), 0, None, length, now)

    def close(self, data: bytes, at: int) -> None:
        """COM_STMT_CLOSE, which has no answer."""
        number = _number(data, at)
        if number == _LAST_ID and self._is_mariadb:
            self._statements.forget_last()
        else:
            self._statements.forget(number)

    def add_long_data(self, data: bytes, at: int, length: int) -> None:
        """COM_STMT_SEND_LONG_DATA, which has no answer."""
        prepared = self._find(data, at)
        if prepared is not None:
            prepared.long_bytes += length + 4
            if self._values_limit > 0:
                parameter = data[at + 9] | (data[at + 10] << 8)
                if parameter < count_limit(self._values_limit):
                    prepared.long |= 1 << parameter

    def reset(self, data: bytes, at: int) -> None:
        """COM_STMT_RESET: what was sent ahead is forgotten."""
        prepared = self._find(data, at)
        if prepared is not None:
            prepared.long_bytes = 0
            prepared.long = 0

    def _find(self, data: bytes, at: int) -> Prepared | None:
        number = _number(data, at)
        if number == _LAST_ID and self._is_mariadb:
            return self._statements.last
        return self._statements.find(number)

    def _run(
        self,
        code: int,
        prepared: Prepared | None,
        bytes_before: int,
        values: BoundValues | None,
        length: int,
        now: float,
    ) -> bool:
        """A run of a statement, or more of its rows; ``bytes_before``: what it was sent ahead."""
        command = self._command
        if prepared is None:
            # No answer has told the client this id: it guesses, perhaps one whose text
            # went by in SQL's PREPARE and is not known here.
            statement = new_statement(_VIA_EXECUTE, UNKNOWN_TEXT, 0, now)
            if command.begin(code, statement, length, 0):
                command.replace(UNKNOWN_STATEMENT)
            return False
        statement = new_statement(_VIA_EXECUTE, prepared.text, prepared.text_length, now)
        statement.kind = prepared.kind
        statement.bytes_in = bytes_before
        weight = 0
        if values is not None:
            statement.values = values
            weight = values.cost
        if not command.begin(code, statement, length, weight):
            return False
        entry = command.entry
        assert entry is not None, "it has just begun"
        entry.runs = prepared
        return True


def _number(data: bytes, at: int) -> int:
    """The statement's id behind a command's number."""
    return int.from_bytes(data[at + 5 : at + 9], "little")
