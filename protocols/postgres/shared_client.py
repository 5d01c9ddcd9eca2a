# cython: annotation_typing=False
"""From a client to a connection that it has for one transaction: names become the server's.

What the client calls a statement is known here alone (``prepared``); at the server each text
has one name of ours (``pooled``). Before a Bind or a Describe, the text is parsed there where
that connection has it not: a message of ours, whose answer the client never sees. A Parse of
what is there already, and every Close, are sent as a Close of a name that nobody has: the
server answers it in its place, also in a pipeline, after an error and in a failed
transaction, and ``shared_server`` gives the client the answer that it waits for.

What a statement leaves behind in its session is told by ``remains``; then the connection is
the client's to its end, or until it has it reset by DISCARD ALL.

Plain Python; compiled with the types in ``shared_client.pxd``.
"""

from __future__ import annotations

from collections.abc import Callable

import cython

from protocols.errors import Refusal
from protocols.interface import ScanLimits
from protocols.postgres import expected
from protocols.postgres.commands import NAME_LIMIT
from protocols.postgres.in_place import no_such_statement, statement_exists
from protocols.postgres.ledger import Expected, Ledger
from protocols.postgres.pooled import (
    NOWHERE,
    PREFIX,
    ServerMemory,
    ServerStatements,
    Text,
    Texts,
)
from protocols.postgres.prepared import NAME_LENGTH, Prepared, PreparedStatements
from protocols.postgres.scan_client import ClientScan
from protocols.postgres.session_settings import RESET_ALL, Settings, after, are_few, leading
from protocols.remains import Remainder, Remains
from protocols.statements import StatementSink

if cython.compiled:
    from cython.cimports.protocols.nul import find_nul
else:
    from protocols.nul import find_nul

_PARSE = expected.PARSE
_BIND = expected.BIND
_OUR_PARSE = expected.OUR_PARSE
_OUR_CLOSE = expected.OUR_CLOSE
_OUR_QUERY = expected.OUR_QUERY
_NAME_LENGTH = NAME_LENGTH
_NAME_LIMIT = NAME_LIMIT

_NOWHERE = NOWHERE
_NOTHING = NOWHERE.statements
_NOBODY = b"accode_nobody"
_GONE = b"accode_gone"
_CLOSE_NOBODY = b"C\0\0\0\x13S" + _NOBODY + b"\0"
_DISCARD_SEQUENCES = b"Q\0\0\0\x16DISCARD SEQUENCES\0"
_DEALLOCATE_GONE = b"DEALLOCATE " + _GONE + b"\0"

# The functions of large objects that drivers call by number (pg_proc.dat): what they open is
# closed at the transaction's end.
_LARGE_OBJECTS = frozenset(
    (715, 764, 767, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172)
)


def _message(code: bytes, body: bytes) -> bytes:
    return code + (4 + len(body)).to_bytes(4, "big") + body


class SharedClientScan(ClientScan):
    """As ``ClientScan``, for a session that shares its server connections.

    ``pinned_by``: why the connection is the client's own; "" while it is not. ``settings`` are
    what it has set, and has on any connection.
    """

    def __init__(
        self,
        sink: StatementSink,
        limits: ScanLimits,
        ledger: Ledger,
        statements: PreparedStatements,
        texts: Texts,
        remains: Remains,
        on_reset: Callable[[], None],
    ) -> None:
        ClientScan.__init__(self, sink, limits, ledger, statements)
        self._texts = texts
        self._remains = remains
        self._memory: ServerMemory = _NOWHERE
        self._server: ServerStatements = _NOTHING
        self.pinned_by = ""
        self.settings: Settings = ()
        # The newest text that changes them, and how; whether nothing is open before a message.
        self._setting: Expected | None = None
        self._change = RESET_ALL
        self._is_alone = True
        self._on_reset = on_reset
        # How often something was sent that leaves something behind; and the newest text that may
        # be a DISCARD ALL, with how often it was then.
        self._pins = 0
        self._discarding: Expected | None = None
        self._pins_before = 0
        # Whether nothing was sent on this connection yet; the unnamed statement that was
        # parsed there last, in which segment, and whether the server has said so.
        self._is_fresh = True
        self._unnamed: Prepared | None = None
        self._unnamed_segment = 0
        self._is_unnamed_confirmed = False

    def attach(self, memory: ServerMemory) -> None:
        """This connection from now on."""
        self._memory = memory
        self._server = memory.statements
        self._is_fresh = True
        self._unnamed = None

    def detach(self) -> None:
        """None from now on."""
        self._memory = _NOWHERE
        self._server = _NOTHING

    def pin(self, cause: str) -> None:
        """The connection is this client's own."""
        if not self.pinned_by:
            self.pinned_by = cause

    def unpin(self, entry: Expected) -> None:
        """The server has answered this text with DISCARD ALL: nothing is left of what was sent
        before it. What was sent behind it, in a pipeline, may have left something.
        """
        if entry is self._discarding and self._pins == self._pins_before and self.pinned_by:
            self.pinned_by = ""
            # More than that command takes away is the pool's own reset's to take.
            self._on_reset()

    def change_of(self, entry: Expected) -> tuple[bytes, bytes] | None:
        """The change of settings that this text makes, if it is one that is carried on."""
        return self._change if entry is self._setting else None

    def settle(self, changes: list[tuple[bytes, bytes]], is_idle: bool) -> None:
        """Changes were made, and are undone no more where the server is idle."""
        settings = after(self.settings, changes)
        if not is_idle or not are_few(settings):
            self.pin("setting")
        if not self.pinned_by:
            self.settings = self._memory.settings = settings

    def confirm_unnamed(self, prepared: object) -> None:
        """The server has parsed this one as the unnamed statement."""
        if self._unnamed is prepared:
            self._is_unnamed_confirmed = True

    def lose_unnamed(self) -> None:
        """What the server has as the unnamed statement is not known."""
        self._unnamed = None

    # -- what is sent ------------------------------------------------------------------

    def _take_client(self, code: int, data: bytes, at: int, total: int, now: float) -> bytes | None:
        before = b""
        self._is_alone = self._ledger.count == 0
        if self._is_fresh and self._memory.settings is not self.settings:
            before = self._lead()
        sent = ClientScan._take_client(self, code, data, at, total, now)
        self._is_fresh = False
        return self._behind(before, sent, data, at)

    def _lead(self) -> bytes:
        """What makes the settings of this connection those of this session."""
        text = leading(self._memory.settings, self.settings)
        self._memory.settings = self.settings
        if not text:
            return b""
        self._ledger.push(_OUR_QUERY, b"", b"", None, None, None, 0)
        return _message(b"Q", text + b"\0")

    def _take_query(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        if self._ledger.is_skipping:
            return ClientScan._take_query(self, data, at, total, now)
        before = b""
        name: bytes | None = None
        is_discarding = False
        change: tuple[bytes, bytes] | None = None
        if total <= 5 + self._text_limit:
            found = self._remains(data[at + 5 : at + total - 1])
            if found is not None:
                name = found.deallocates
                change = self._carried(found)
                before = self._heed("" if change else found.cause, found.is_deallocating)
                is_discarding = found.is_deallocating and not found.cause and name is None
        else:
            before = self._heed("unseen", True)
        if name is not None and self._is_shared(name):
            # The server has it under another name, and others use it there.
            before += self._make_gone()
            replacement = ClientScan._take_query(self, data, at, total, now)
            return before + (replacement or _message(b"Q", _DEALLOCATE_GONE))
        replacement = ClientScan._take_query(self, data, at, total, now)
        if change is not None:
            self._setting = self._ledger.newest()
            self._change = change
        if is_discarding:
            self._discarding = self._ledger.newest()
            self._pins_before = self._pins
        return self._behind(before, replacement, data, at)

    def _take_parse(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        ledger = self._ledger
        if ledger.is_skipping:
            return ClientScan._take_parse(self, data, at, total, now)
        name_end = find_nul(data, at + 5, min(at + total, at + 6 + _NAME_LIMIT))
        is_whole = name_end >= 0 and total <= 9 + _NAME_LIMIT + self._text_limit
        body: bytes | None = None
        before = b""
        name: bytes | None = None
        sets: tuple[bytes, bytes] | None = None
        if is_whole:
            body = data[name_end + 1 : at + total]
            found = self._remains(body[: body.find(b"\0")])
            if found is not None:
                name = found.deallocates
                if data[at + 5] == 0:
                    sets = found.sets
                before = self._heed("" if sets else found.cause, found.is_deallocating)
        else:
            before = self._heed("unseen", True)
        if name is not None and self._is_shared(name):
            before += self._make_gone()
            if body is not None:
                body = _DEALLOCATE_GONE + body[body.find(b"\0") + 1 :]
        text: Text | None = None
        is_there = False
        if body is not None and data[at + 5] != 0:
            text = self._texts.find(body)
            is_there = self._server.has(text, ledger.segment)
            if not is_there and self._server.may_have(text):
                before += self._close(text)
        replacement = ClientScan._take_parse(self, data, at, total, now)
        entry = ledger.newest()
        prepared = entry.prepared
        if not prepared.name:
            # Whatever comes of it, the one before it is gone: the server drops it first.
            self._unnamed = prepared
            self._unnamed_segment = ledger.segment
            self._is_unnamed_confirmed = False
            prepared.body = body
            prepared.sets = sets
            if replacement is None and name is not None and body is not None:
                return before + _message(b"P", b"\0" + body)
            return self._behind(before, replacement, data, at)
        if replacement is not None:
            return before + replacement
        if text is None or body is None:
            prepared.shared = text = self._texts.make_long()
            self._replaced = name_end + 1 - at
            length: int = total - 1 - (name_end - at - 5) + len(text.name)
            return before + b"P" + length.to_bytes(4, "big") + text.name + b"\0"
        prepared.shared = text
        if is_there:
            entry.is_stood_in = True
            return before + _CLOSE_NOBODY
        self._server.send_parse(text, entry)
        return before + _message(b"P", text.name + b"\0" + body) + self._make_room()

    def _take_bind(self, data: bytes, at: int, total: int) -> bytes | None:
        if self._ledger.is_skipping:
            return ClientScan._take_bind(self, data, at, total)
        stop = min(at + total, len(data))
        portal_end = find_nul(data, at + 5, stop)
        name_end = -1 if portal_end < 0 else find_nul(data, portal_end + 1, stop)
        if name_end < 0:
            return ClientScan._take_bind(self, data, at, total)
        name = data[portal_end + 1 : min(name_end, portal_end + 1 + _NAME_LENGTH)]
        prepared = self._statements.to_be_named(name)
        before = b"" if prepared is None else self._bring(prepared)
        replacement = ClientScan._take_bind(self, data, at, total)
        if replacement is not None:
            return before + replacement
        text: Text | None = None if prepared is None else prepared.shared
        if text is None:
            return self._behind(before, None, data, at)
        self._replaced = name_end + 1 - at
        length: int = total - 1 - (name_end - portal_end - 1) + len(text.name)
        head = data[at + 5 : portal_end + 1]
        return before + b"B" + length.to_bytes(4, "big") + head + text.name + b"\0"

    def _take_describe_or_close(self, code: int, data: bytes, at: int, total: int) -> bytes | None:
        if self._ledger.is_skipping or total <= 6 or data[at + 5] != 0x53:
            return ClientScan._take_describe_or_close(self, code, data, at, total)
        name = data[at + 6 : min(at + total - 1, at + 6 + _NAME_LENGTH)]
        prepared = self._statements.to_be_named(name)
        if code == 0x43:
            ClientScan._take_describe_or_close(self, code, data, at, total)
            if not name or (prepared is None and self._is_own(name)):
                return None
            return _CLOSE_NOBODY
        before = b"" if prepared is None else self._bring(prepared)
        replacement = ClientScan._take_describe_or_close(self, code, data, at, total)
        if replacement is not None:
            return before + replacement
        text: Text | None = None if prepared is None else prepared.shared
        if text is None:
            return self._behind(before, None, data, at)
        return before + _message(b"D", b"S" + text.name + b"\0")

    def _take_function(self, data: bytes, at: int, total: int, now: float) -> bytes | None:
        before = b""
        if (
            not self._ledger.is_skipping
            and int.from_bytes(data[at + 5 : at + 9], "big") not in _LARGE_OBJECTS
        ):
            before = self._heed("function", False)
        return self._behind(before, ClientScan._take_function(self, data, at, total, now), data, at)

    def _behind(
        self, before: bytes, replacement: bytes | None, data: bytes, at: int
    ) -> bytes | None:
        """Messages of ours, and behind them the client's or what stands for it."""
        if not before:
            return replacement
        if replacement is None:
            self._replaced = 5
            return before + data[at : at + 5]
        return before + replacement

    # -- names -------------------------------------------------------------------------

    def _object(self, code: int, name: bytes, prepared: Prepared | None) -> Refusal | None:
        if self._ledger.is_skipping:
            return None
        if code == _PARSE:
            if (
                name
                and prepared is not None
                and (prepared.is_confirmed or prepared.segment == self._ledger.segment)
            ):
                return statement_exists(name)
            return None
        if prepared is None:
            return None if name and self._is_own(name) else no_such_statement(name)
        if not name and prepared.body is None and not self._has_unnamed(prepared):
            return no_such_statement(name)
        return None

    def _is_own(self, name: bytes) -> bool:
        """Whether the client may have given this name in SQL, on a connection of its own."""
        return self.pinned_by != "" and not name.startswith(PREFIX)

    def _is_shared(self, name: bytes) -> bool:
        prepared = self._statements.to_be_named(name)
        return prepared is not None and prepared.shared is not None

    def _has_unnamed(self, prepared: Prepared) -> bool:
        """Whether a Bind sent now finds this one as the unnamed statement."""
        return self._unnamed is prepared and (
            self._is_unnamed_confirmed or self._unnamed_segment == self._ledger.segment
        )

    def _bring(self, prepared: Prepared) -> bytes:
        """What is to be sent so that the server has this statement."""
        text: Text | None = prepared.shared
        ledger = self._ledger
        if text is None:
            if prepared.name or prepared.body is None or self._has_unnamed(prepared):
                return b""
            self._unnamed = prepared
            self._unnamed_segment = ledger.segment
            self._is_unnamed_confirmed = False
            ledger.push(_OUR_PARSE, b"", b"", prepared, None, None, 0)
            return _message(b"P", b"\0" + prepared.body)
        server = self._server
        if text.body is None or server.has(text, ledger.segment):
            return b""
        sent = self._close(text) if server.may_have(text) else b""
        server.send_parse(text, ledger.push(_OUR_PARSE, b"", b"", text, None, None, 0))
        return sent + _message(b"P", text.name + b"\0" + text.body) + self._make_room()

    def _make_gone(self) -> bytes:
        """What the client's DEALLOCATE is to remove: its own may be somebody else's, too."""
        for code in (_OUR_CLOSE, _OUR_PARSE):
            self._ledger.push(code, b"", b"", None, None, None, 0)
        return _message(b"C", b"S" + _GONE + b"\0") + _message(b"P", _GONE + b"\0\0\0\0")

    def _make_room(self) -> bytes:
        text = self._server.excess()
        return b"" if text is None else self._close(text)

    def _close(self, text: Text) -> bytes:
        self._server.send_close(text, self._ledger.push(_OUR_CLOSE, b"", b"", text, None, None, 0))
        return _message(b"C", b"S" + text.name + b"\0")

    # -- what remains ------------------------------------------------------------------

    def _carried(self, found: Remainder) -> tuple[bytes, bytes] | None:
        """How a text changes the session's settings, where its other connections get that too.

        Not where another text is open: one at a time is remembered.
        """
        if not self._is_alone:
            return None
        if found.sets is not None:
            return found.sets
        return RESET_ALL if found.resets_all else None

    def _heed(self, cause: str, is_deallocating: bool) -> bytes:
        """What a statement leaves behind in its session; what is to be sent before it."""
        before = b""
        if cause:
            self._pins += 1
            if cause == "sequence" and self._is_fresh and not self.pinned_by:
                # What a sequence gave to somebody else: the server says that there is none.
                self._ledger.push(_OUR_QUERY, b"", b"", None, None, None, 0)
                before = _DISCARD_SEQUENCES
            if not self.pinned_by:
                self.pin(cause)
                # A connection of its own has nothing of others.
                before += b"".join([self._close(text) for text in self._server.all()])
        if is_deallocating:
            self._server.doubt_all()
        return before
