"""What a walk has found so far, and what the names mean that it came by. Knows no tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from policies.facts import Feature, Name
from policies.postgres import catalogs, functions, settings
from protocols.statements import Kind

EVERYTHING: Final = Name("*", "*")
"""What a statement writes without naming it: no pattern but ``*.*`` allows that."""


@dataclass(slots=True)
class Findings:
    """What a walk has found so far; ``policies.facts.StatementFacts`` says what each means."""

    changes: str = ""
    forbidden: str = ""
    features: set[Feature] = field(default_factory=set)
    reads: set[Name] = field(default_factory=set)
    writes: set[Name] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)
    reads_whole_rows: bool = False
    reads_every_column: bool = False
    functions: set[Name] = field(default_factory=set)
    nested: set[Kind] = field(default_factory=set)
    settings: set[str] = field(default_factory=set)
    moves_lookup: bool = False
    depends_on_constants: bool = False
    ranges: set[str] = field(default_factory=set)
    """Every name that a row can be called by."""
    alone: set[str] = field(default_factory=set)
    """Names that stood alone, as a column or a whole row."""
    qualified: set[tuple[str, str]] = field(default_factory=set)
    """Names behind the name of a row."""
    scalars: dict[str, frozenset[str]] = field(default_factory=dict)
    """What a function in FROM is called, with the columns that it surely has: it may give no
    row but a single value, and then a name behind it is a function's."""
    nodes: int = 0

    def forbid(self, what: str) -> None:
        """Note what no restricted level may do; the first reason stays."""
        self.forbidden = self.forbidden or what

    def change(self, what: str) -> None:
        """Note that something changes."""
        self.changes = self.changes or what

    def read(self, name: Name) -> None:
        """A table is read."""
        schema = name.schema
        if not schema and name.name in catalogs.NAMES:
            # pg_catalog comes before every other schema, unless search_path says otherwise.
            schema = "pg_catalog"
        if schema == "pg_toast":
            self.forbid(f"reading {name}")
        if schema not in catalogs.SCHEMAS:
            self.reads.add(name)
        elif name.name in catalogs.SECRET:
            self.forbid(f"reading {name.name}")
        elif name.name in catalogs.SHOWING_DATA:
            self.reads.add(Name(schema, name.name))
            self.reads_every_column = True

    def write(self, name: Name, what: str) -> None:
        """A table is written: its rows or, by ``what``, something else of it."""
        if name.schema in (*catalogs.SCHEMAS, "pg_toast") or (
            not name.schema and name.name.startswith("pg_")
        ):
            # UPDATE pg_settings is set_config by another name.
            self.forbid(f"writing {name}")
        self.writes.add(name)
        self.change(what)

    def operate(self, parts: list[str]) -> None:
        """An operator is used; one that a schema stands before is somebody's own."""
        if len(parts) > 1 and parts[0] != "pg_catalog":
            self.functions.add(Name(parts[-2], f"operator {parts[-1]}"))

    def call(self, name: Name) -> None:
        """A function is called by SQL, whatever it is given."""
        own = name.name if name.schema in ("", "pg_catalog") else None
        if own in functions.HARMLESS:
            return
        if own == "set_config" or functions.is_forbidden(name.name):
            self.forbid(f"calling {name.name}")
        elif own == "nextval":
            self.change("a sequence")
        elif own == "setval":
            # Which one, only the server knows.
            self.write(EVERYTHING, "a sequence")
        elif own in functions.LOCKS:
            self.features.add(Feature.LOCKS)
            self.change("advisory locks")
        elif own == "pg_notify":
            self.features.add(Feature.LISTEN)
        elif own in functions.LARGE_OBJECTS:
            self.change("large objects")
            self.functions.add(name)
        elif name.schema != "information_schema" or not name.name.startswith("_pg_"):
            self.functions.add(name)

    def give(self, name: str, columns: frozenset[str]) -> None:
        """A function in FROM goes by this name; another of that name may lack its columns."""
        self.scalars[name] = self.scalars.get(name, columns) & columns

    def assign(self, written: str, values: list[str] | None) -> None:
        """A setting takes these values; None: its default."""
        name = written.lower()
        why = settings.forbidden(name, values)
        if why:
            self.forbid(why)
        elif name in settings.READ_ONLY:
            if not values or not settings.is_true(values[0]):
                self.change("the transaction's mode to READ WRITE")
        elif name == settings.LOOKUP:
            self.moves_lookup = True
        elif not settings.is_known(name):
            self.settings.add(name)

    def settle(self) -> None:
        """Everything has been seen: what could not be told before, names in hand."""
        if self.alone & self.ranges:
            self.reads_whole_rows = True
        for row, name in self.qualified:
            if row in self.scalars:
                if name not in self.scalars[row]:
                    self.call(Name("", name))
            elif row not in self.ranges:
                self.call(Name("", name))
