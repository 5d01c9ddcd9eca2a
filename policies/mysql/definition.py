"""The parts of a definition: columns, types, constraints, indexes, a table's options.

Each is read by name; what is on no list here is refused. Expressions are judged as those of
a SELECT. Source: MySQL's manual, 15.1.20 CREATE TABLE Statement; MariaDB's "CREATE TABLE".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from policies.facts import Feature, Name, StatementFacts
from policies.mysql.lexer import LexError, Sort, Token, fold
from policies.mysql.reader import Reader
from protocols.statements import Kind

Rows = Callable[[list[Token]], StatementFacts]
"""Reads a statement on rows. Raises LexError for any other."""

_TYPES: Final = frozenset(
    """
bit tinyint smallint mediumint int integer bigint decimal dec numeric fixed float double real
bool boolean date datetime timestamp time year char varchar binary varbinary tinyblob blob
mediumblob longblob tinytext text mediumtext longtext json uuid inet4 inet6 geometry point
linestring polygon multipoint multilinestring multipolygon geometrycollection vector
""".split()
)
# Tables are kept by these in the server itself; others reach files and other servers.
_ENGINES: Final = frozenset({"innodb", "myisam", "aria", "memory", "heap"})
_ACTIONS: Final = ("restrict", "cascade", "no", "set")
_NOW: Final = ("current_timestamp", "now", "localtime", "localtimestamp")


class Definition:
    """What is found while one statement's definition is read."""

    def __init__(self, reader: Reader, rows: Rows) -> None:
        self.reader = reader
        self._rows = rows
        self.reads: set[Name] = set()
        self.writes: set[Name] = set()
        self.columns: set[str] = set()
        self.functions: set[Name] = set()
        self.reads_whole_rows = False
        self.renames = False

    def facts(self, kind: Kind, feature: Feature = Feature.DDL) -> StatementFacts:
        """All of it."""
        return StatementFacts(
            kind,
            changes="the schema",
            features=frozenset({feature}),
            # What was not to be read under the one name must not be under the other.
            reads=frozenset(self.reads | self.writes if self.renames else self.reads),
            writes=frozenset(self.writes),
            columns=frozenset(self.columns),
            reads_whole_rows=self.reads_whole_rows or self.renames,
            functions=frozenset(self.functions),
        )

    # -- what is asked with ----------------------------------------------------------------

    def query(self, tokens: list[Token]) -> None:
        """A SELECT within. Raises LexError."""
        found = self._rows(tokens)
        if found.kind is not Kind.SELECT or found.forbidden or found.changes:
            raise LexError("a form that is not on the list")
        self.reads |= found.reads
        self.columns |= found.columns
        self.functions |= found.functions
        self.reads_whole_rows = self.reads_whole_rows or found.reads_whole_rows

    def expression(self) -> None:
        """An expression in parentheses."""
        inside = self.reader.parenthesized()
        self.query([Token(Sort.WORD, "SELECT", "select"), *inside])

    # -- columns ---------------------------------------------------------------------------

    def column(self) -> None:
        """A column's name, type and attributes."""
        self.columns.add(fold(self.reader.part()))
        self._type()
        while self._attribute():
            pass

    def _type(self) -> None:
        reader = self.reader
        if reader.word("enum", "set"):
            reader.need(reader.sign("("))
            reader.need(reader.constant(Sort.STRING))
            while reader.sign(","):
                reader.need(reader.constant(Sort.STRING))
            reader.need(reader.sign(")"))
            return
        kind = reader.word(*_TYPES)
        reader.need(kind)
        if kind == "double":
            reader.word("precision")
        if reader.sign("("):
            reader.need(reader.constant(Sort.NUMBER))
            if reader.sign(","):
                reader.need(reader.constant(Sort.NUMBER))
            reader.need(reader.sign(")"))
        while reader.word("unsigned", "signed", "zerofill"):
            pass

    def _attribute(self) -> bool:
        reader = self.reader
        if reader.word("not"):
            reader.need(reader.word("null"))
        elif reader.word("default"):
            self._default()
        elif reader.word("on"):
            reader.need(reader.word("update"))
            reader.need(reader.word(*_NOW))
            self._precision()
        elif reader.word("primary"):
            reader.need(reader.word("key"))
        elif reader.word("unique"):
            reader.word("key")
        elif reader.word("comment"):
            reader.need(reader.constant(Sort.STRING))
        elif reader.word("character"):
            reader.need(reader.word("set"))
            reader.part()
        elif reader.word("charset", "collate"):
            reader.part()
        elif reader.word("references"):
            self._reference()
        elif reader.follows("check"):
            self._check()
        elif reader.word("generated"):
            reader.need(reader.word("always"))
            reader.need(reader.follows("as"))
        elif reader.word("as"):
            self.expression()
            reader.word("virtual", "stored", "persistent")
        else:
            return bool(reader.word("null", "auto_increment", "key", "visible", "invisible"))
        return True

    def _default(self) -> None:
        reader = self.reader
        if reader.follows(*_NOW):
            reader.word(*_NOW)
            self._precision()
            return
        if reader.word("null", "true", "false"):
            return
        reader.sign("-")
        if not reader.constant(Sort.STRING, Sort.NUMBER):
            self.expression()

    def _precision(self) -> None:
        if self.reader.sign("("):
            self.reader.constant(Sort.NUMBER)
            self.reader.need(self.reader.sign(")"))

    # -- indexes and constraints -----------------------------------------------------------

    def constraint(self) -> bool:
        """An index or a constraint of a table, if one is next."""
        reader = self.reader
        is_named = bool(reader.word("constraint"))
        if is_named and not reader.follows("primary", "unique", "foreign", "check"):
            reader.part()
        if reader.word("primary"):
            reader.need(reader.word("key"))
            self._keys()
        elif reader.word("foreign"):
            reader.need(reader.word("key"))
            self._name_of_key()
            self._keys()
            reader.need(reader.word("references"))
            self._reference()
        elif reader.follows("check"):
            self._check()
        elif reader.word("unique", "fulltext", "spatial"):
            reader.word("key", "index")
            self._name_of_key()
            self._keys()
        elif not is_named and reader.word("key", "index"):
            self._name_of_key()
            self._keys()
        else:
            reader.need(not is_named)
            return False
        return True

    def _name_of_key(self) -> None:
        if not self.reader.opens() and not self.reader.follows("using"):
            self.reader.part()

    def keys_of(self, table: Name) -> None:
        """The columns of an index of this table."""
        self.writes.add(table)
        self._keys()

    def _keys(self) -> None:
        reader = self.reader
        self._using()
        reader.need(reader.sign("("))
        while True:
            self.columns.add(fold(reader.part()))
            self._precision()
            reader.word("asc", "desc")
            if reader.sign(")"):
                break
            reader.need(reader.sign(","))
        self._using()
        while True:
            if reader.word("comment"):
                reader.need(reader.constant(Sort.STRING))
            elif not reader.word("visible", "invisible"):
                break

    def _using(self) -> None:
        if self.reader.word("using"):
            self.reader.need(self.reader.word("btree", "hash"))

    def _check(self) -> None:
        self.reader.word("check")
        self.expression()
        self.reader.word("not")
        self.reader.word("enforced")

    def _reference(self) -> None:
        reader = self.reader
        self.reads.add(reader.name())
        self._keys()
        while reader.word("on"):
            reader.need(reader.word("delete", "update"))
            action = reader.word(*_ACTIONS)
            reader.need(action)
            if action == "no":
                reader.need(reader.word("action"))
            if action == "set":
                reader.need(reader.word("null", "default"))

    # -- a table's options -----------------------------------------------------------------

    def options(self, *, has_commas: bool = True) -> None:
        """Options; ``has_commas``: they may have commas between."""
        while self._option():
            if has_commas:
                self.reader.sign(",")

    def _option(self) -> bool:
        reader = self.reader
        if reader.word("engine"):
            reader.sign("=")
            reader.need(reader.word(*_ENGINES))
            return True
        is_default = bool(reader.word("default"))
        if reader.word("character"):
            reader.need(reader.word("set"))
        elif not reader.word("charset", "collate"):
            reader.need(not is_default)
            if reader.word("comment"):
                reader.sign("=")
                reader.need(reader.constant(Sort.STRING))
                return True
            if reader.word("auto_increment", "key_block_size", "max_rows", "min_rows"):
                reader.sign("=")
                reader.need(reader.constant(Sort.NUMBER))
                return True
            if not reader.word("row_format"):
                return False
        reader.sign("=")
        if not reader.constant(Sort.STRING):
            reader.part()
        return True
