"""CREATE, ALTER and RENAME of tables, indexes, views, sequences and databases.

Each form is read to its end, its parts by ``definition``. Stored programs, partitions, files
and other servers are on no list. Source: MySQL's manual, 15.1 Data Definition Statements;
MariaDB's "ALTER TABLE".
"""

from __future__ import annotations

from typing import Final

from policies.facts import Feature, Name, StatementFacts
from policies.mysql.definition import Definition, Rows
from policies.mysql.lexer import Sort, fold
from policies.mysql.reader import Reader
from protocols.statements import Kind

DEFINING: Final = frozenset({"create", "alter", "rename"})


def define(reader: Reader, rows: Rows) -> StatementFacts:
    """CREATE, ALTER or RENAME. Raises LexError for a form that is not on the list."""
    found = Definition(reader, rows)
    word = reader.word(*DEFINING)
    if word == "create":
        return _create(found)
    if word == "alter":
        return _alter(found)
    reader.need(reader.word("table", "tables"))
    found.renames = True
    while True:
        found.writes.add(reader.name())
        reader.need(reader.word("to"))
        found.writes.add(reader.name())
        if not reader.sign(","):
            return found.facts(Kind.ALTER)


def _create(found: Definition) -> StatementFacts:
    reader = found.reader
    if reader.word("or"):
        reader.need(reader.word("replace"))
    is_temporary = bool(reader.word("temporary"))
    if reader.word("table"):
        _if_not_exists(reader)
        found.writes.add(reader.name())
        _create_table(found)
        return found.facts(Kind.CREATE, Feature.TEMPORARY if is_temporary else Feature.DDL)
    reader.need(not is_temporary)
    if reader.word("database", "schema"):
        _if_not_exists(reader)
        found.writes.add(Name(reader.part(), "*"))
        found.options()
    elif reader.word("view"):
        _if_not_exists(reader)
        found.writes.add(reader.name())
        if reader.opens():
            reader.parenthesized()
        reader.need(reader.word("as"))
        found.query(reader.rest())
    elif reader.word("sequence"):
        _if_not_exists(reader)
        found.writes.add(reader.name())
    else:
        reader.word("unique", "fulltext", "spatial")
        reader.need(reader.word("index"))
        _if_not_exists(reader)
        reader.part()
        if reader.word("using"):
            reader.need(reader.word("btree", "hash"))
        reader.need(reader.word("on"))
        found.keys_of(reader.name())
    return found.facts(Kind.CREATE)


def _create_table(found: Definition) -> None:
    reader = found.reader
    if reader.word("like"):
        found.reads.add(reader.name())
        return
    if reader.sign("("):
        while True:
            if not found.constraint():
                found.column()
            if reader.sign(")"):
                break
            reader.need(reader.sign(","))
    found.options()
    if reader.word("as") or reader.follows("select", "with"):
        found.query(reader.rest())


def _if_not_exists(reader: Reader) -> None:
    if reader.word("if"):
        reader.need(reader.word("not"))
        reader.need(reader.word("exists"))


def _alter(found: Definition) -> StatementFacts:
    reader = found.reader
    reader.need(reader.word("table"))
    name = reader.name()
    found.writes.add(name)
    while True:
        _action(found)
        if not reader.sign(","):
            return found.facts(Kind.ALTER)


def _action(found: Definition) -> None:
    reader = found.reader
    word = reader.word("add", "drop", "modify", "change", "alter", "rename", "convert")
    if word == "add":
        _add(found)
    elif word == "drop":
        _drop(reader)
    elif word in ("modify", "change"):
        reader.word("column")
        if word == "change":
            found.columns.add(fold(reader.part()))
        found.column()
        _place(reader)
    elif word == "alter":
        reader.word("column")
        reader.part()
        if reader.word("drop"):
            reader.need(reader.word("default"))
        else:
            reader.need(reader.word("set"))
            reader.need(reader.word("default"))
            reader.sign("-")
            is_set = reader.constant(Sort.STRING, Sort.NUMBER) or reader.word("null")
            reader.need(is_set)
    elif word == "rename":
        _rename(found)
    elif word == "convert":
        reader.need(reader.word("to"))
        reader.need(reader.follows("character", "charset"))
        found.options(has_commas=False)
    elif reader.word("enable", "disable"):
        reader.need(reader.word("keys"))
    elif reader.word("algorithm", "lock"):
        reader.sign("=")
        reader.part()
    else:
        found.options(has_commas=False)


def _add(found: Definition) -> None:
    reader = found.reader
    if found.constraint():
        return
    reader.word("column")
    _if_not_exists(reader)
    if reader.sign("("):
        while True:
            found.column()
            if reader.sign(")"):
                return
            reader.need(reader.sign(","))
    found.column()
    _place(reader)


def _place(reader: Reader) -> None:
    if reader.word("after"):
        reader.part()
    else:
        reader.word("first")


def _drop(reader: Reader) -> None:
    if reader.word("primary"):
        reader.need(reader.word("key"))
        return
    if reader.word("foreign"):
        reader.need(reader.word("key"))
    else:
        reader.word("column", "index", "key", "constraint", "check")
    if reader.word("if"):
        reader.need(reader.word("exists"))
    reader.part()


def _rename(found: Definition) -> None:
    reader = found.reader
    if reader.word("column", "index", "key"):
        found.columns.add(fold(reader.part()))
        reader.need(reader.word("to"))
        reader.part()
        return
    reader.word("to", "as")
    found.writes.add(reader.name())
    found.renames = True
