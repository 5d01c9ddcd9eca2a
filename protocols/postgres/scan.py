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
from protocols.postgres.refuse import sqlstate as sqlstate_of
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

# Statement and portal names: drivers stay far below this. A longer one is nobody's name.
_NAME_LIMIT = 1023

# The server tells names apart by their first 63 bytes (NAMEDATALEN - 1): two longer names
# that begin alike are one statement to it, so they must be one here.
_NAME_LENGTH = 63

# A server message whose content we read is held until this much of it is here: a
# command tag has at most 64 bytes (COMPLETION_TAG_BUFSIZE), an error's SQLSTATE stands
# in front of its texts, a setting we follow is shorter still.
_LOOK_LIMIT = 1024

# CommandComplete beyond this is no server's.
_TAG_LIMIT = 1024

# How much text of unanswered statements one session may make us keep, in bytes, before
# its client is read no further: a data source that never answers must not fill memory.
_OPEN_TEXT_LIMIT = 4 * 1024 * 1024

# The server keeps its answers until a Sync or a Flush, or until 8 KB are together. Where
# we stop reading the client, its Sync cannot reach the server, so the answers must be
# asked for, else both wait for ever. A Flush is answered by nothing.
_FLUSH = b"H\0\0\0\4"

# What is told of an Execute whose statement did not pass here.
UNKNOWN_TEXT = b"(a portal that was not made by Bind of a known statement)"

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
# In the place of an unnamed Parse: it makes away with the unnamed statement before it, as
# any Parse does that fails.
_REFUSED_UNNAMED = (
    b"P" + (4 + 1 + len(_REFUSED_TEXT) + 2).to_bytes(4, "big") + b"\0" + _REFUSED_TEXT + b"\0\0"
)

# Settings that change how statements are read (WIRE: followed, for the policy's sake).
FOLLOWED = frozenset(
    {b"standard_conforming_strings", b"client_encoding", b"is_superuser", b"session_authorization"}
)

_DEALLOCATE = re.compile(
    rb"\bdeallocate\s+(?:prepare\s+)?"
    rb"(?:\"((?:[^\"]|\"\")+)\"|([A-Za-z_\x80-\xff][\w$\x80-\xff]*))",
    re.IGNORECASE,
)


class Prepared:
    """A parsed statement of the session.

    ``pending`` is its record until it has run. ``segment`` is the ledger's when it was
    sent, ``is_confirmed`` says that the server has made it. ``holders`` counts what
    keeps its text: its name, portals, unanswered Executes.
    """

    def __init__(
        self, name: bytes, text: bytes, text_length: int, kind: Kind, segment: int
    ) -> None:
        self.name = name
        self.text = text
        self.text_length = text_length
        self.kind = kind
        self.segment = segment
        self.is_confirmed = False
        self.holders = 0
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
        self._is_fatal = False
        # From the client.
        self._held = bytearray()
        self._held_need = 0
        self._pass = 0
        self._drop = 0
        self._last_sent: Statement | None = None
        self._bind_bytes = 0
        # From the server.
        self._server_held = b""
        self._server_pass = 0
        self._server_drop = 0
        self._rows = 0
        self._bytes = 0
        # The server takes copy data; and: the client has not yet ended them.
        self._is_copy_in = False
        self._copying_in = False
        # Prepared statements and portals: as the server has confirmed them, and over
        # that the last message about each name that is still on its way there.
        self._statements: dict[bytes, Prepared] = {}
        self._portals: dict[bytes, Prepared | None] = {}
        self._coming_statements: dict[bytes, Expected] = {}
        self._coming_portals: dict[bytes, Expected] = {}
        self._coming_count = 0
        self._prepared_bytes = 0

    # -- state, for the relay ---------------------------------------------------------

    @property
    def has_outstanding(self) -> bool:
        """Whether the server still owes an answer."""
        return self._ledger.owes()

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, nothing is half sent and no transaction is open.

        Not while a ReadyForQuery may still come for a Sync that a failed COPY may have
        swallowed: the next answer settles that.
        """
        return (
            self._ledger.is_settled()
            and self.status == 0x49
            and not self._held
            and self._pass == 0
            and self._drop == 0
            and self._server_pass == 0
            and self._server_drop == 0
            and not self._server_held
        )

    @property
    def is_crowded(self) -> bool:
        """Whether the client is to be read no further until the server has answered.

        Only at a message's end, and never while the server waits for copy data: the
        server cannot answer what it has not got.
        """
        return self._is_crowded()

    def _is_crowded(self) -> bool:
        ledger = self._ledger
        return (
            (ledger.count >= self._outstanding_limit or ledger.weight >= _OPEN_TEXT_LIMIT)
            and self._pass == 0
            and self._drop == 0
            and not self._copying_in
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
    def client_message_remaining(self) -> int:
        """How much of the message now going to the client is still to come."""
        return self._server_pass

    @property
    def is_ended_by_server(self) -> bool:
        """Whether the server has sent a FATAL error."""
        return self._is_fatal

    # -- from the client --------------------------------------------------------------

    def from_client(self, data: bytes, now: float) -> bytes:
        """Judge what is whole enough; return what goes upstream now."""
        if self._goodbye:
            # Nobody reads what stands behind a Terminate.
            return b""
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
            if self._pass > size:
                self._pass -= size
                return data
            at = self._pass
            self._pass = 0
        copied = 0
        pieces: list[bytes] | None = None
        if self._drop > 0:
            if self._drop > size:
                self._drop -= size
                return b""
            at = self._drop
            copied = at
            pieces = []
            self._drop = 0
        copy_bytes = 0
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
            if code == 0x64:  # CopyData
                copy_bytes += total
                if left < total:
                    self._pass = total - left
                    at = size
                    break
                at += total
                continue
            need = self._needed(code, total)
            if left < need:
                self._hold(data, at, need)
                break
            if copy_bytes > 0:
                self._count_copied(copy_bytes)
                copy_bytes = 0
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
            if code == 0x58:
                break
        if copy_bytes > 0:
            self._count_copied(copy_bytes)
        if self._is_crowded():
            if pieces is None:
                pieces = []
            if copied < at:
                pieces.append(data[copied:at])
            pieces.append(_FLUSH)
            copied = at
        if pieces is None:
            if at >= size:
                return data
            return data[:at]
        if copied < at:
            pieces.append(data[copied:at])
        return b"".join(pieces)

    def _count_copied(self, size: int) -> None:
        statement = self._last_sent
        if statement is not None and statement.outcome is Outcome.PENDING:
            statement.bytes_in += size

    def _hold(self, data: bytes, at: int, need: int) -> None:
        self._held = bytearray(data[at:])
        self._held_need = need

    def _needed(self, code: int, total: int) -> int:
        """How much of a message must be here before it is judged; refuses unknown ones."""
        if code == 0x51:  # Query
            limit = 5 + self._text_limit
            return total if total < limit else limit
        if code == 0x50:  # Parse
            limit = 9 + _NAME_LIMIT + self._text_limit
            return total if total < limit else limit
        if code == 0x42:  # Bind
            limit = 7 + 2 * _NAME_LIMIT
            return total if total < limit else limit
        if code == 0x45 or code == 0x44 or code == 0x43:  # Execute, Describe, Close
            if total > (10 if code == 0x45 else 7) + _NAME_LIMIT:
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

    def _take_client(self, code: int, data: bytes, at: int, total: int, now: float) -> bytes | None:
        """Account for one client message; the message to send instead, or None."""
        ledger = self._ledger
        if self._copying_in and code not in (0x53, 0x63, 0x66, 0x48, 0x58):
            # The server ends the session over this, too ("COPY Operations").
            raise PeerViolation("unexpected message type during COPY from stdin")
        if code == 0x51:
            return self._take_query(data, at, total, now)
        if code == 0x42:
            return self._take_bind(data, at, total)
        if code == 0x45:
            return self._take_execute(data, at, total, now)
        if code == 0x53:
            if self._copying_in:
                if ledger.maybes >= self._outstanding_limit:
                    raise PeerViolation("too many Sync messages during COPY from stdin")
                ledger.push(_MAYBE, b"", b"", None, None, None, 0)
                return None
            if ledger.is_skipping:
                ledger.is_skipping = False
                # All that was coming was skipped.
                self._coming_statements.clear()
                self._coming_portals.clear()
                self._coming_count = 0
            self._bind_bytes = 0
            ledger.push(_SYNC, b"", b"", None, None, None, 0)
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
            if ledger.count > 0:
                ledger.push(_COPY_END, b"", b"", None, None, None, 0)
            self._copying_in = False
        return None

    def _skip(self, statement: Statement, refusal: Refusal | None, now: float) -> bytes | None:
        """The server will not read this one: an error stands before it in its pipeline."""
        self._end(statement, Outcome.SKIPPED, now)
        return None if refusal is None else b""

    def _take_query(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        start = at + 5
        end = data.find(b"\0", start, at + min(total, 5 + self._text_limit))
        # What stands behind the limit is not looked at, however much of it is here.
        if total <= 5 + self._text_limit:
            if end != at + total - 1:
                raise PeerViolation("invalid string in message")
        elif end >= 0:
            raise PeerViolation("invalid string in message")
        else:
            end = start + self._text_limit
        text = data[start:end]
        statement = Statement(Via.SIMPLE, text, total - 6, now)
        statement.kind = kind_of_text(text)
        statement.bytes_in = total
        refusal = self._sink.begin(statement)
        if self._ledger.is_skipping:
            return self._skip(statement, refusal, now)
        self._last_sent = statement
        self._ledger.push(_QUERY, b"", b"", None, statement, refusal, len(text))
        if refusal is None:
            return None
        return _REFUSED_QUERY

    def _take_parse(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        need = 9 + _NAME_LIMIT + self._text_limit
        stop = at + min(total, need)
        name_end = data.find(b"\0", at + 5, stop)
        if name_end < 0 or name_end - at - 5 > _NAME_LIMIT:
            raise PeerViolation("a statement name is too long")
        name = data[at + 5 : min(name_end, at + 5 + _NAME_LENGTH)]
        start = name_end + 1
        end = data.find(b"\0", start, min(stop, start + self._text_limit))
        if end >= 0:
            text_length = end - start
            if total <= need and (
                end + 3 > stop or end + 3 + 4 * ((data[end + 1] << 8) | data[end + 2]) != stop
            ):
                raise PeerViolation("invalid message format")
        else:
            # The text goes on behind what is kept: its length is known to within the
            # parameter types that follow it.
            end = start + self._text_limit
            if stop < end + 3:
                raise PeerViolation("invalid string in message")
            text_length = total - (start - at) - 3
        text = data[start:end]
        ledger = self._ledger
        statement = Statement(Via.PREPARE, text, text_length, now)
        statement.name = name
        statement.kind = kind_of_text(text)
        statement.bytes_in = total
        refusal = self._sink.begin(statement)
        # The sink's text, not the wire's: a secret that was redacted stays redacted.
        prepared = Prepared(name, statement.text, text_length, statement.kind, ledger.segment)
        prepared.pending = statement
        if ledger.is_skipping:
            if not name:
                # So that its Execute, skipped as well, is known to be this one.
                self._coming_statements[name] = Expected(
                    _PARSE, name, b"", prepared, statement, None, 0, ledger.segment
                )
            return self._skip(statement, refusal, now)
        if refusal is None and name and self._has_too_many_statements(len(text)):
            refusal = Refusal(
                Reason.LIMIT_EXCEEDED, "this session holds too many prepared statements"
            )
        entry = ledger.push(_PARSE, name, b"", prepared, statement, refusal, len(text))
        self._coming_statements[name] = entry
        if name:
            self._coming_count += 1
        if refusal is None:
            return None
        return _REFUSED_PARSE if name else _REFUSED_UNNAMED

    def _has_too_many_statements(self, size: int) -> bool:
        # Parses and Closes that are still on their way count as if they succeed. By bytes
        # they are bounded by _OPEN_TEXT_LIMIT.
        named = len(self._statements) - (1 if b"" in self._statements else 0)
        return (
            named + self._coming_count >= self._prepared_limit
            or self._prepared_bytes + size > self._prepared_bytes_limit
        )

    def _take_bind(self, data: bytes, at: int, total: int) -> bytes | None:
        stop = min(at + total, len(data))
        portal_end = data.find(b"\0", at + 5, stop)
        if portal_end < 0 or portal_end - at - 5 > _NAME_LIMIT:
            raise PeerViolation("a portal name is too long")
        name_end = data.find(b"\0", portal_end + 1, stop)
        if name_end < 0 or name_end - portal_end - 1 > _NAME_LIMIT:
            raise PeerViolation("a statement name is too long")
        portal = data[at + 5 : min(portal_end, at + 5 + _NAME_LENGTH)]
        name = data[portal_end + 1 : min(name_end, portal_end + 1 + _NAME_LENGTH)]
        ledger = self._ledger
        coming = self._coming_statements.get(name)
        prepared = self._statements.get(name) if coming is None else coming.prepared
        self._bind_bytes += total
        if ledger.is_skipping:
            if not portal:
                self._coming_portals[portal] = Expected(
                    _BIND, portal, name, prepared, None, None, 0, ledger.segment
                )
            return None
        refusal: Refusal | None = None
        if portal and (
            len(self._portals) + len(self._coming_portals) >= self._prepared_limit
            or self._prepared_bytes > self._prepared_bytes_limit
        ):
            refusal = Refusal(Reason.LIMIT_EXCEEDED, "this session holds too many portals")
        entry = ledger.push(_BIND, portal, name, prepared, None, refusal, 0)
        self._coming_portals[portal] = entry
        return None if refusal is None else _REFUSED_PARSE

    def _take_execute(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        end = data.find(b"\0", at + 5, at + total)
        if end != at + total - 5:
            raise PeerViolation("invalid message format")
        portal = data[at + 5 : min(end, at + 5 + _NAME_LENGTH)]
        ledger = self._ledger
        coming = self._coming_portals.get(portal)
        prepared = self._portals.get(portal) if coming is None else coming.prepared
        refusal: Refusal | None = None
        if prepared is None:
            # Made by SQL (DECLARE, PREPARE), or not there: the server knows.
            statement = Statement(Via.EXECUTE, UNKNOWN_TEXT, 0, now)
            statement.name = portal
            refusal = self._sink.begin(statement)
        elif (
            prepared.pending is not None
            and not prepared.name
            and (prepared.is_confirmed or prepared.segment == ledger.segment)
            and (coming is None or coming.segment == ledger.segment)
        ):
            # The first run of an unnamed statement and its Parse are one record, where
            # the one cannot fail without the other.
            statement = prepared.pending
            prepared.pending = None
            if statement.outcome is not Outcome.PENDING:
                return None  # Its Parse was skipped, and so is this.
            statement.via = Via.EXECUTE
        else:
            statement = Statement(Via.EXECUTE, prepared.text, prepared.text_length, now)
            statement.name = prepared.name
            statement.kind = prepared.kind
            refusal = self._sink.begin(statement)
        statement.bytes_in += total + self._bind_bytes
        self._bind_bytes = 0
        if ledger.is_skipping:
            return self._skip(statement, refusal, now)
        self._last_sent = statement
        ledger.push(_EXECUTE, portal, b"", prepared, statement, refusal, 0)
        if prepared is not None:
            self._retain(prepared)
        return None if refusal is None else _REFUSED_PARSE

    def _take_describe_or_close(self, code: int, data: bytes, at: int, total: int) -> bytes | None:
        target = data[at + 5] if total > 6 else 0
        if data.find(b"\0", at + 6, at + total) != at + total - 1 or target not in (0x53, 0x50):
            raise PeerViolation("invalid message format")
        ledger = self._ledger
        if ledger.is_skipping:
            return None
        if code == 0x44:
            ledger.push(_DESCRIBE, b"", b"", None, None, None, 0)
            return None
        name = data[at + 6 : min(at + total - 1, at + 6 + _NAME_LENGTH)]
        if target == 0x53:
            entry = ledger.push(_CLOSE_STATEMENT, name, b"", None, None, None, 0)
            self._coming_statements[name] = entry
            if name:
                self._coming_count -= 1
        else:
            entry = ledger.push(_CLOSE_PORTAL, name, b"", None, None, None, 0)
            self._coming_portals[name] = entry
        return None

    def _take_function(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        oid = int.from_bytes(data[at + 5 : at + 9], "big")
        text = b"function call of oid %d" % oid
        statement = Statement(Via.FUNCTION, text, len(text), now)
        statement.kind = Kind.FUNCTION
        statement.bytes_in = total
        refusal = self._sink.begin(statement)
        if self._ledger.is_skipping:
            return self._skip(statement, refusal, now)
        self._last_sent = statement
        self._ledger.push(_FUNCTION, b"", b"", None, statement, refusal, len(text))
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
            # Forgotten at the end: a violation behind it must not cut this message short.
            at = self._server_pass
        remaining = 0
        copied = 0
        pieces: list[bytes] | None = None
        if self._server_drop > 0:
            if self._server_drop >= size:
                self._server_drop -= size
                return b""
            at = self._server_drop
            copied = at
            pieces = []
            self._server_drop = 0
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
                if left < total and (left < _LOOK_LIMIT and self._is_read(code)):
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
                        self._server_drop = total - left
                        copied = size
                        at = size
                        break
            if left < total:
                remaining = total - left
                at = size
                break
            at += total
        self._server_pass = remaining
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
        if self._is_fatal:
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
                self._drop_coming(entry)
                self._forget(entry.name, now)
                return None
            if head == _CLOSE_PORTAL:
                entry = ledger.take()
                self._drop_coming(entry)
                self._release(self._portals.pop(entry.name, None))
                return None
        elif code == 0x74:  # ParameterDescription: RowDescription or NoData follows
            if head == _DESCRIBE:
                return None
        elif code == 0x73:  # PortalSuspended
            if head == _EXECUTE and not self._is_copy_in:
                self._end_execute(ledger.take(), Outcome.SUSPENDED, now)
                return None
        elif code == 0x49:  # EmptyQueryResponse
            if head == _EXECUTE and not self._is_copy_in:
                self._end_execute(ledger.take(), Outcome.SUCCEEDED, now)
                return None
            if head == _QUERY:
                ledger.is_answered = True
                return None
        elif code == 0x47:  # CopyInResponse
            if (head == _QUERY or head == _EXECUTE) and not self._is_copy_in:
                self._is_copy_in = True
                self._copying_in = not ledger.has_copy_end()
                ledger.begin_copy_in()
                return None
        elif code == 0x48 or code == 0x63:  # CopyOutResponse, CopyDone
            if head == _QUERY or head == _EXECUTE:
                return None
        elif code == 0x56:  # FunctionCallResponse
            if head == _FUNCTION:
                ledger.is_answered = True
                self._bytes += total
                return None
        raise PeerViolation("the data source sent an answer out of step")

    def _take_complete(self, head: int, data: bytes, at: int, total: int, now: float) -> None:
        if total > _TAG_LIMIT or (head != _QUERY and head != _EXECUTE):
            raise PeerViolation("the data source sent an answer out of step")
        if total < 6 or data[at + total - 1] != 0:
            raise PeerViolation("the data source sent an invalid command tag")
        ledger = self._ledger
        tag = data[at + 5 : at + total - 1]
        entry = ledger.first()
        statement = entry.statement
        if statement is not None:
            statement.tag = tag
            if self._rows == 0:
                statement.rows += _count_in(tag)
            else:
                statement.rows += self._rows
                self._rows = 0
        if self._is_copy_in:
            self._is_copy_in = False
            self._copying_in = False
            ledger.end_copy_in()
        if head == _EXECUTE:
            self._end_execute(ledger.take(), Outcome.SUCCEEDED, now)
        else:
            ledger.is_answered = True
        if tag[:10] == b"DEALLOCATE" or tag == b"DISCARD ALL":
            self._follow_deallocate(tag, statement, now)

    def _end_execute(self, entry: Expected, outcome: Outcome, now: float) -> None:
        if entry.refusal is not None:
            self._end_refused(entry, now)
        statement = entry.statement
        prepared = self._portals.get(entry.name)
        if statement is not None:
            if prepared is not entry.prepared:
                # What was on its way when this was sent did not come to pass: the
                # record tells what the server really ran.
                _retell(statement, entry.name, prepared)
            self._end(statement, outcome, now)
        self._release(entry.prepared)

    def _end(self, statement: Statement, outcome: Outcome, now: float) -> None:
        """Close a statement's record, once."""
        if statement.outcome is not Outcome.PENDING:
            return
        statement.outcome = outcome
        statement.ended = now
        statement.rows += self._rows
        statement.bytes_out = self._bytes
        self._bytes = 0
        self._rows = 0
        if statement.tag and (statement.text[:1] in b"wW" or statement.text is UNKNOWN_TEXT):
            statement.kind = kind_of_word(statement.tag.split(b" ", 1)[0])
        self._sink.end(statement)

    def _end_refused(self, entry: Expected, now: float) -> None:
        """The server has said yes in the place of a refusal; that ends the session."""
        statement = entry.statement
        if statement is not None:
            assert isinstance(entry.refusal, Refusal)
            statement.code = sqlstate_of(entry.refusal)
            self._end(statement, Outcome.REFUSED, now)
        raise PeerViolation("the data source accepted what was never sent")

    def _take_ready(self, status: int, now: float) -> None:
        if status != 0x49 and status != 0x54 and status != 0x45:
            raise PeerViolation("the data source sent an invalid ReadyForQuery")
        if self._is_copy_in:
            raise PeerViolation("the data source sent ReadyForQuery out of step")
        try:
            entry = self._ledger.ready()
        except LookupError:
            raise PeerViolation("the data source sent ReadyForQuery out of step") from None
        self.status = status
        if status == 0x49 and self._portals:
            # Portals end with their transaction.
            for prepared in self._portals.values():
                self._release(prepared)
            self._portals.clear()
        if entry is None:
            return
        statement = entry.statement
        if statement is not None:
            outcome = Outcome.SUCCEEDED
            if statement.code:
                outcome = Outcome.FAILED
            if entry.refusal is not None:
                if not statement.code:
                    self._end_refused(entry, now)
                outcome = Outcome.REFUSED
            self._end(statement, outcome, now)
        self._bytes = 0
        self._rows = 0

    def _take_error(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        stop = at + min(total, _LOOK_LIMIT)
        severity, sqlstate = _error_fields(data, at + 5, min(stop, len(data)))
        ledger = self._ledger
        if severity == b"FATAL" or severity == b"PANIC":
            # The server ends the session: what runs fails with this code.
            self._is_fatal = True
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
            return None
        self._is_copy_in = False
        self._copying_in = False
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
        failed = Outcome.FAILED if first.refusal is None else Outcome.REFUSED
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
                        prepared = self._portals.get(entry.name)
                        if prepared is not entry.prepared and entry.refusal is None:
                            _retell(statement, entry.name, prepared)
                    self._end(statement, failed, now)
                else:
                    self._end(statement, Outcome.SKIPPED, now)
            if entry.code == _EXECUTE:
                self._release(entry.prepared)
            if not ledger.is_skipping:
                # Otherwise kept until the Sync, for what is yet to be skipped.
                self._drop_coming(entry)
                if entry.code == _PARSE:
                    prepared = entry.prepared
                    prepared.pending = None

    def _drop_coming(self, entry: Expected) -> None:
        """This message is on its way no more: the server has answered or skipped it."""
        code = entry.code
        if code == _PARSE or code == _CLOSE_STATEMENT:
            if entry.name:
                self._coming_count += -1 if code == _PARSE else 1
            if self._coming_statements.get(entry.name) is entry:
                del self._coming_statements[entry.name]
        elif code == _BIND or code == _CLOSE_PORTAL:
            if self._coming_portals.get(entry.name) is entry:
                del self._coming_portals[entry.name]

    def _confirm_parse(self, entry: Expected, now: float) -> None:
        prepared = entry.prepared
        if entry.refusal is not None:
            self._end_refused(entry, now)
        self._drop_coming(entry)
        if prepared.name in self._statements:
            self._forget(prepared.name, now)
        self._statements[prepared.name] = prepared
        prepared.is_confirmed = True
        self._retain(prepared)
        if prepared.name and prepared.pending is not None:
            statement = prepared.pending
            prepared.pending = None
            self._end(statement, Outcome.PREPARED, now)

    def _confirm_bind(self, entry: Expected, now: float) -> None:
        if entry.refusal is not None:
            self._end_refused(entry, now)
        self._drop_coming(entry)
        prepared = self._statements.get(entry.source)
        if prepared is not None:
            self._retain(prepared)
        if entry.name in self._portals:
            self._release(self._portals[entry.name])
        self._portals[entry.name] = prepared

    def _retain(self, prepared: Prepared) -> None:
        if prepared.holders == 0:
            self._prepared_bytes += len(prepared.text)
        prepared.holders += 1

    def _release(self, prepared: Prepared | None) -> None:
        if prepared is None:
            return
        prepared.holders -= 1
        if prepared.holders == 0:
            self._prepared_bytes -= len(prepared.text)

    def _forget(self, name: bytes, now: float) -> None:
        prepared = self._statements.pop(name, None)
        if prepared is None:
            return
        self._release(prepared)
        if prepared.pending is not None:
            # Parsed, perhaps bound, never run: told all the same.
            statement = prepared.pending
            prepared.pending = None
            self._end(statement, Outcome.PREPARED, now)

    def _follow_deallocate(self, tag: bytes, statement: Statement | None, now: float) -> None:
        """Forget what DEALLOCATE and DISCARD ALL have removed, to keep the count true."""
        names: list[bytes] = []
        if tag == b"DEALLOCATE" and statement is not None:
            for quoted, plain in _DEALLOCATE.findall(statement.text):
                name = quoted.replace(b'""', b'"') if quoted else plain.lower()
                names.append(name[:_NAME_LENGTH])
        # Where the name cannot be read, none is known any more: a record that does not
        # know its text is better than one that tells the wrong text.
        for name in names or list(self._statements):
            self._forget(name, now)

    def _follow(self, data: bytes, at: int, total: int) -> None:
        """ParameterStatus: remember the settings that change how statements are read."""
        stop = at + min(total, _LOOK_LIMIT)
        name_end = data.find(b"\0", at + 5, stop)
        if name_end < 0:
            raise PeerViolation("the data source sent an invalid ParameterStatus")
        name = data[at + 5 : name_end]
        if name in FOLLOWED and total <= _LOOK_LIMIT:
            self.settings[name] = data[name_end + 1 : stop - 1]

    # -- the end ----------------------------------------------------------------------

    def refusal(self, refusal: Refusal) -> bytes:
        """A fatal ErrorResponse; between two messages it may stand anywhere."""
        return refusal_message(refusal)

    def close(self, now: float) -> None:
        """End every open record: what was running is interrupted, its effect unknown."""
        for entry in self._ledger.drain():
            statement = entry.statement
            if statement is None or statement.outcome is not Outcome.PENDING:
                continue
            if entry.refusal is not None:
                assert isinstance(entry.refusal, Refusal)
                outcome = Outcome.REFUSED
                statement.code = sqlstate_of(entry.refusal)
            else:
                outcome = Outcome.FAILED if statement.code else Outcome.INTERRUPTED
            self._end(statement, outcome, now)
        for name in list(self._statements):
            self._forget(name, now)
        self._portals.clear()
        self._coming_statements.clear()
        self._coming_portals.clear()


def _retell(statement: Statement, portal: bytes, prepared: Prepared | None) -> None:
    """Give a record the text of what the server ran."""
    if prepared is None:
        statement.text = UNKNOWN_TEXT
        statement.text_length = 0
        statement.kind = Kind.OTHER
        statement.name = portal
    else:
        statement.text = prepared.text
        statement.text_length = prepared.text_length
        statement.kind = prepared.kind
        statement.name = prepared.name


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
