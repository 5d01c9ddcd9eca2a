# cython: annotation_typing=False
"""What each of a client's commands is, by its number, and what becomes of it.

How much of each must be here is told here too ("Command Phase" in the MySQL source
documentation). The COM_STMT family is in ``prepared_commands``.

Plain Python; compiled with the types in ``dispatch.pxd``.
"""

from __future__ import annotations

import cython

from protocols.errors import PeerViolation, Reason, Refusal
from protocols.interface import Kill
from protocols.mysql import commands, expected
from protocols.mysql import status as flags
from protocols.mysql.command import Command
from protocols.mysql.framing import MAX_PAYLOAD
from protocols.mysql.in_place import KILL_IN_A_TEXT, UNKNOWN_THREAD, refused
from protocols.mysql.kill import kill_in
from protocols.mysql.ledger import Ledger
from protocols.mysql.local_file import files_in
from protocols.mysql.prepared_commands import PreparedCommands
from protocols.statements import Kind, Via

if cython.compiled:
    from cython.cimports.protocols.statements import kind_of_text, new_statement
else:
    from protocols.statements import kind_of_text, new_statement

_COM_QUIT = commands.COM_QUIT
_COM_INIT_DB = commands.COM_INIT_DB
_COM_QUERY = commands.COM_QUERY
_COM_FIELD_LIST = commands.COM_FIELD_LIST
_COM_STATISTICS = commands.COM_STATISTICS
_COM_PROCESS_KILL = commands.COM_PROCESS_KILL
_COM_PING = commands.COM_PING
_COM_STMT_PREPARE = commands.COM_STMT_PREPARE
_COM_STMT_EXECUTE = commands.COM_STMT_EXECUTE
_COM_STMT_SEND_LONG_DATA = commands.COM_STMT_SEND_LONG_DATA
_COM_STMT_CLOSE = commands.COM_STMT_CLOSE
_COM_STMT_RESET = commands.COM_STMT_RESET
_COM_SET_OPTION = commands.COM_SET_OPTION
_COM_STMT_FETCH = commands.COM_STMT_FETCH
_COM_RESET_CONNECTION = commands.COM_RESET_CONNECTION

_SIMPLE = expected.SIMPLE
_RESET = expected.RESET
_TEXT = expected.TEXT
_QUERY = expected.QUERY
_FIELDS = expected.FIELDS

# A member of an Enum is looked up through its class; this is read for every statement.
_VIA_FUNCTION = Via.FUNCTION
_VIA_SIMPLE = Via.SIMPLE

_FULL = MAX_PAYLOAD
_NO_BACKSLASH_ESCAPES = flags.NO_BACKSLASH_ESCAPES

# Names of databases, tables and columns have 64 characters, of four bytes at most.
_NAME_LIMIT = 1024


class Dispatch:
    """Takes each command once what is needed of it is here. ``goodbye``: COM_QUIT has come."""

    def __init__(
        self,
        command: Command,
        prepared: PreparedCommands,
        ledger: Ledger,
        kill: Kill,
        local_infile: bool,
        text_limit: int,
        values_limit: int,
    ) -> None:
        self._command = command
        self._prepared = prepared
        self._ledger = ledger
        self._kill = kill
        self._local_infile = local_infile
        self._text_limit = text_limit
        # With the types of as many parameters as have their place in twice the values' bytes.
        self._execute_look = 10 + 4 * values_limit
        self.goodbye = False

    def needed(self, code: int, length: int) -> int:
        """How much of a packet must be here before it is judged."""
        if code == _COM_QUERY or code == _COM_STMT_PREPARE:
            return 4 + min(length, 1 + self._text_limit)
        if code == _COM_STMT_EXECUTE:
            if length < 10:
                raise PeerViolation("invalid message length")
            return 4 + min(length, self._execute_look)
        if code == _COM_STMT_SEND_LONG_DATA:
            if length < 7:
                raise PeerViolation("invalid message length")
            return 11
        if code == _COM_INIT_DB or code == _COM_FIELD_LIST:
            if length > 1 + _NAME_LIMIT:
                raise PeerViolation("a name is too long")
            return 4 + length
        fixed = 0
        if code in (_COM_QUIT, _COM_PING, _COM_STATISTICS, _COM_RESET_CONNECTION):
            fixed = 1
        elif code in (_COM_STMT_CLOSE, _COM_STMT_RESET, _COM_PROCESS_KILL):
            fixed = 5
        elif code == _COM_STMT_FETCH:
            fixed = 9
        elif code == _COM_SET_OPTION:
            fixed = 3
        if fixed == 0:
            return 5
        if length != fixed:
            raise PeerViolation("invalid message length")
        return 4 + length

    def take(self, code: int, data: bytes, at: int, length: int, now: float) -> bool:
        """Account for one command; whether it goes upstream as it is."""
        ledger = self._ledger
        if code == _COM_QUERY:
            return self._take_query(data, at, length, now)
        if code == _COM_STMT_EXECUTE:
            return self._prepared.execute(data, at, length, now)
        if code == _COM_STMT_FETCH:
            return self._prepared.fetch(data, at, length, now)
        if code == _COM_STMT_PREPARE:
            return self._prepared.prepare(data, at, length, now)
        if code == _COM_STMT_CLOSE:
            self._prepared.close(data, at)
            ledger.has_silent_behind = True
            return True
        if code == _COM_STMT_SEND_LONG_DATA:
            self._prepared.add_long_data(data, at, length)
            ledger.has_silent_behind = True
            return True
        if code == _COM_QUIT:
            self.goodbye = True
            ledger.has_silent_behind = True
            return True
        if code == _COM_PING or code == _COM_STMT_RESET or code == _COM_SET_OPTION:
            if code == _COM_STMT_RESET:
                self._prepared.reset(data, at)
            self._command.expect(_SIMPLE)
            return True
        if code == _COM_STATISTICS:
            self._command.expect(_TEXT)
            return True
        return self._take_rare(code, data, at, length, now)

    def _take_rare(self, code: int, data: bytes, at: int, length: int, now: float) -> bool:
        """A command that is no statement, told as one: what SQL would say for it."""
        if code == _COM_RESET_CONNECTION:
            # It takes back what was set before the welcome: whoever judges must see it.
            return self._tell(_RESET, b"RESET CONNECTION", Kind.SET, length, now)
        if code == _COM_INIT_DB:
            name = data[at + 5 : at + 4 + length]
            return self._tell(_SIMPLE, b"USE " + name, Kind.SET, length, now)
        if code == _COM_FIELD_LIST:
            table = data[at + 5 : at + 4 + length].split(b"\0", 1)[0]
            return self._tell(_FIELDS, b"SHOW FIELDS FROM " + table, Kind.SHOW, length, now)
        if code == _COM_PROCESS_KILL:
            number = int.from_bytes(data[at + 5 : at + 9], "little")
            if self._tell(_SIMPLE, b"KILL %d" % number, Kind.OTHER, length, now):
                self._carry_out(number, False)
            return False
        if self._tell(_SIMPLE, commands.name_of(code), Kind.OTHER, length, now):
            refusal = Refusal(Reason.UNSUPPORTED, "this command is not relayed")
            self._command.replace(refused(refusal))
        return False

    def _tell(self, code: int, text: bytes, kind: Kind, length: int, now: float) -> bool:
        statement = new_statement(_VIA_FUNCTION, text, len(text), now)
        statement.kind = kind
        return self._command.begin(code, statement, length, len(text))

    def _take_query(self, data: bytes, at: int, length: int, now: float) -> bool:
        text = data[at + 5 : at + 4 + min(length, 1 + self._text_limit)]
        statement = new_statement(_VIA_SIMPLE, text, length - 1, now)
        statement.kind = kind_of_text(text)
        if not self._command.begin(_QUERY, statement, length, len(text)):
            return False
        has_escapes = not self._ledger.status & _NO_BACKSLASH_ESCAPES
        if self._local_infile:
            files = files_in(text, has_escapes=has_escapes)
            if files > 0:
                entry = self._command.entry
                assert entry is not None, "it has just begun"
                entry.text = text
                entry.files = files
        kill = kill_in(text, has_escapes=has_escapes)
        if kill is None:
            return True
        if kill.number is None or length == _FULL:
            self._command.replace(KILL_IN_A_TEXT)
        else:
            self._carry_out(kill.number, kill.only_statement)
        return False

    def _carry_out(self, number: int, only_statement: bool) -> None:
        is_known = self._kill(number, only_statement)
        self._command.replace(None if is_known else UNKNOWN_THREAD)
