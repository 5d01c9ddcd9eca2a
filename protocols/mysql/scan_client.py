# cython: annotation_typing=False
"""From the client: finds the commands, judges them, lets the rest of them pass.

A command is held until its number, and its statement's text up to the limit, is here
and judged. Everything else streams untouched, also the further packets of a command of
16 MB and more ("MySQL Packets" in the MySQL source documentation).

A refused command is replaced by a COM_PING, whose OK becomes the refusal: so it has its
place in the order of answers, also where commands are pipelined.

Plain Python; compiled with the types in ``scan_client.pxd``.
"""

from __future__ import annotations

from protocols.errors import PeerViolation, Reason, Refusal
from protocols.interface import Kill, ScanLimits
from protocols.mysql import commands, expected
from protocols.mysql.framing import MAX_PAYLOAD
from protocols.mysql.in_place import (
    TOO_MANY_STATEMENTS,
    UNKNOWN_STATEMENT,
    UNKNOWN_THREAD,
    refused,
)
from protocols.mysql.kill import kill_in
from protocols.mysql.ledger import Expected, InPlace, Ledger
from protocols.mysql.local_file import may_load
from protocols.mysql.prepared import Prepared, PreparedStatements
from protocols.statements import Kind, Outcome, Statement, StatementSink, Via, kind_of_text

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
_EXECUTE = expected.EXECUTE
_PREPARE = expected.PREPARE
_FETCH = expected.FETCH
_FIELDS = expected.FIELDS
_FILE_COMING = expected.FILE_COMING
_FILE_SENT = expected.FILE_SENT

# A member of an Enum is looked up through its class; these are read for every statement.
_PENDING = Outcome.PENDING
_VIA_EXECUTE = Via.EXECUTE
_VIA_FUNCTION = Via.FUNCTION
_VIA_PREPARE = Via.PREPARE
_VIA_SIMPLE = Via.SIMPLE

# A packet of this length is continued by the next one.
_FULL = MAX_PAYLOAD

# Names of databases, tables and columns have 64 characters, of four bytes at most.
_NAME_LIMIT = 1024

# How much text of unanswered statements one session may make us keep, in bytes, before
# its client is read no further: a data source that never answers must not fill memory.
_OPEN_TEXT_LIMIT = 4 * 1024 * 1024

# MariaDB's "the statement prepared last" (COM_STMT_EXECUTE).
_LAST_ID = 0xFFFFFFFF

_NO_BACKSLASH_ESCAPES = 0x0200  # SERVER_STATUS_NO_BACKSLASH_ESCAPES

# READ_ONLY, FOR_UPDATE, SCROLLABLE of enum_cursor_type.
_CURSOR_TYPES = 7

_PING = b"\1\0\0\0\x0e"

# What is told of an execution whose statement is not known here.
UNKNOWN_TEXT = b"(a prepared statement that is not known)"


class ClientScan:
    """One direction of a session: what goes upstream.

    ``renumbers``: what arrives was compressed, and its packets' numbers mean nothing (see
    ``compressed``). They are not compared but replaced by those that the server expects.
    """

    def __init__(
        self,
        sink: StatementSink,
        limits: ScanLimits,
        kill: Kill,
        ledger: Ledger,
        prepared: PreparedStatements,
        is_mariadb: bool,
        local_infile: bool,
        renumbers: bool = False,
    ) -> None:
        self._sink = sink
        self._renumbers = renumbers
        # The chunk being read, to be written into, where packets are renumbered.
        self._fresh: bytearray | None = None
        self._kill = kill
        self._ledger = ledger
        self._prepared = prepared
        self._is_mariadb = is_mariadb
        self._local_infile = local_infile
        # Only a message's first packet is looked into.
        self._text_limit = min(limits.text, _FULL - 5)
        self._message_limit = limits.message
        self._outstanding_limit = limits.outstanding
        self._goodbye = False
        self._held = bytearray()
        self._held_need = 0
        self._pass = 0
        self._drop = 0
        # The message that is continued: its next packet's number, its size so far.
        self._is_continued = False
        self._is_dropping = False
        self._sequence = 0
        self._size = 0
        # Still set where the client turns out to have broken the protocol.
        self._is_reading = False
        self._entry: Expected | None = None
        self._last_prepared: Prepared | None = None

    def is_between(self) -> bool:
        """Whether the client is not in the middle of a message."""
        return (
            self._held_need == 0 and self._pass == 0 and self._drop == 0 and not self._is_continued
        )

    def has_said_goodbye(self) -> bool:
        """Whether COM_QUIT has passed."""
        return self._goodbye

    def next_sequence(self) -> int:
        """The packet number that the client, with nothing outstanding, expects next."""
        return self._sequence if self._is_reading or not self.is_between() else 0

    def is_crowded(self) -> bool:
        """Whether the client is to be read no further; only at a message's end."""
        ledger = self._ledger
        return (
            (ledger.count >= self._outstanding_limit or ledger.weight >= _OPEN_TEXT_LIMIT)
            and ledger.file_state != _FILE_COMING
            and self._pass == 0
            and self._drop == 0
            and not self._is_continued
        )

    def read(self, data: bytes, now: float) -> bytes:
        """Judge what is whole enough; return what goes upstream now."""
        if self.has_said_goodbye():
            # Nobody reads what stands behind a COM_QUIT.
            return b""
        if self._held_need > 0:
            self._held += data
            if len(self._held) < self._held_need:
                return b""
            data = bytes(self._held)
            self._held = bytearray()
            self._held_need = 0
        self._is_reading = True
        ledger = self._ledger
        size = len(data)
        at = 0
        copied = 0
        pieces: list[bytes] | None = None
        self._fresh = fresh = bytearray(data) if self._renumbers else None
        if self._pass > 0:
            if self._pass > size:
                self._pass -= size
                self._is_reading = False
                return data
            at = self._pass
            self._pass = 0
        elif self._drop > 0:
            if self._drop > size:
                self._drop -= size
                self._is_reading = False
                return b""
            at = self._drop
            self._drop = 0
            copied = at
            pieces = []
            if not self._is_continued:
                pieces.append(_PING)
        p = data
        while at < size:
            left = size - at
            if left < 4:
                self._hold(data, at, 4)
                break
            length = p[at] | (p[at + 1] << 8) | (p[at + 2] << 16)
            total = length + 4
            sequence = p[at + 3]
            if self._is_continued:
                if sequence != self._sequence:
                    self._renumber(at, self._sequence)
                self._grow(length)
                is_dropped = self._is_dropping
            elif ledger.file_state == _FILE_COMING:
                if sequence != ledger.file_sequence:
                    self._renumber(at, ledger.file_sequence)
                self._take_file(length)
                is_dropped = False
            else:
                self._sequence = 1
                if length == 0:
                    raise PeerViolation("an empty command")
                if sequence != 0:
                    self._renumber(at, 0)
                if left < 5:
                    self._hold(data, at, 5)
                    break
                if length > self._message_limit:
                    raise PeerViolation("a message is too large")
                need = self._needed(p[at + 4], length)
                if left < need:
                    self._hold(data, at, need)
                    break
                self._size = length
                self._is_continued = length == _FULL
                self._begin_command()
                is_dropped = not self._take(p[at + 4], data, at, length, now)
                self._is_dropping = is_dropped
                entry = self._entry
                if entry is not None:
                    entry.is_whole = not self._is_continued
            if is_dropped:
                if pieces is None:
                    pieces = []
                if copied < at:
                    pieces.append(_part(data, fresh, copied, at))
                if left < total:
                    self._drop = total - left
                    at = copied = size
                    break
                if not self._is_continued:
                    # Only at the message's end: until then the client is not waiting.
                    pieces.append(_PING)
                at += total
                copied = at
                continue
            if left < total:
                self._pass = total - left
                at = size
                break
            at += total
            if self.has_said_goodbye():
                break
        ledger.is_client_between = self.is_between()
        self._is_reading = False
        if pieces is None:
            return data if at >= size and fresh is None else _part(data, fresh, 0, at)
        if copied < at:
            pieces.append(_part(data, fresh, copied, at))
        return b"".join(pieces)

    def _renumber(self, at: int, sequence: int) -> None:
        """The packet there has another number than the server expects."""
        if self._fresh is None:
            raise PeerViolation("packets out of order")
        self._fresh[at + 3] = sequence

    def _hold(self, data: bytes, at: int, need: int) -> None:
        self._held = bytearray(data[at:])
        self._held_need = need

    def _begin_command(self) -> None:
        self._entry = None
        self._last_prepared = None

    def _grow(self, length: int) -> None:
        """One more packet of the message that is continued."""
        self._sequence = (self._sequence + 1) & 0xFF
        self._size += length
        if self._size > self._message_limit:
            raise PeerViolation("a message is too large")
        self._is_continued = length == _FULL
        if self._last_prepared is not None:
            self._last_prepared.text_length += length
        entry = self._entry
        if entry is None:
            return
        if entry.statement is not None:
            statement = entry.statement
            if statement.outcome is _PENDING:
                statement.bytes_in += length + 4
                if entry.code == _QUERY or entry.code == _PREPARE:
                    statement.text_length += length
        entry.sequence = self._sequence
        entry.is_whole = not self._is_continued

    def _take_file(self, length: int) -> None:
        """A packet of the file that LOAD DATA LOCAL reads; an empty message ends it."""
        ledger = self._ledger
        ledger.file_sequence = (ledger.file_sequence + 1) & 0xFF
        statement = ledger.first().statement
        if statement is not None:
            statement.bytes_in += length + 4
        if ledger.is_file_continued:
            ledger.is_file_continued = length == _FULL
        elif length == 0:
            ledger.file_state = _FILE_SENT
        else:
            ledger.is_file_continued = length == _FULL

    def _needed(self, code: int, length: int) -> int:
        """How much of a packet must be here before it is judged."""
        if code == _COM_QUERY or code == _COM_STMT_PREPARE:
            return 4 + min(length, 1 + self._text_limit)
        if code == _COM_STMT_EXECUTE:
            if length < 10:
                raise PeerViolation("invalid message length")
            return 14
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

    def _take(self, code: int, data: bytes, at: int, length: int, now: float) -> bool:
        """Account for one command; whether it goes upstream as it is."""
        ledger = self._ledger
        if code == _COM_QUERY:
            return self._take_query(data, at, length, now)
        if code == _COM_STMT_EXECUTE or code == _COM_STMT_FETCH:
            return self._take_execute(code, data, at, length, now)
        if code == _COM_STMT_PREPARE:
            return self._take_prepare(data, at, length, now)
        if code == _COM_STMT_CLOSE:
            self._take_close(_number(data, at + 5))
            ledger.has_silent_behind = True
            return True
        if code == _COM_STMT_SEND_LONG_DATA:
            prepared = self._find(_number(data, at + 5))
            if prepared is not None:
                prepared.long_bytes += length + 4
            ledger.has_silent_behind = True
            return True
        if code == _COM_QUIT:
            self._goodbye = True
            ledger.has_silent_behind = True
            return True
        if code == _COM_PING or code == _COM_STMT_RESET or code == _COM_SET_OPTION:
            self._entry = ledger.push(_SIMPLE, None, 0)
            return True
        if code == _COM_STATISTICS:
            self._entry = ledger.push(_TEXT, None, 0)
            return True
        if code == _COM_RESET_CONNECTION:
            # It takes back what was set before the welcome: whoever judges must see it.
            return self._take_other(_RESET, b"RESET CONNECTION", Kind.SET, length, now)
        if code == _COM_INIT_DB:
            name = data[at + 5 : at + 4 + length]
            return self._take_other(_SIMPLE, b"USE " + name, Kind.SET, length, now)
        if code == _COM_FIELD_LIST:
            table = data[at + 5 : at + 4 + length].split(b"\0", 1)[0]
            return self._take_other(_FIELDS, b"SHOW FIELDS FROM " + table, Kind.SHOW, length, now)
        if code == _COM_PROCESS_KILL:
            number = _number(data, at + 5)
            self._take_other(_SIMPLE, b"KILL %d" % number, Kind.OTHER, length, now)
            entry = self._entry
            assert entry is not None
            if not entry.is_replaced:
                self._carry_out(entry, number, False)
            return False
        self._take_other(_SIMPLE, commands.name_of(code), Kind.OTHER, length, now)
        entry = self._entry
        assert entry is not None
        if not entry.is_replaced:
            answer = refused(Refusal(Reason.UNSUPPORTED, "this command is not relayed"))
            self._replace(entry, answer)
        return False

    def _replace(self, entry: Expected, answer: InPlace | None) -> None:
        """A COM_PING goes upstream in the place of this one."""
        entry.is_replaced = True
        entry.in_place = answer

    def _judge(self, entry: Expected, statement: Statement) -> bool:
        """Ask the sink; whether it allows the statement."""
        refusal = self._sink.begin(statement)
        if refusal is not None:
            self._replace(entry, refused(refusal))
            return False
        return True

    def _begin(self, code: int, statement: Statement, length: int, weight: int) -> bool:
        """Judge a statement, then expect its answer; whether it is allowed."""
        statement.bytes_in += length + 4
        entry = Expected(code, statement, weight)
        is_allowed = self._judge(entry, statement)
        self._ledger.add(entry)
        self._entry = entry
        return is_allowed

    def _take_other(self, code: int, text: bytes, kind: Kind, length: int, now: float) -> bool:
        """A command that is no statement, told as one: what SQL would say for it."""
        statement = Statement(_VIA_FUNCTION, text, len(text), now)
        statement.kind = kind
        return self._begin(code, statement, length, len(text))

    def _take_query(self, data: bytes, at: int, length: int, now: float) -> bool:
        text = data[at + 5 : at + 4 + min(length, 1 + self._text_limit)]
        statement = Statement(_VIA_SIMPLE, text, length - 1, now)
        statement.kind = kind_of_text(text)
        if not self._begin(_QUERY, statement, length, len(text)):
            return False
        entry = self._entry
        assert entry is not None
        has_escapes = not self._ledger.status & _NO_BACKSLASH_ESCAPES
        if self._local_infile and may_load(text, has_escapes=has_escapes):
            entry.text = text
        kill = kill_in(text, has_escapes=has_escapes)
        if kill is None:
            return True
        if kill.number is None or length == _FULL:
            self._refuse_kill(entry)
        else:
            self._carry_out(entry, kill.number, kill.only_statement)
        return False

    def _refuse_kill(self, entry: Expected) -> None:
        text = "KILL is carried out only alone in a statement, with a plain number"
        self._replace(entry, refused(Refusal(Reason.NOT_PERMITTED, text)))

    def _carry_out(self, entry: Expected, number: int, only_statement: bool) -> None:
        is_known = self._kill(number, only_statement)
        self._replace(entry, None if is_known else UNKNOWN_THREAD)

    def _take_prepare(self, data: bytes, at: int, length: int, now: float) -> bool:
        text = data[at + 5 : at + 4 + min(length, 1 + self._text_limit)]
        statement = Statement(_VIA_PREPARE, text, length - 1, now)
        statement.kind = kind_of_text(text)
        statements = self._prepared
        # Whatever becomes of this one, the last one before it is not the last any more.
        statements.last = None
        if not self._begin(_PREPARE, statement, length, len(text)):
            return False
        entry = self._entry
        assert entry is not None
        if kill_in(text, has_escapes=not self._ledger.status & _NO_BACKSLASH_ESCAPES) is not None:
            self._refuse_kill(entry)
            return False
        # The sink's text, not the wire's: a secret that was redacted stays redacted.
        prepared = Prepared(statement.text, length - 1, statement.kind)
        if not statements.has_room(len(prepared.text)):
            self._replace(entry, TOO_MANY_STATEMENTS)
            return False
        statements.send(prepared)
        entry.prepared = prepared
        self._last_prepared = prepared
        return True

    def _find(self, number: int) -> Prepared | None:
        if number == _LAST_ID and self._is_mariadb:
            return self._prepared.last
        return self._prepared.find(number)

    def _take_close(self, number: int) -> None:
        if number == _LAST_ID and self._is_mariadb:
            self._prepared.forget_last()
        else:
            self._prepared.forget(number)

    def _take_execute(self, code: int, data: bytes, at: int, length: int, now: float) -> bool:
        prepared = self._find(_number(data, at + 5))
        kind = _EXECUTE if code == _COM_STMT_EXECUTE else _FETCH
        if prepared is None:
            # No answer has told the client this id: it guesses, perhaps one whose text
            # went by in SQL's PREPARE and is not known here.
            statement = Statement(_VIA_EXECUTE, UNKNOWN_TEXT, 0, now)
            if self._begin(kind, statement, length, 0):
                entry = self._entry
                assert entry is not None
                self._replace(entry, UNKNOWN_STATEMENT)
            return False
        statement = Statement(_VIA_EXECUTE, prepared.text, prepared.text_length, now)
        statement.kind = prepared.kind
        if kind == _EXECUTE:
            statement.bytes_in = prepared.long_bytes
            prepared.long_bytes = 0
        if not self._begin(kind, statement, length, 0):
            return False
        entry = self._entry
        assert entry is not None
        entry.runs = prepared
        if kind == _EXECUTE:
            entry.has_cursor = data[at + 9] & _CURSOR_TYPES != 0
        return True


def _part(data: bytes, fresh: bytearray | None, start: int, stop: int) -> bytes:
    """A part of a chunk, with the numbers that its packets were given."""
    return data[start:stop] if fresh is None else bytes(fresh[start:stop])


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")
