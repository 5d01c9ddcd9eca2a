"""What a text of SQL does, in words that no engine owns.

A classifier (``policies/postgres``, ``policies/mysql``) makes these from a text; ``decide``
holds them against a policy. Knows neither SQL's grammar nor any rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from protocols.statements import Kind


class Feature(StrEnum):
    """What a policy allows by name; below access level ``full`` each is off until named.

    COPY: COPY from and to the client. LOAD_DATA_LOCAL: a file of the client's machine.
    LISTEN: LISTEN, NOTIFY. PREPARED: PREPARE and EXECUTE written in SQL. DDL: making,
    changing and dropping tables, indexes, views, sequences, schemas and types.
    MAINTENANCE: VACUUM, ANALYZE and the like. MULTI_STATEMENTS: several statements in one
    text. TEMPORARY: temporary tables. LOCKS: LOCK TABLE and advisory locks. PROCEDURES: CALL
    of a procedure that ``functions.allow`` names.
    """

    COPY = "copy"
    LOAD_DATA_LOCAL = "load_data_local"
    LISTEN = "listen"
    PREPARED = "prepared"
    DDL = "ddl"
    MAINTENANCE = "maintenance"
    MULTI_STATEMENTS = "multi_statements"
    TEMPORARY = "temporary"
    LOCKS = "locks"
    PROCEDURES = "procedures"


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """A table's or function's name as the server will read it; ``schema`` "" where unsaid."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class StatementFacts:
    """What one statement does, and everything it names, at any depth.

    ``changes`` says in a few words what it changes, or what it makes changeable (rows of a
    table, the transaction's mode); "" where nothing. ``forbidden`` says what no level but an
    unrestricted ``full`` may do (a file of the server, another role); "" where nothing.
    ``columns`` are all column names in it, in lower case; ``reads_whole_rows`` tells that
    columns may be read that it does not name, ``reads_every_column`` that values of any table's
    are shown (by statistics). ``guarded`` are names that it has without a schema, forbidden if
    they mean these. ``functions`` leaves out those that the engine's list knows as harmless,
    ``reads`` the catalogs that show no data. ``nested`` are the kinds of the statements within.
    ``settings`` are those it sets that no list knows.
    ``moves_lookup``: names without a schema mean something else afterwards.
    ``depends_on_constants``: another constant in its place may change these facts.
    """

    kind: Kind
    changes: str = ""
    forbidden: str = ""
    features: frozenset[Feature] = frozenset()
    reads: frozenset[Name] = frozenset()
    writes: frozenset[Name] = frozenset()
    columns: frozenset[str] = frozenset()
    reads_whole_rows: bool = False
    reads_every_column: bool = False
    guarded: frozenset[Name] = frozenset()
    functions: frozenset[Name] = frozenset()
    nested: frozenset[Kind] = frozenset()
    settings: frozenset[str] = frozenset()
    moves_lookup: bool = False
    depends_on_constants: bool = False


@dataclass(frozen=True, slots=True)
class TextFacts:
    """A whole text. ``problem`` says why it was not understood, and then nothing else counts.

    ``statements`` is empty for a text of blanks and comments.
    """

    statements: tuple[StatementFacts, ...] = ()
    problem: str = ""


class Classifier(Protocol):
    """Reads one engine's SQL. Pure: the same text always has the same facts."""

    def classify(self, text: bytes) -> TextFacts:
        """What a text does. Never raises for any bytes, and takes a time bound by their count.

        The text is whole: a cut one is refused before.
        """
        ...

    def classify_command(self, kind: Kind, text: bytes) -> TextFacts:
        """What a command of the protocol does that is no text, told as one."""
        ...

    def fingerprint(self, text: bytes) -> bytes:
        """What stays the same for another constant in the same place; b"" where not known.

        Two texts with one fingerprint must have the same facts.
        """
        ...
