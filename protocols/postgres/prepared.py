# cython: annotation_typing=False
"""The prepared statements and portals of one session, and what runs under each name.

As the server has confirmed them, and over that the last message about each name that is
still on its way there: a Parse that is on its way may fail, be skipped, or replace a name.
Bounded by count and by bytes of text. This file must never know bytes on the wire, rules,
or the log: a record that ends because its statement is forgotten is handed to the caller.

Plain Python; compiled with the types in ``prepared.pxd`` where there is a C compiler.
"""

from __future__ import annotations

from protocols.postgres import expected
from protocols.postgres.ledger import Expected
from protocols.postgres.pooled import Text
from protocols.statements import Kind, Statement
from protocols.values import BoundValues

_PARSE = expected.PARSE
_BIND = expected.BIND
_CLOSE_STATEMENT = expected.CLOSE_STATEMENT
_CLOSE_PORTAL = expected.CLOSE_PORTAL

# The server tells names apart by their first 63 bytes (NAMEDATALEN - 1): two longer names
# that begin alike are one statement to it, so they must be one here.
NAME_LENGTH = 63

# What is told of an Execute whose statement did not pass here.
UNKNOWN_TEXT = b"(a portal that was not made by Bind of a known statement)"


class Prepared:
    """A parsed statement of the session.

    ``pending`` is its record until it has run. ``segment`` is the ledger's when it was
    sent, ``is_confirmed`` says that the server has made it. ``holders`` counts what
    keeps its text: its name, portals, unanswered Executes. ``has_values_shown``: the log
    may have the values bound to it, of ``types``; never where its text is redacted or cut.
    ``body`` is the rest of its Parse behind the name, where it can be sent again, and
    ``shared`` what the server has under another name than its client's (``pooled``). ``sets`` is
    the setting that it sets, where that is carried to other connections (``session_settings``).
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
        self.has_values_shown = False
        self.types: tuple[int, ...] = ()
        self.body: bytes | None = None
        self.shared: Text | None = None
        self.sets: tuple[bytes, bytes] | None = None


class PreparedStatements:
    """What the names of one session mean, at the server and on the way to it."""

    def __init__(self, count_limit: int, bytes_limit: int) -> None:
        self._statements: dict[bytes, Prepared] = {}
        self._portals: dict[bytes, Prepared | None] = {}
        # Of portals, where they are kept.
        self._values: dict[bytes, BoundValues] = {}
        self._coming_statements: dict[bytes, Expected] = {}
        self._coming_portals: dict[bytes, Expected] = {}
        self._coming_count = 0
        self._bytes = 0
        self._count_limit = count_limit
        self._bytes_limit = bytes_limit

    # -- on the way to the server -----------------------------------------------------

    def has_room(self, size: int) -> bool:
        """Whether one more named statement of so many bytes may be parsed.

        Parses and Closes that are on their way count as if they succeed. By bytes they
        are bounded by what the client may have unanswered.
        """
        named = len(self._statements) - (1 if b"" in self._statements else 0)
        return (
            named + self._coming_count < self._count_limit
            and self._bytes + size <= self._bytes_limit
        )

    def has_portal_room(self) -> bool:
        """Whether one more named portal may be bound."""
        return (
            len(self._portals) + len(self._coming_portals) < self._count_limit
            and self._bytes <= self._bytes_limit
        )

    def send_statement(self, entry: Expected) -> None:
        """A Parse, or a Close of a statement, is on its way."""
        self._coming_statements[entry.name] = entry
        if entry.name:
            self._coming_count += 1 if entry.code == _PARSE else -1

    def send_portal(self, entry: Expected) -> None:
        """A Bind, or a Close of a portal, is on its way."""
        self._coming_portals[entry.name] = entry

    def to_be_named(self, name: bytes) -> Prepared | None:
        """What a Bind sent now will find under this name, if all before it succeeds."""
        coming = self._coming_statements.get(name)
        return self._statements.get(name) if coming is None else coming.prepared

    def coming_portal(self, name: bytes) -> Expected | None:
        """The last message about this portal, where it is still on its way."""
        return self._coming_portals.get(name)

    def drop(self, entry: Expected) -> None:
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

    def drop_all(self) -> None:
        """All that was on its way was skipped."""
        self._coming_statements.clear()
        self._coming_portals.clear()
        self._coming_count = 0

    # -- at the server ----------------------------------------------------------------

    def name_statement(self, prepared: Prepared) -> None:
        """The server has parsed it; whatever had the name is to be forgotten before."""
        self._statements[prepared.name] = prepared
        prepared.is_confirmed = True
        self.retain(prepared)

    def open_portal(self, name: bytes, source: bytes, values: BoundValues | None) -> None:
        """The server has bound the statement named ``source`` to this portal."""
        prepared = self._statements.get(source)
        if prepared is not None:
            self.retain(prepared)
        if name in self._portals:
            self.close_portal(name)
        self._portals[name] = prepared
        if values is not None and prepared is not None and prepared.has_values_shown:
            self._values[name] = values
            self._bytes += values.cost

    def close_portal(self, name: bytes) -> None:
        """The server has it no more, if it ever had."""
        self.release(self._portals.pop(name, None))
        if self._values:
            values = self._values.pop(name, None)
            if values is not None:
                self._bytes -= values.cost

    def close_portals(self) -> None:
        """Portals end with their transaction."""
        if self._portals:
            for prepared in self._portals.values():
                self.release(prepared)
            self._portals.clear()
        if self._values:
            for values in self._values.values():
                self._bytes -= values.cost
            self._values.clear()

    def in_portal(self, name: bytes) -> Prepared | None:
        """What the server runs on an Execute of this portal; None where nobody knows."""
        return self._portals.get(name)

    def values_in(self, portal: bytes) -> BoundValues | None:
        """What is bound to this portal, where the log may have it."""
        return self._values.get(portal)

    def may_show_values(self, name: bytes) -> bool:
        """Whether neither what has this name at the server nor what will is a secret."""
        coming = self._coming_statements.get(name)
        for prepared in (self._statements.get(name), None if coming is None else coming.prepared):
            if prepared is not None and not prepared.has_values_shown:
                return False
        return True

    def names(self) -> list[bytes]:
        """Of the statements that the server has."""
        return list(self._statements)

    def forget(self, name: bytes) -> Statement | None:
        """The server has this statement no more; its record, where that is still open."""
        prepared = self._statements.pop(name, None)
        if prepared is None:
            return None
        self.release(prepared)
        statement = prepared.pending
        prepared.pending = None
        return statement

    def retain(self, prepared: Prepared) -> None:
        """One more keeps its text."""
        if prepared.holders == 0:
            self._bytes += len(prepared.text)
        prepared.holders += 1

    def release(self, prepared: Prepared | None) -> None:
        """One fewer keeps its text."""
        if prepared is None:
            return
        prepared.holders -= 1
        if prepared.holders == 0:
            self._bytes -= len(prepared.text)


def retell(statement: Statement, portal: bytes, prepared: Prepared | None) -> None:
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
