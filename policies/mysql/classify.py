"""The classifier of MySQL's and MariaDB's SQL: tokens first, then the parser's tree.

sqlglot reads more than the servers do and may leave out what it does not know. Therefore
it is given the canonical text of one statement, and what matters most (functions, columns,
clauses that write) is taken from the tokens, which leave nothing out.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Final

import sqlglot
from sqlglot import exp

from policies.facts import Name, StatementFacts, TextFacts
from policies.mysql.catalogs import choose, guard
from policies.mysql.functions import HARMLESS, SYNTAX
from policies.mysql.lexer import INTRODUCERS, LexError, Sort, Token, canonical, lex
from policies.mysql.named import named
from policies.mysql.settings import setting, show, transaction
from policies.mysql.walk import has_whole_rows, table_names, unknown_node, writes_made_by_with
from protocols.statements import Kind

# It would write what it cannot parse, a statement's text, into the program's log.
logging.getLogger("sqlglot").disabled = True

_MAX_STATEMENTS: Final = 50
_ROWS: Final = {
    "select": Kind.SELECT,
    "with": Kind.SELECT,
    "(": Kind.SELECT,
    "insert": Kind.INSERT,
    "replace": Kind.INSERT,
    "update": Kind.UPDATE,
    "delete": Kind.DELETE,
}
_TREES: Final = {
    Kind.SELECT: (exp.Select, exp.SetOperation, exp.Subquery),
    Kind.INSERT: (exp.Insert,),
    Kind.UPDATE: (exp.Update,),
    Kind.DELETE: (exp.Delete,),
}
_TRANSACTION: Final = frozenset({"begin", "start", "commit", "rollback", "savepoint", "release"})
_EXPLAINS: Final = frozenset({"explain", "describe", "desc"})
_MODIFIERS: Final = frozenset({"low_priority", "delayed", "high_priority", "ignore"})


class MySqlClassifier:
    """Satisfies ``policies.facts.Classifier``."""

    def classify(self, text: bytes) -> TextFacts:
        """What a text does; a ``problem`` for all that is not certain."""
        try:
            statements = lex(text)
            if len(statements) > _MAX_STATEMENTS:
                return TextFacts(problem=f"it has more than {_MAX_STATEMENTS} statements")
            return TextFacts(tuple(guard(_classify(tokens)) for tokens in statements))
        except LexError as error:
            return TextFacts(problem=str(error))
        except Exception:  # noqa: BLE001 - whatever the parser raises, the text is not understood
            return TextFacts(problem="the parser does not know it")

    def classify_command(self, kind: Kind, text: bytes) -> TextFacts:
        """COM_INIT_DB, COM_FIELD_LIST, COM_RESET_CONNECTION, told as SQL without quotes.

        The proxy itself answers every other one.
        """
        try:
            shown = text.decode("utf-8")
        except UnicodeDecodeError:
            return TextFacts(problem="it is not UTF-8")
        if kind is Kind.SHOW:
            table = shown.removeprefix("SHOW FIELDS FROM ")
            return TextFacts((StatementFacts(kind, reads=frozenset({Name("", table)})),))
        if shown.startswith("USE "):
            return TextFacts((choose(shown.removeprefix("USE ")),))
        if shown == "RESET CONNECTION":
            # The settings that were made before the welcome would be gone.
            return TextFacts((StatementFacts(kind, forbidden="COM_RESET_CONNECTION"),))
        return TextFacts()

    def fingerprint(self, text: bytes) -> bytes:
        """The canonical text of a single statement on rows; b"" for any other."""
        try:
            statements = lex(text)
        except LexError:
            return b""
        if len(statements) != 1 or statements[0][0].lower not in _ROWS:
            return b""
        return canonical(statements[0]).encode()


def _classify(tokens: list[Token]) -> StatementFacts:
    first = tokens[0]
    if first.sort not in (Sort.WORD, Sort.SIGN):
        raise LexError("it starts with no word")
    word = first.lower
    if word in _ROWS:
        return _rows(tokens, _ROWS[word])
    if word in _TRANSACTION:
        return transaction(tokens)
    if word == "set":
        return setting(tokens)
    if word in _EXPLAINS and len(tokens) > 1:
        return _explain(tokens)
    if word == "show":
        return show(tokens)
    if word == "use":
        if len(tokens) != 2:
            raise LexError("a form of USE that is not on the list")
        return choose(tokens[1].text)
    facts = named(tokens, _on_rows)
    if facts is None:
        raise LexError("a statement that is not on the list")
    return facts


def _on_rows(tokens: list[Token]) -> StatementFacts:
    """A statement on rows, within another. Raises LexError for anything else."""
    if not tokens or tokens[0].lower not in _ROWS or tokens[0].sort is Sort.NAME:
        raise LexError("a form that is not on the list")
    return _rows(tokens, _ROWS[tokens[0].lower])


def _explain(tokens: list[Token]) -> StatementFacts:
    rest = tokens[1:]
    runs = rest[0].sort is Sort.WORD and rest[0].lower == "analyze"
    if rest[0].lower in ("analyze", "extended", "partitions") and rest[0].sort is Sort.WORD:
        rest = rest[1:]
    if [token.lower for token in rest[:2]] == ["format", "="]:
        rest = rest[3:]
    if rest and rest[0].sort is not Sort.NAME and rest[0].lower in _ROWS:
        inner = _rows(rest, _ROWS[rest[0].lower])
        nested = inner.nested | ({inner.kind} if runs else frozenset())
        return dataclasses.replace(inner, kind=Kind.EXPLAIN, nested=nested)
    if len(rest) != len(tokens) - 1 or (rest[0].sort is Sort.WORD and rest[0].lower == "for"):
        raise LexError("a form of EXPLAIN that is not on the list")
    return show([Token(Sort.WORD, "describe", "describe"), *rest])


def _rows(tokens: list[Token], kind: Kind) -> StatementFacts:
    changes = "" if kind is Kind.SELECT else "rows of a table"
    into = -1
    forbidden = ""
    selects = 0
    is_natural = False
    for index, token in enumerate(tokens):
        if token.sort is Sort.SIGN and token.text in (":=",):
            raise LexError("it assigns a variable")
        if token.sort is not Sort.WORD:
            continue
        word = token.lower
        after = tokens[index + 1].lower if index + 1 < len(tokens) else ""
        if word == "into":
            is_target = kind is Kind.INSERT and all(
                before.lower in _MODIFIERS for before in tokens[1:index]
            )
            if not is_target:
                forbidden = "INTO a file or a variable"
            into = index
        elif word in ("procedure", "load", "table", "returning"):
            raise LexError(f"the word {word.upper()} has no place here")
        elif word == "lock" or (word == "for" and after in ("update", "share")):
            changes = changes or "locks of rows"
        elif word == "value" and after == "for":
            changes = changes or "a sequence"
        elif word == "select":
            selects += 1
        elif word == "natural":
            is_natural = True
    if kind is Kind.INSERT and into < 0:
        raise LexError("an INSERT without INTO")
    functions = _functions(tokens, into)
    if forbidden:
        return StatementFacts(kind, changes=changes, forbidden=forbidden, functions=functions)
    trees = sqlglot.parse(canonical(tokens), dialect="mysql")
    tree = trees[0] if len(trees) == 1 else None
    if tree is None:
        raise LexError("the parser does not know it")
    found = kind
    if tokens[0].lower == "with" and not isinstance(tree, _TREES[kind]):
        found = next((k for k, classes in _TREES.items() if isinstance(tree, classes)), kind)
        changes = "rows of a table"
    if not isinstance(tree, _TREES[found]):
        raise LexError("the parser does not know it")
    unknown = unknown_node(tree)
    if unknown or sum(1 for _ in tree.find_all(exp.Select)) != selects:
        raise LexError(f"a form that is not on the list: {unknown or 'SELECT'}")
    names = list(table_names(tree))
    every = frozenset(name for _, name in names)
    writes: frozenset[Name] = frozenset()
    if found is Kind.INSERT:
        target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        writes = frozenset(name for table, name in names if table is target)
        if len(writes) != 1:
            raise LexError("an INSERT whose table is not known")
        every = frozenset(name for table, name in names if table is not target)
    elif found is not Kind.SELECT:
        if writes_made_by_with(tree):
            raise LexError("it writes to what its WITH makes")
        # Which of the joined tables is written depends on columns: each may be.
        writes = every
    return StatementFacts(
        found,
        changes=changes,
        reads=every,
        writes=writes,
        columns=_columns(tokens),
        reads_whole_rows=is_natural or has_whole_rows(tree),
        functions=functions,
    )


def _columns(tokens: list[Token]) -> frozenset[str]:
    """Every word and name: more than the columns, never less."""
    return frozenset(
        token.lower
        for token in tokens
        if token.sort is Sort.NAME or (token.sort is Sort.WORD and token.lower not in INTRODUCERS)
    )


def _functions(tokens: list[Token], into: int) -> frozenset[Name]:
    """Whatever stands before a parenthesis and is neither syntax nor harmless."""
    found = set()
    closing = _closing(tokens)
    for index in range(1, len(tokens)):
        token, opener = tokens[index - 1], tokens[index]
        if opener.sort is not Sort.SIGN or opener.text != "(":
            continue
        if token.sort not in (Sort.WORD, Sort.NAME):
            continue
        schema, start = "", index - 1
        if index >= 3 and tokens[index - 2].text == "." and tokens[index - 2].sort is Sort.SIGN:
            schema, start = tokens[index - 3].text, index - 3
        elif token.sort is Sort.WORD and (token.lower in HARMLESS or token.lower in SYNTAX):
            continue
        before = tokens[start - 1] if start else None
        if before is not None and before.sort is Sort.WORD:
            # The table of an INSERT; a name that is being given, or a type.
            if start - 1 == into or before.lower == "as":
                continue
        after = [item.lower for item in tokens[closing[index] + 1 : closing[index] + 3]]
        if after == ["as", "("]:
            continue
        found.add(Name(schema, token.text))
    return frozenset(found)


def _closing(tokens: list[Token]) -> dict[int, int]:
    found: dict[int, int] = {}
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token.sort is Sort.SIGN and token.text == "(":
            opened.append(index)
        elif token.sort is Sort.SIGN and token.text == ")":
            found[opened.pop()] = index
    if opened:
        raise LexError("its parentheses do not match")
    return found
