"""Statements that a policy allows by name, where all they name is tables or one procedure.

LOCK TABLES, maintenance, TRUNCATE, DROP of tables and views, CALL, LOAD DATA LOCAL: their
grammars are short, so each form is read to its end, and what is left over is refused. What
holds expressions or definitions of its own (CREATE, ALTER, PREPARE) is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from policies.facts import Feature, Name, StatementFacts
from policies.mysql.lexer import LexError, Sort, Token
from protocols.statements import Kind

_MAINTENANCE: Final = frozenset({"analyze", "optimize", "check", "checksum", "repair"})
_NOTHING: Final = frozenset({"tables", "table", "as", "read", "write", "set", "select", "if"})


class _Reader:
    """The tokens of one statement, taken from the left."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def word(self, *words: str) -> str:
        """Take a word if it is one of these; else ""."""
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.sort is Sort.WORD and token.lower in words:
                self._at += 1
                return token.lower
        return ""

    def sign(self, text: str) -> bool:
        """Take this sign, if it is next."""
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.sort is Sort.SIGN and token.text == text:
                self._at += 1
                return True
        return False

    def constant(self, *sorts: Sort) -> bool:
        """Take a constant of one of these sorts, if it is next."""
        if self._at < len(self._tokens) and self._tokens[self._at].sort in sorts:
            self._at += 1
            return True
        return False

    def name(self) -> Name:
        """Take a name of one or two parts. Raises LexError."""
        first = self._part()
        return Name(first, self._part()) if self.sign(".") else Name("", first)

    def _part(self) -> str:
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            is_name = token.sort is Sort.NAME or (
                token.sort is Sort.WORD and token.lower not in _NOTHING
            )
            if is_name:
                self._at += 1
                return token.text
        raise LexError("a name was expected")

    def names(self) -> frozenset[Name]:
        """Take names with commas between. Raises LexError."""
        found = [self.name()]
        while self.sign(","):
            found.append(self.name())
        return frozenset(found)

    def need(self, is_there: object) -> None:
        """Raises LexError where something has to be and is not."""
        if not is_there:
            raise LexError("a form that is not on the list")

    def end(self) -> None:
        """Raises LexError where anything is left."""
        self.need(self._at == len(self._tokens))


def named(tokens: list[Token]) -> StatementFacts | None:
    """The facts of such a statement; None where it is none. Raises LexError."""
    read = _FORMS.get(tokens[0].lower) if tokens[0].sort is Sort.WORD else None
    if read is None:
        return None
    reader = _Reader(tokens)
    word = reader.word(tokens[0].lower)
    facts = read(reader, word)
    reader.end()
    return facts


def _lock(reader: _Reader, word: str) -> StatementFacts:
    reader.need(reader.word("tables", "table"))
    reads, writes = set[Name](), set[Name]()
    while word == "lock":
        name = reader.name()
        if reader.word("as"):
            reader.name()
        if reader.word("read"):
            reader.word("local")
            reads.add(name)
        else:
            reader.word("low_priority")
            reader.need(reader.word("write"))
            writes.add(name)
        if not reader.sign(","):
            break
    return StatementFacts(
        Kind.MAINTENANCE,
        changes="locks of tables",
        features=frozenset({Feature.LOCKS}),
        reads=frozenset(reads | writes),
        writes=frozenset(writes),
    )


def _maintain(reader: _Reader, word: str) -> StatementFacts:
    reader.word("no_write_to_binlog", "local")
    reader.need(reader.word("table", "tables"))
    names = reader.names()
    reader.word("quick", "fast", "medium", "extended", "changed")
    return StatementFacts(
        Kind.MAINTENANCE,
        changes="how a table is stored",
        features=frozenset({Feature.MAINTENANCE}),
        reads=names,
        writes=frozenset() if word in ("check", "checksum") else names,
    )


def _truncate(reader: _Reader, word: str) -> StatementFacts:
    reader.word("table")
    return _schema_change(Kind.TRUNCATE, "rows of a table", frozenset({reader.name()}))


def _drop(reader: _Reader, word: str) -> StatementFacts:
    reader.need(reader.word("table", "tables", "view"))
    if reader.word("if"):
        reader.need(reader.word("exists"))
    names = reader.names()
    reader.word("restrict", "cascade")
    return _schema_change(Kind.DROP, "the schema", names)


def _schema_change(kind: Kind, changes: str, names: frozenset[Name]) -> StatementFacts:
    return StatementFacts(kind, changes=changes, features=frozenset({Feature.DDL}), writes=names)


def _call(reader: _Reader, word: str) -> StatementFacts:
    name = reader.name()
    if reader.sign("(") and not reader.sign(")"):
        while True:
            reader.sign("-")
            is_constant = reader.constant(Sort.STRING, Sort.NUMBER) or reader.word(
                "null", "true", "false"
            )
            reader.need(is_constant or reader.sign("?"))
            if reader.sign(")"):
                break
            reader.need(reader.sign(","))
    return StatementFacts(
        Kind.CALL,
        changes="what a procedure changes",
        features=frozenset({Feature.PROCEDURES}),
        functions=frozenset({name}),
    )


def _load(reader: _Reader, word: str) -> StatementFacts:
    reader.need(reader.word("data"))
    reader.word("low_priority", "concurrent")
    reader.need(reader.word("local"))
    reader.need(reader.word("infile"))
    reader.need(reader.constant(Sort.STRING))
    reader.word("replace", "ignore")
    reader.need(reader.word("into"))
    reader.need(reader.word("table"))
    name = reader.name()
    if reader.word("character"):
        reader.need(reader.word("set"))
        reader.name()
    if reader.word("fields", "columns"):
        while reader.word("terminated", "enclosed", "escaped", "optionally"):
            reader.word("enclosed")
            reader.need(reader.word("by"))
            reader.need(reader.constant(Sort.STRING))
    if reader.word("lines"):
        while reader.word("starting", "terminated"):
            reader.need(reader.word("by"))
            reader.need(reader.constant(Sort.STRING))
    if reader.word("ignore"):
        reader.need(reader.constant(Sort.NUMBER))
        reader.need(reader.word("lines", "rows"))
    if reader.sign("("):
        reader.names()
        reader.need(reader.sign(")"))
    return StatementFacts(
        Kind.INSERT,
        changes="rows of a table",
        features=frozenset({Feature.LOAD_DATA_LOCAL}),
        writes=frozenset({name}),
    )


_FORMS: Final[Mapping[str, Callable[[_Reader, str], StatementFacts]]] = {
    "lock": _lock,
    "unlock": _lock,
    "truncate": _truncate,
    "drop": _drop,
    "call": _call,
    "load": _load,
    **dict.fromkeys(_MAINTENANCE, _maintain),
}
