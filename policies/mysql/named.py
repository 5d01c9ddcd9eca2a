"""Statements that a policy allows by name, where all they name is tables or one procedure.

LOCK TABLES, maintenance, TRUNCATE, DROP, CALL, LOAD DATA LOCAL, PREPARE and EXECUTE: their
grammars are short, so each form is read to its end, and what is left over is refused. What
holds definitions of its own (CREATE, ALTER) is in ``ddl``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final

from policies.facts import Feature, Name, StatementFacts
from policies.mysql.ddl import DEFINING, define
from policies.mysql.definition import Rows
from policies.mysql.lexer import LexError, Sort, Token, lex
from policies.mysql.reader import Reader
from protocols.statements import Kind

_MAINTENANCE: Final = frozenset({"analyze", "optimize", "check", "checksum", "repair"})


def named(tokens: list[Token], rows: Rows) -> StatementFacts | None:
    """The facts of such a statement; None where it is none. Raises LexError.

    ``rows`` reads a statement on rows.
    """
    if tokens[0].sort is not Sort.WORD:
        return None
    reader = Reader(tokens)
    word = tokens[0].lower
    if word == "prepare" or (reader.word("execute") and reader.word("immediate")):
        facts = _prepare(reader, rows)
    elif word in DEFINING:
        facts = define(reader, rows)
    elif word in _FORMS:
        reader.word(word)
        facts = _FORMS[word](reader, word)
    else:
        return None
    reader.end()
    return facts


def _lock(reader: Reader, word: str) -> StatementFacts:
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


def _maintain(reader: Reader, word: str) -> StatementFacts:
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


def _truncate(reader: Reader, word: str) -> StatementFacts:
    reader.word("table")
    return _schema_change(Kind.TRUNCATE, "rows of a table", frozenset({reader.name()}))


def _drop(reader: Reader, word: str) -> StatementFacts:
    if reader.word("prepare"):
        return _execute(reader, "deallocate")
    feature = Feature.TEMPORARY if reader.word("temporary") else Feature.DDL
    kind = reader.word("table", "tables", "view", "sequence", "index", "database", "schema")
    reader.need(kind if feature is Feature.DDL else kind in ("table", "tables"))
    if reader.word("if"):
        reader.need(reader.word("exists"))
    if kind == "index":
        reader.name()
        reader.need(reader.word("on"))
        names = frozenset({reader.name()})
    elif kind in ("database", "schema"):
        names = frozenset({Name(reader.part(), "*")})
    else:
        names = reader.names()
        reader.word("restrict", "cascade")
    return StatementFacts(
        Kind.DROP, changes="the schema", features=frozenset({feature}), writes=names
    )


def _prepare(reader: Reader, rows: Rows) -> StatementFacts:
    """PREPARE from a text that stands there, or MariaDB's EXECUTE IMMEDIATE of one: what that
    does is what counts.
    """
    if reader.word("prepare"):
        reader.part()
        reader.need(reader.word("from"))
    statements = lex(reader.literal().encode())
    if len(statements) != 1:
        raise LexError("a prepared text with other than one statement")
    inner = rows(statements[0])
    return dataclasses.replace(
        inner,
        kind=Kind.PREPARED,
        nested=inner.nested | {inner.kind},
        features=inner.features | {Feature.PREPARED},
        depends_on_constants=True,
    )


def _execute(reader: Reader, word: str) -> StatementFacts:
    """EXECUTE and DEALLOCATE PREPARE: the text was judged where it was prepared."""
    if word == "deallocate":
        reader.word("prepare")
    reader.part()
    if word == "execute" and reader.word("using"):
        reader.need(reader.sign("@"))
        reader.part()
        while reader.sign(","):
            reader.need(reader.sign("@"))
            reader.part()
    return StatementFacts(Kind.PREPARED, features=frozenset({Feature.PREPARED}))


def _schema_change(kind: Kind, changes: str, names: frozenset[Name]) -> StatementFacts:
    return StatementFacts(kind, changes=changes, features=frozenset({Feature.DDL}), writes=names)


def _call(reader: Reader, word: str) -> StatementFacts:
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


def _load(reader: Reader, word: str) -> StatementFacts:
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


_FORMS: Final[Mapping[str, Callable[[Reader, str], StatementFacts]]] = {
    "lock": _lock,
    "unlock": _lock,
    "truncate": _truncate,
    "drop": _drop,
    "call": _call,
    "load": _load,
    "execute": _execute,
    "deallocate": _execute,
    **dict.fromkeys(_MAINTENANCE, _maintain),
}
