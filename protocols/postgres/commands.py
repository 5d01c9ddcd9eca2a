# cython: annotation_typing=False
"""What a client's message asks for: its statement is judged, and what the server will owe noted.

The message is whole, or as much of it as is looked at (``scan_client`` sees to that). Each
``take`` gives the message to send in its place, or None where it may go as it is.

A refused message is replaced by one that the server itself answers with a syntax
error, and that error is rewritten into the refusal. So the refusal has its place in
the order of answers, also in a pipeline, and the server's own rules of skipping and of
failed transactions hold.

Plain Python; compiled with the types in ``commands.pxd``.
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
_PARSE = expected.PARSE
_BIND = expected.BIND
_EXECUTE = expected.EXECUTE
_DESCRIBE = expected.DESCRIBE
_CLOSE_STATEMENT = expected.CLOSE_STATEMENT
_CLOSE_PORTAL = expected.CLOSE_PORTAL

# A member of an Enum is looked up through its class; these are read for every statement.
_PENDING = Outcome.PENDING
_SKIPPED = Outcome.SKIPPED
_VIA_EXECUTE = Via.EXECUTE
_VIA_FUNCTION = Via.FUNCTION
_VIA_PREPARE = Via.PREPARE
_VIA_SIMPLE = Via.SIMPLE

_NAME_LENGTH = NAME_LENGTH

NAME_LIMIT = 1023
"""Bytes of a statement's or portal's name: drivers stay far below. A longer one is nobody's."""
_NAME_LIMIT = NAME_LIMIT  # compiled, it is a number of C's here


class Commands:
    """The statements of one session, as its client sends them."""

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
        self._values_limit = limits.values
        self._last_sent: Statement | None = None
        self._bind_bytes = 0

    def _skip(self, statement: Statement, refusal: Refusal | None, now: float) -> bytes | None:
        """The server will not read this one: an error stands before it in its pipeline."""
        statement.outcome = _SKIPPED
        statement.ended = now
        self._sink.end(statement)
        return None if refusal is None else b""

    def _object(self, code: int, name: bytes, prepared: Prepared | None) -> Refusal | None:
        """What the server would say about this name, where it cannot know it: no server's error
        here, where the names are its own. ``code`` is PARSE, BIND or DESCRIBE.
        """
        return None

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
        if refusal is None:
            refusal = self._object(_PARSE, name, self._statements.to_be_named(name))
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
        else:
            refusal = self._object(_BIND, name, prepared)
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
        name = data[at + 6 : min(at + total - 1, at + 6 + _NAME_LENGTH)]
        if code == 0x44:
            refusal = None
            if target == 0x53:
                refusal = self._object(_DESCRIBE, name, self._statements.to_be_named(name))
            ledger.push(_DESCRIBE, b"", b"", None, None, refusal, 0)
            return None if refusal is None else in_place.PARSE
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
