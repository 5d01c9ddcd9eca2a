# cython: annotation_typing=False
"""From the client: finds the statements, has them judged, lets the rest pass.

What is held back is the beginning of a message that bears a statement, until its text
(up to the limit) is here and judged. Everything else streams untouched.

A refused message is replaced by one that the server itself answers with a syntax
error, and that error is rewritten into the refusal. So the refusal has its place in
the order of answers, also in a pipeline, and the server's own rules of skipping and of
failed transactions hold.

Plain Python; compiled with the types in ``scan_client.pxd``.
"""

from __future__ import annotations

import cython

from protocols.errors import PeerViolation, Reason, Refusal
from protocols.interface import ScanLimits
from protocols.postgres import expected, in_place
from protocols.postgres.bound import types_in, values_in
from protocols.postgres.ledger import Expected, Ledger
from protocols.postgres.prepared import (
    NAME_LENGTH,
    UNKNOWN_TEXT,
    Prepared,
    PreparedStatements,
)
from protocols.statements import Kind, Outcome, Statement, StatementSink, Via

if cython.compiled:
    from cython.cimports.protocols.nul import find_nul
    from cython.cimports.protocols.statements import kind_of_text, new_statement
else:
    from protocols.nul import find_nul
    from protocols.statements import kind_of_text, new_statement

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

# A member of an Enum is looked up through its class; these are read for every statement.
_PENDING = Outcome.PENDING
_SKIPPED = Outcome.SKIPPED
_VIA_EXECUTE = Via.EXECUTE
_VIA_FUNCTION = Via.FUNCTION
_VIA_PREPARE = Via.PREPARE
_VIA_SIMPLE = Via.SIMPLE

_NAME_LENGTH = NAME_LENGTH

# Statement and portal names: drivers stay far below this. A longer one is nobody's name.
_NAME_LIMIT = 1023

# How much text of unanswered statements one session may make us keep, in bytes, before
# its client is read no further: a data source that never answers must not fill memory.
_OPEN_TEXT_LIMIT = 4 * 1024 * 1024

# The server keeps its answers until a Sync or a Flush, or until 8 KB are together. Where
# we stop reading the client, its Sync cannot reach the server, so the answers must be
# asked for, else both wait for ever. A Flush is answered by nothing.
_FLUSH = b"H\0\0\0\4"


class ClientScan:
    """One direction of a session: what goes upstream."""

    def __init__(
        self,
        sink: StatementSink,
        limits: ScanLimits,
        ledger: Ledger,
        statements: PreparedStatements,
    ) -> None:
        self._sink = sink
        self._ledger = ledger
        self._statements = statements
        self._text_limit = limits.text
        self._message_limit = limits.message
        self._outstanding_limit = limits.outstanding
        self._values_limit = limits.values
        self._goodbye = False
        self._held = bytearray()
        self._held_need = 0
        self._pass = 0
        self._drop = 0
        self._last_sent: Statement | None = None
        self._bind_bytes = 0

    def is_between(self) -> bool:
        """Whether the client is not in the middle of a message."""
        return not self._held and self._pass == 0 and self._drop == 0

    def has_said_goodbye(self) -> bool:
        """Whether Terminate has passed."""
        return self._goodbye

    def is_crowded(self) -> bool:
        """Whether the client is to be read no further; only at a message's end.

        Never while the server waits for copy data: it cannot answer what it has not got.
        """
        ledger = self._ledger
        return (
            (ledger.count >= self._outstanding_limit or ledger.weight >= _OPEN_TEXT_LIMIT)
            and self._pass == 0
            and self._drop == 0
            and not ledger.is_copying
        )

    def read(self, data: bytes, now: float) -> bytes:
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
        if self.is_crowded():
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
        if statement is not None and statement.outcome is _PENDING:
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
            if self._values_limit > 0:
                # With as many format codes and lengths as the values that can be kept.
                limit += 2 * self._values_limit
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
        if ledger.is_copying and code not in (0x53, 0x63, 0x66, 0x48, 0x58):
            # The server ends the session over this, too ("COPY Operations").
            raise PeerViolation("unexpected message type during COPY from stdin")
        if code == 0x51:
            return self._take_query(data, at, total, now)
        if code == 0x42:
            return self._take_bind(data, at, total)
        if code == 0x45:
            return self._take_execute(data, at, total, now)
        if code == 0x53:
            if ledger.is_copying:
                if ledger.maybes >= self._outstanding_limit:
                    raise PeerViolation("too many Sync messages during COPY from stdin")
                ledger.push(_MAYBE, b"", b"", None, None, None, 0)
                return None
            if ledger.is_skipping:
                ledger.is_skipping = False
                self._statements.drop_all()
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
            ledger.is_copying = False
        return None

    def _skip(self, statement: Statement, refusal: Refusal | None, now: float) -> bytes | None:
        """The server will not read this one: an error stands before it in its pipeline."""
        statement.outcome = _SKIPPED
        statement.ended = now
        self._sink.end(statement)
        return None if refusal is None else b""

    def _take_query(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        start = at + 5
        end = find_nul(data, start, at + min(total, 5 + self._text_limit))
        # What stands behind the limit is not looked at, however much of it is here.
        if total <= 5 + self._text_limit:
            if end != at + total - 1:
                raise PeerViolation("invalid string in message")
        elif end >= 0:
            raise PeerViolation("invalid string in message")
        else:
            end = start + self._text_limit
        p = data
        text = p[start:end]
        statement = new_statement(_VIA_SIMPLE, text, total - 6, now)
        statement.kind = kind_of_text(text)
        statement.bytes_in = total
        refusal = self._sink.begin(statement)
        if self._ledger.is_skipping:
            return self._skip(statement, refusal, now)
        self._last_sent = statement
        self._ledger.push(_QUERY, b"", b"", None, statement, refusal, len(text))
        if refusal is None:
            return None
        return in_place.QUERY

    def _take_parse(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        need = 9 + _NAME_LIMIT + self._text_limit
        stop = at + min(total, need)
        name_end = find_nul(data, at + 5, stop)
        if name_end < 0 or name_end - at - 5 > _NAME_LIMIT:
            raise PeerViolation("a statement name is too long")
        name = data[at + 5 : min(name_end, at + 5 + _NAME_LENGTH)]
        start = name_end + 1
        end = find_nul(data, start, min(stop, start + self._text_limit))
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
        statement = new_statement(_VIA_PREPARE, text, text_length, now)
        statement.name = name
        statement.kind = kind_of_text(text)
        statement.bytes_in = total
        refusal = self._sink.begin(statement)
        # The sink's text, not the wire's: a secret that was redacted stays redacted.
        prepared = Prepared(name, statement.text, text_length, statement.kind, ledger.segment)
        prepared.pending = statement
        if self._values_limit > 0:
            prepared.has_values_shown = statement.text is text and text_length == len(text)
            prepared.types = types_in(data, end + 1, stop)
        if ledger.is_skipping:
            if not name:
                # Kept until the Sync: its Execute, skipped as well, is one record with it.
                self._statements.send_statement(
                    Expected(_PARSE, name, b"", prepared, statement, None, 0, ledger.segment)
                )
            return self._skip(statement, refusal, now)
        if refusal is None and name and not self._statements.has_room(len(text)):
            refusal = Refusal(
                Reason.LIMIT_EXCEEDED, "this session holds too many prepared statements"
            )
        entry = ledger.push(_PARSE, name, b"", prepared, statement, refusal, len(text))
        self._statements.send_statement(entry)
        if refusal is None:
            return None
        return in_place.PARSE if name else in_place.UNNAMED_PARSE

    def _take_bind(self, data: bytes, at: int, total: int) -> bytes | None:
        stop = min(at + total, len(data))
        portal_end = find_nul(data, at + 5, stop)
        if portal_end < 0 or portal_end - at - 5 > _NAME_LIMIT:
            raise PeerViolation("a portal name is too long")
        name_end = find_nul(data, portal_end + 1, stop)
        if name_end < 0 or name_end - portal_end - 1 > _NAME_LIMIT:
            raise PeerViolation("a statement name is too long")
        portal = data[at + 5 : min(portal_end, at + 5 + _NAME_LENGTH)]
        name = data[portal_end + 1 : min(name_end, portal_end + 1 + _NAME_LENGTH)]
        ledger = self._ledger
        prepared = self._statements.to_be_named(name)
        self._bind_bytes += total
        if ledger.is_skipping:
            if not portal:
                self._statements.send_portal(
                    Expected(_BIND, portal, name, prepared, None, None, 0, ledger.segment)
                )
            return None
        refusal: Refusal | None = None
        if portal and not self._statements.has_portal_room():
            refusal = Refusal(Reason.LIMIT_EXCEEDED, "this session holds too many portals")
        entry = ledger.push(_BIND, portal, name, prepared, None, refusal, 0)
        self._statements.send_portal(entry)
        if self._values_limit > 0 and prepared is not None:
            self._keep_values(entry, prepared, data, name_end + 1, stop)
        return None if refusal is None else in_place.PARSE

    def _keep_values(
        self, entry: Expected, prepared: Prepared, data: bytes, at: int, stop: int
    ) -> None:
        if self._statements.may_show_values(entry.source):
            entry.values = values_in(data, at, stop, prepared.types, self._values_limit)
            if entry.values is not None:
                self._ledger.add_weight(entry, entry.values.cost)

    def _take_execute(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        end = find_nul(data, at + 5, at + total)
        if end != at + total - 5:
            raise PeerViolation("invalid message format")
        portal = data[at + 5 : min(end, at + 5 + _NAME_LENGTH)]
        ledger = self._ledger
        coming = self._statements.coming_portal(portal)
        prepared = self._statements.in_portal(portal) if coming is None else coming.prepared
        refusal: Refusal | None = None
        if prepared is None:
            # Made by SQL (DECLARE, PREPARE), or not there: the server knows.
            statement = new_statement(_VIA_EXECUTE, UNKNOWN_TEXT, 0, now)
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
            if statement.outcome is not _PENDING:
                return None  # Its Parse was skipped, and so is this.
            statement.via = _VIA_EXECUTE
        else:
            statement = new_statement(_VIA_EXECUTE, prepared.text, prepared.text_length, now)
            statement.name = prepared.name
            statement.kind = prepared.kind
            refusal = self._sink.begin(statement)
        statement.bytes_in += total + self._bind_bytes
        self._bind_bytes = 0
        if self._values_limit > 0:
            # What is on its way there; the answer tells what the portal really had.
            statement.values = (
                self._statements.values_in(portal) if coming is None else coming.values
            )
        if ledger.is_skipping:
            return self._skip(statement, refusal, now)
        self._last_sent = statement
        ledger.push(_EXECUTE, portal, b"", prepared, statement, refusal, 0)
        if prepared is not None:
            self._statements.retain(prepared)
        return None if refusal is None else in_place.PARSE

    def _take_describe_or_close(self, code: int, data: bytes, at: int, total: int) -> bytes | None:
        target = data[at + 5] if total > 6 else 0
        if find_nul(data, at + 6, at + total) != at + total - 1 or target not in (0x53, 0x50):
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
            self._statements.send_statement(entry)
        else:
            entry = ledger.push(_CLOSE_PORTAL, name, b"", None, None, None, 0)
            self._statements.send_portal(entry)
        return None

    def _take_function(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        oid = int.from_bytes(data[at + 5 : at + 9], "big")
        text = b"function call of oid %d" % oid
        statement = new_statement(_VIA_FUNCTION, text, len(text), now)
        statement.kind = Kind.FUNCTION
        statement.bytes_in = total
        refusal = self._sink.begin(statement)
        if self._ledger.is_skipping:
            return self._skip(statement, refusal, now)
        self._last_sent = statement
        self._ledger.push(_FUNCTION, b"", b"", None, statement, refusal, len(text))
        return None if refusal is None else in_place.QUERY
