# cython: annotation_typing=False
"""The hot scanner of one PostgreSQL session: reads headers, lets bodies pass.

It knows message types and lengths ("Message Formats" in the PostgreSQL manual), finds
the statements in them, counts rows and bytes, and tells a ``StatementSink``. Chunks go
on untouched and whole wherever nothing in them was refused. It must never know
sockets, rules, or how a record looks.

What is held back: the beginning of a client message that bears a statement, until its
text (up to the limit) is here and judged; the few short server messages whose content
matters, until they are whole. Both are bounded; everything else streams.

A refused message is replaced by one that the server itself answers with a syntax
error, and that error is rewritten into the refusal. So the refusal has its place in
the order of answers, also in a pipeline, and the server's own rules of skipping and of
failed transactions hold.

Plain Python; compiled with the types in ``scan.pxd`` where there is a C compiler.
"""

from __future__ import annotations

import re

from protocols.errors import PeerViolation, Reason, Refusal
from protocols.interface import ScanLimits
from protocols.postgres import expected
from protocols.postgres.ledger import Expected, Ledger
from protocols.postgres.refuse import refusal_message
from protocols.statements import (
    Kind,
    Outcome,
    Statement,
    StatementSink,
    Via,
    kind_of_text,
    kind_of_word,
)

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
_COPY_END = expected.COPY_END
_MAYBE = expected.MAYBE

# Statement and portal names: the server cuts them at 63 bytes (NAMEDATALEN); drivers
# stay far below this. A longer one is nobody's name.
NAME_LIMIT = 1023

# A server message whose content we read is held until this much of it is here: a
# command tag has at most 64 bytes (COMPLETION_TAG_BUFSIZE), an error's SQLSTATE stands
# in front of its texts, a setting we follow is shorter still.
LOOK_LIMIT = 1024

# CommandComplete beyond this is no server's.
TAG_LIMIT = 1024

# How much text of unanswered statements one session may make us keep, in bytes, before
# its client is read no further: a data source that never answers must not fill memory.
OPEN_TEXT_LIMIT = 4 * 1024 * 1024

# Both draw a syntax error from every PostgreSQL, also inside a failed transaction
# (the text is parsed before the transaction's state is looked at), and store nothing.
_REFUSED_TEXT = b"accode proxy refused this statement\0"
_REFUSED_QUERY = b"Q" + (4 + len(_REFUSED_TEXT)).to_bytes(4, "big") + _REFUSED_TEXT
_REFUSED_NAME = b"accode_proxy_refused\0"
_REFUSED_PARSE = (
    b"P"
    + (4 + len(_REFUSED_NAME) + len(_REFUSED_TEXT) + 2).to_bytes(4, "big")
    + _REFUSED_NAME
    + _REFUSED_TEXT
    + b"\0\0"
)

# Settings that change how statements are read (WIRE: followed, for the policy's sake).
FOLLOWED = frozenset(
    {b"standard_conforming_strings", b"client_encoding", b"is_superuser", b"session_authorization"}
)

_DEALLOCATE = re.compile(
    rb"\s*deallocate\s+(?:prepare\s+)?(?:\"((?:[^\"]|\"\")+)\"|([A-Za-z_\x80-\xff][\w$\x80-\xff]*))"
    rb"\s*;?\s*\Z",
    re.IGNORECASE,
)


class Prepared:
    """A parsed statement of the session. ``pending`` is its record until it has run."""

    def __init__(self, name: bytes, text: bytes, text_length: int, kind: Kind) -> None:
        self.name = name
        self.text = text
        self.text_length = text_length
        self.kind = kind
        self.pending: Statement | None = None


class PostgresScanner:
    """Both directions of one session, from its welcome to its end."""

    def __init__(self, sink: StatementSink, limits: ScanLimits, status: int = 0x49) -> None:
        self._sink = sink
        self._ledger = Ledger()
        self._text_limit = limits.text
        self._message_limit = limits.message
        self._prepared_limit = limits.prepared
        self._prepared_bytes_limit = limits.prepared_bytes
        self._outstanding_limit = limits.outstanding
        self.status = status
        self.settings: dict[bytes, bytes] = {}
        self._goodbye = False
        # From the client.
        self._held = bytearray()
        self._held_need = 0
        self._pass = 0
        self._drop = 0
        self._last_sent: Statement | None = None
        # From the server.
        self._server_held = b""
        self._server_pass = 0
        self._rows = 0
        self._bytes = 0
        self._copying_in = False
        # Prepared statements and portals: as the server has confirmed them, and over
        # that what is still on its way there.
        self._statements: dict[bytes, Prepared] = {}
        self._portals: dict[bytes, Prepared | None] = {}
        self._coming_statements: dict[bytes, Prepared | None] = {}
        self._coming_portals: dict[bytes, Prepared | None] = {}
        self._prepared_bytes = 0
        self._open_bytes = 0

    # -- state, for the relay ---------------------------------------------------------

    @property
    def has_outstanding(self) -> bool:
        """Whether the server still owes an answer."""
        return self._ledger.owes()

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, nothing is half sent and no transaction is open."""
        return (
            not self._ledger.owes()
            and self.status == 0x49
            and not self._held
            and self._pass == 0
            and self._drop == 0
            and self._server_pass == 0
            and not self._server_held
        )

    @property
    def is_crowded(self) -> bool:
        """Whether the client is to be read no further until the server has answered."""
        return (
            self._ledger.count >= self._outstanding_limit or self._open_bytes >= OPEN_TEXT_LIMIT
        )

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, failed or not."""
        return self.status != 0x49

    @property
    def has_said_goodbye(self) -> bool:
        """Whether Terminate has passed."""
        return self._goodbye

    @property
    def client_is_between_messages(self) -> bool:
        """Whether a message of ours may be put into the stream to the client now."""
        return self._server_pass == 0

    # -- from the client --------------------------------------------------------------

    def from_client(self, data: bytes, now: float) -> bytes:
        """Judge what is whole enough; return what goes upstream now."""
        if self._held_need > 0:
            self._held += data
            if len(self._held) < self._held_need:
                return b""
            data = bytes(self._held)
            self._held = bytearray()
            self._held_need = 0
        size = len(data)
        at = 0
        if self._pass > 0:
            if self._pass >= size:
                self._pass -= size
                return data
            at = self._pass
            self._pass = 0
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
        p = data
        while at < size:
            left = size - at
            if left < 5:
                self._hold(data, at, 5)
                break
            code = p[at]
            length = (p[at + 1] << 24) | (p[at + 2] << 16) | (p[at + 3] << 8) | p[at + 4]
            if length < 4 or length > self._message_limit:
                raise PeerViolation("invalid message length")
            total = length + 1
            need = self._needed(code, total)
            if left < need:
                self._hold(data, at, need)
                break
            replacement = self._take_client(code, data, at, total, now)
            if replacement is not None:
                if pieces is None:
                    pieces = []
                if copied < at:
                    pieces.append(data[copied:at])
                pieces.append(replacement)
                if left < total:
                    self._drop = total - left
                    copied = size
                    at = size
                    break
                copied = at + total
            elif left < total:
                self._pass = total - left
                at = size
                break
            at += total
        if pieces is None:
            if at >= size:
                return data
            return data[:at]
        if copied < at:
            pieces.append(data[copied:at])
        return b"".join(pieces)

    def _hold(self, data: bytes, at: int, need: int) -> None:
        self._held = bytearray(data[at:])
        self._held_need = need

    def _needed(self, code: int, total: int) -> int:
        """How much of a message must be here before it is judged; refuses unknown ones."""
        if code == 0x64:  # CopyData
            return 5
        if code == 0x51:  # Query
            limit = 5 + self._text_limit
            return total if total < limit else limit
        if code == 0x50:  # Parse
            limit = 6 + NAME_LIMIT + self._text_limit
            return total if total < limit else limit
        if code == 0x42:  # Bind
            limit = 7 + 2 * NAME_LIMIT
            return total if total < limit else limit
        if code == 0x45 or code == 0x44 or code == 0x43:  # Execute, Describe, Close
            if total > 11 + NAME_LIMIT:
                raise PeerViolation("a statement or portal name is too long")
            return total
        if code == 0x53 or code == 0x48 or code == 0x63 or code == 0x58:
            # Sync, Flush, CopyDone, Terminate
            if total != 5:
                raise PeerViolation("invalid message length")
            return 5
        if code == 0x46:  # FunctionCall
            if total < 13:
                raise PeerViolation("invalid message length")
            return 13
        if code == 0x66:  # CopyFail
            return 5
        raise PeerViolation(f"invalid frontend message type {code}")

    def _take_client(
        self, code: int, data: bytes, at: int, total: int, now: float
    ) -> bytes | None:
        """Account for one client message; the message to send instead, or None."""
        if code == 0x64:
            if self._last_sent is not None:
                self._last_sent.bytes_in += total - 5
            return None
        if code == 0x51:
            return self._take_query(data, at, total, now)
        if code == 0x42:
            return self._take_bind(data, at, total)
        if code == 0x45:
            return self._take_execute(data, at, total, now)
        if code == 0x53:
            if self._copying_in:
                self._ledger.push(_MAYBE, b"", None, None, None)
            else:
                self._ledger.is_skipping = False
                self._ledger.push(_SYNC, b"", None, None, None)
            return None
        if code == 0x50:
            return self._take_parse(data, at, total, now)
        if code == 0x44 or code == 0x43:
            return self._take_describe_or_close(code, data, at, total)
        if code == 0x46:
            return self._take_function(data, at, total, now)
        if code == 0x58:
            self._goodbye = True
            return None
        if code == 0x63 or code == 0x66:
            # Only a mark in front of which Syncs are swallowed; nothing waits for it.
            if self._ledger.count > 0:
                self._ledger.push(_COPY_END, b"", None, None, None)
            self._copying_in = False
        return None

    def _begin(self, statement: Statement) -> Refusal | None:
        self._open_bytes += len(statement.text)
        return self._sink.begin(statement)

    def _skip(self, statement: Statement, refusal: Refusal | None, now: float) -> bytes | None:
        """The server will not read this one: an error stands before it in its pipeline."""
        self._end(statement, Outcome.SKIPPED, now)
        return None if refusal is None else b""

    def _take_query(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        have = len(data) - at
        end = data.find(b"\0", at + 5, at + (total if total < have else have))
        if total <= have:
            if end != at + total - 1:
                raise PeerViolation("invalid string in message")
        elif end >= 0:
            raise PeerViolation("invalid string in message")
        else:
            end = at + 5 + self._text_limit
        text = data[at + 5 : end if end - at - 5 < self._text_limit else at + 5 + self._text_limit]
        statement = Statement(Via.SIMPLE, text, total - 6, now)
        statement.kind = kind_of_text(text)
        statement.bytes_in = total
        refusal = self._begin(statement)
        if self._ledger.is_skipping:
            return self._skip(statement, refusal, now)
        self._last_sent = statement
        self._ledger.push(_QUERY, b"", None, statement, refusal)
        if refusal is None:
            return None
        return _REFUSED_QUERY

    def _take_parse(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        have = len(data) - at
        stop = at + (total if total < have else have)
        name_end = data.find(b"\0", at + 5, stop)
        if name_end < 0 or name_end - at - 5 > NAME_LIMIT:
            raise PeerViolation("a statement name is too long")
        name = data[at + 5 : name_end]
        start = name_end + 1
        end = data.find(b"\0", start, stop)
        if end < 0:
            if total <= have:
                raise PeerViolation("invalid string in message")
            # The text goes on behind what is here: its length is known to within the
            # parameter types that follow it.
            text = data[start : start + self._text_limit]
            text_length = total - (start - at) - 3
        else:
            if total <= have and (
                end + 3 > stop
                or end + 3 + 4 * ((data[end + 1] << 8) | data[end + 2]) != stop
            ):
                raise PeerViolation("invalid message format")
            text = data[start : end if end - start < self._text_limit else start + self._text_limit]
            text_length = end - start
        statement = Statement(Via.PREPARE, text, text_length, now)
        statement.name = name
        statement.kind = kind_of_text(text)
        statement.bytes_in = total
        refusal = self._begin(statement)
        if self._ledger.is_skipping:
            return self._skip(statement, refusal, now)
        if refusal is None and (
            len(self._statements) + len(self._coming_statements) >= self._prepared_limit
            or self._prepared_bytes + len(text) > self._prepared_bytes_limit
        ):
            refusal = Refusal(
                Reason.LIMIT_EXCEEDED, "this session holds too many prepared statements"
            )
        prepared = Prepared(name, text, text_length, statement.kind)
        prepared.pending = statement
        self._ledger.push(_PARSE, name, prepared, statement, refusal)
        if refusal is not None:
            return _REFUSED_PARSE
        self._coming_statements[name] = prepared
        return None

    def _take_bind(self, data: bytes, at: int, total: int) -> bytes | None:
        have = len(data) - at
        stop = at + (total if total < have else have)
        portal_end = data.find(b"\0", at + 5, stop)
        if portal_end < 0 or portal_end - at - 5 > NAME_LIMIT:
            raise PeerViolation("a portal name is too long")
        name_end = data.find(b"\0", portal_end + 1, stop)
        if name_end < 0 or name_end - portal_end - 1 > NAME_LIMIT:
            raise PeerViolation("a statement name is too long")
        if self._ledger.is_skipping:
            return None
        portal = data[at + 5 : portal_end]
        name = data[portal_end + 1 : name_end]
        refusal: Refusal | None = None
        if len(self._portals) + len(self._coming_portals) >= self._prepared_limit:
            refusal = Refusal(Reason.LIMIT_EXCEEDED, "this session holds too many portals")
        else:
            if name in self._coming_statements:
                prepared = self._coming_statements[name]
            else:
                prepared = self._statements.get(name)
            self._coming_portals[portal] = prepared
        self._ledger.push(_BIND, portal, name, None, refusal)
        return None if refusal is None else _REFUSED_PARSE

    def _take_execute(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        end = data.find(b"\0", at + 5, at + total)
        if end != at + total - 5:
            raise PeerViolation("invalid message format")
        portal = data[at + 5 : end]
        if portal in self._coming_portals:
            prepared = self._coming_portals[portal]
        else:
            prepared = self._portals.get(portal)
        if prepared is None:
            # Made by SQL (DECLARE, PREPARE), or not there: the server knows.
            text = b"(a portal that was not made by Bind of a known statement)"
            statement = Statement(Via.EXECUTE, text, 0, now)
            statement.name = portal
            refusal = self._begin(statement)
        elif prepared.pending is not None and not prepared.name:
            # The first run of an unnamed statement and its Parse are one record.
            statement = prepared.pending
            prepared.pending = None
            statement.via = Via.EXECUTE
            refusal = None
        else:
            statement = Statement(Via.EXECUTE, prepared.text, prepared.text_length, now)
            statement.name = prepared.name
            statement.kind = prepared.kind
            refusal = self._begin(statement)
        statement.bytes_in += total
        if self._ledger.is_skipping:
            return self._skip(statement, refusal, now)
        self._last_sent = statement
        self._ledger.push(_EXECUTE, portal, None, statement, refusal)
        return None if refusal is None else _REFUSED_PARSE

    def _take_describe_or_close(
        self, code: int, data: bytes, at: int, total: int
    ) -> bytes | None:
        target = data[at + 5] if total > 6 else 0
        if data.find(b"\0", at + 6, at + total) != at + total - 1 or target not in (0x53, 0x50):
            raise PeerViolation("invalid message format")
        if self._ledger.is_skipping:
            return None
        if code == 0x44:
            self._ledger.push(_DESCRIBE, b"", None, None, None)
            return None
        name = data[at + 6 : at + total - 1]
        if target == 0x53:
            self._coming_statements[name] = None
            self._ledger.push(_CLOSE_STATEMENT, name, None, None, None)
        else:
            self._coming_portals[name] = None
            self._ledger.push(_CLOSE_PORTAL, name, None, None, None)
        return None

    def _take_function(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        oid = (data[at + 5] << 24) | (data[at + 6] << 16) | (data[at + 7] << 8) | data[at + 8]
        statement = Statement(Via.FUNCTION, b"function call of oid %d" % oid, 0, now)
        statement.text_length = len(statement.text)
        statement.kind = Kind.FUNCTION
        statement.bytes_in = total
        refusal = self._begin(statement)
        if self._ledger.is_skipping:
            return self._skip(statement, refusal, now)
        self._last_sent = statement
        self._ledger.push(_FUNCTION, b"", None, statement, refusal)
        return None if refusal is None else _REFUSED_QUERY

    # -- from the server --------------------------------------------------------------

    def from_server(self, data: bytes, now: float) -> bytes:
        """Account for the server's answers; return what goes to the client now."""
        if self._server_held:
            data = self._server_held + data
            self._server_held = b""
        size = len(data)
        at = 0
        if self._server_pass > 0:
            if self._server_pass >= size:
                self._server_pass -= size
                return data
            at = self._server_pass
            self._server_pass = 0
        copied = 0
        pieces: list[bytes] | None = None
        rows = self._rows
        count = self._bytes
        ledger = self._ledger
        may_have_rows = ledger.head == _QUERY or ledger.head == _EXECUTE
        p = data
        while at < size:
            left = size - at
            if left < 5:
                self._server_held = data[at:]
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
                if left < total and (left < LOOK_LIMIT and self._is_read(code)):
                    self._server_held = data[at:]
                    break
                self._rows = rows
                self._bytes = count
                replacement = self._take_server(code, data, at, total, now)
                rows = self._rows
                count = self._bytes
                may_have_rows = ledger.head == _QUERY or ledger.head == _EXECUTE
                if replacement is not None:
                    if pieces is None:
                        pieces = []
                    if copied < at:
                        pieces.append(data[copied:at])
                    pieces.append(replacement)
                    copied = at + total
            if left < total:
                self._server_pass = total - left
                at = size
                break
            at += total
        self._rows = rows
        self._bytes = count
        if pieces is None:
            if at >= size:
                return data
            return data[:at]
        if copied < at:
            pieces.append(data[copied:at])
        return b"".join(pieces)

    def _skip_maybes(self) -> bool:
        """Pass over doubtful Syncs that were not answered; whether rows may come now."""
        ledger = self._ledger
        while ledger.head == _MAYBE:
            ledger.take()
            ledger.spare_ready += 1
        return ledger.head in (_QUERY, _EXECUTE)

    def _is_read(self, code: int) -> bool:
        """Whether the content of this server message matters here."""
        return code == 0x43 or code == 0x45 or code == 0x5A or code == 0x53

    def _take_server(
        self, code: int, data: bytes, at: int, total: int, now: float
    ) -> bytes | None:
        """Account for one server message that is not a row; its replacement, or None."""
        ledger = self._ledger
        head = ledger.head
        if code == 0x5A:  # ReadyForQuery
            if total != 6:
                raise PeerViolation("the data source sent an invalid ReadyForQuery")
            self._take_ready(data[at + 5], now)
            return None
        if code == 0x4E or code == 0x41:  # NoticeResponse, NotificationResponse
            return None
        if code == 0x53:  # ParameterStatus
            self._follow(data, at, total)
            return None
        if code == 0x45:  # ErrorResponse
            return self._take_error(data, at, total, now)
        if head == _MAYBE:
            self._skip_maybes()
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
                entry = ledger.take()
                if entry.refusal is not None:
                    raise PeerViolation("the data source accepted what was never sent")
                self._portals[entry.name] = self._statements.get(entry.source)
                return None
        elif code == 0x33:  # CloseComplete
            if head == _CLOSE_STATEMENT:
                self._forget(ledger.take().name, now)
                return None
            if head == _CLOSE_PORTAL:
                self._portals.pop(ledger.take().name, None)
                return None
        elif code == 0x74:  # ParameterDescription: RowDescription or NoData follows
            if head == _DESCRIBE:
                return None
        elif code == 0x73:  # PortalSuspended
            if head == _EXECUTE:
                self._end_execute(ledger.take(), Outcome.SUSPENDED, now)
                return None
        elif code == 0x49:  # EmptyQueryResponse
            if head == _EXECUTE:
                self._end_execute(ledger.take(), Outcome.SUCCEEDED, now)
                return None
            if head == _QUERY:
                return None
        elif code == 0x47:  # CopyInResponse
            if head == _QUERY or head == _EXECUTE:
                self._copying_in = not ledger.has_copy_end()
                ledger.begin_copy_in()
                return None
        elif code == 0x48 or code == 0x63:  # CopyOutResponse, CopyDone
            if head == _QUERY or head == _EXECUTE:
                return None
        elif code == 0x56:  # FunctionCallResponse
            if head == _FUNCTION:
                self._bytes += total
                return None
        raise PeerViolation("the data source sent an answer out of step")

    def _take_complete(self, head: int, data: bytes, at: int, total: int, now: float) -> None:
        if total > TAG_LIMIT or (head != _QUERY and head != _EXECUTE):
            raise PeerViolation("the data source sent an answer out of step")
        tag = data[at + 5 : at + total - 1]
        statement = self._ledger.first().statement
        if statement is not None:
            statement.tag = tag
            if self._rows == 0:
                statement.rows += _count_in(tag)
            else:
                statement.rows += self._rows
                self._rows = 0
        if self._copying_in:
            self._copying_in = False
        self._ledger.end_copy_in()
        if head == _EXECUTE:
            self._end_execute(self._ledger.take(), Outcome.SUCCEEDED, now)
        if tag[:10] == b"DEALLOCATE" or tag == b"DISCARD ALL":
            self._follow_deallocate(tag, statement, now)

    def _end_execute(self, entry: Expected, outcome: Outcome, now: float) -> None:
        statement = entry.statement
        if statement is None:
            return
        prepared = self._portals.get(entry.name)
        if prepared is not None and prepared.text != statement.text:
            # What was on its way when this was sent did not come to pass: the record
            # tells what the server really ran.
            self._open_bytes += len(prepared.text) - len(statement.text)
            statement.text = prepared.text
            statement.text_length = prepared.text_length
            statement.kind = prepared.kind
            statement.name = prepared.name
        statement.rows += self._rows
        self._end(statement, outcome, now)

    def _end(self, statement: Statement, outcome: Outcome, now: float) -> None:
        """Close a statement's record, once."""
        if statement.outcome is not Outcome.PENDING:
            return
        self._open_bytes -= len(statement.text)
        statement.outcome = outcome
        statement.ended = now
        statement.bytes_out = self._bytes
        self._bytes = 0
        self._rows = 0
        if statement.tag and statement.text[:1] in b"wW":
            statement.kind = kind_of_word(statement.tag.split(b" ", 1)[0])
        self._sink.end(statement)

    def _take_ready(self, status: int, now: float) -> None:
        if status != 0x49 and status != 0x54 and status != 0x45:
            raise PeerViolation("the data source sent an invalid ReadyForQuery")
        try:
            entry = self._ledger.ready()
        except LookupError:
            raise PeerViolation("the data source sent ReadyForQuery out of step") from None
        self.status = status
        self._copying_in = False
        if status == 0x49 and self._portals:
            self._portals.clear()
        if self._ledger.count == 0:
            if self._coming_statements:
                self._coming_statements.clear()
            if self._coming_portals:
                self._coming_portals.clear()
        if entry is None:
            return
        statement = entry.statement
        if statement is not None:
            if statement.code:
                outcome = Outcome.REFUSED if entry.refusal is not None else Outcome.FAILED
            else:
                outcome = Outcome.SUCCEEDED
            self._end(statement, outcome, now)
        self._bytes = 0
        self._rows = 0

    def _take_error(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        have = len(data) - at
        severity, sqlstate = _error_fields(data, at + 5, at + (total if total < have else have))
        ledger = self._ledger
        if severity == b"FATAL" or severity == b"PANIC":
            # The server ends the session: what runs fails with this code.
            if ledger.head != _NOTHING:
                statement = ledger.first().statement
                if statement is not None:
                    statement.code = sqlstate
            return None
        self._copying_in = False
        head = ledger.head
        if head == _NOTHING or head == _SYNC or head == _MAYBE:
            return None
        entry = ledger.first()
        refusal = entry.refusal
        replacement: bytes | None = None
        if refusal is not None:
            if have < total:
                raise PeerViolation("the data source answered a refusal at too great length")
            assert isinstance(refusal, Refusal)
            replacement = refusal_message(refusal, is_fatal=False)
            sqlstate = refusal_code(replacement)
        if head == _QUERY or head == _FUNCTION:
            statement = entry.statement
            if statement is not None and not statement.code:
                statement.code = sqlstate
            return replacement
        self._fail(sqlstate, now)
        return replacement

    def _fail(self, sqlstate: str, now: float) -> None:
        """The head of an extended-protocol sequence failed; end what it takes along."""
        dropped = self._ledger.fail()
        first = dropped[0]
        failed = Outcome.FAILED if first.refusal is None else Outcome.REFUSED
        is_told = False
        statement = first.statement
        if statement is not None:
            statement.code = sqlstate
            self._end(statement, failed, now)
            is_told = True
        for entry in dropped[1:]:
            statement = entry.statement
            if statement is None or statement.outcome is not Outcome.PENDING:
                continue
            if not is_told and entry.code == _EXECUTE:
                # A Bind failed: its statement is the one that did not run.
                statement.code = sqlstate
                self._end(statement, failed, now)
                is_told = True
            else:
                self._end(statement, Outcome.SKIPPED, now)
        self._coming_statements.clear()
        self._coming_portals.clear()

    def _confirm_parse(self, entry: Expected, now: float) -> None:
        prepared = entry.source
        if entry.refusal is not None or not isinstance(prepared, Prepared):
            raise PeerViolation("the data source accepted what was never sent")
        if prepared.name in self._statements:
            self._forget(prepared.name, now)
        self._statements[prepared.name] = prepared
        self._prepared_bytes += len(prepared.text)
        if prepared.name and prepared.pending is not None:
            statement = prepared.pending
            prepared.pending = None
            self._end(statement, Outcome.PREPARED, now)

    def _forget(self, name: bytes, now: float) -> None:
        prepared = self._statements.pop(name, None)
        if prepared is None:
            return
        self._prepared_bytes -= len(prepared.text)
        if prepared.pending is not None:
            # Parsed, perhaps bound, never run: told all the same.
            statement = prepared.pending
            prepared.pending = None
            self._end(statement, Outcome.PREPARED, now)

    def _follow_deallocate(self, tag: bytes, statement: Statement | None, now: float) -> None:
        """Forget what DEALLOCATE and DISCARD ALL have removed, to keep the count true."""
        if tag != b"DEALLOCATE":
            for name in list(self._statements):
                self._forget(name, now)
            return
        match = _DEALLOCATE.match(statement.text) if statement is not None else None
        if match is not None:
            quoted, plain = match.groups()
            name = quoted.replace(b'""', b'"') if quoted is not None else plain.lower()
            self._forget(name, now)

    def _follow(self, data: bytes, at: int, total: int) -> None:
        """ParameterStatus: remember the settings that change how statements are read."""
        have = len(data) - at
        stop = at + (total if total < have else have)
        name_end = data.find(b"\0", at + 5, stop)
        if name_end < 0:
            raise PeerViolation("the data source sent an invalid ParameterStatus")
        name = data[at + 5 : name_end]
        if name in FOLLOWED and have >= total:
            self.settings[name] = data[name_end + 1 : stop - 1]

    # -- the end ----------------------------------------------------------------------

    def close(self, now: float) -> None:
        """End every open record: what was running is interrupted, its effect unknown."""
        for entry in self._ledger.drain():
            statement = entry.statement
            if statement is not None and statement.outcome is Outcome.PENDING:
                outcome = Outcome.FAILED if statement.code else Outcome.INTERRUPTED
                self._end(statement, outcome, now)
        for name in list(self._statements):
            self._forget(name, now)
        self._portals.clear()


def _count_in(tag: bytes) -> int:
    """The number at a command tag's end ("INSERT 0 5"), or 0."""
    digits = tag[tag.rfind(b" ") + 1 :]
    return int(digits) if digits.isdigit() and len(digits) < 20 else 0


def _error_fields(data: bytes, at: int, stop: int) -> tuple[bytes, str]:
    """Severity (not localized) and SQLSTATE of an ErrorResponse; "" where missing.

    A server may leave out the SQLSTATE (CVE-2026-6666 was a crash over that).
    """
    severity = b""
    sqlstate = ""
    while at < stop:
        field = data[at]
        if field == 0:
            break
        end = data.find(b"\0", at + 1, stop)
        if end < 0:
            break
        if field == 0x56 or (field == 0x53 and not severity):
            severity = data[at + 1 : end]
        elif field == 0x43:
            value = data[at + 1 : end]
            if len(value) == 5 and value.isalnum():
                sqlstate = value.decode("ascii")
            break
        at = end + 1
    return severity, sqlstate or "XX000"


def refusal_code(message: bytes) -> str:
    """The SQLSTATE inside an ErrorResponse of our own."""
    return _error_fields(message, 5, len(message))[1]
