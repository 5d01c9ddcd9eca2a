"""Named parameters in SQL: ``:name`` found and put as the engine's own placeholders.

Knows where each engine's quotes, comments and casts begin and end, nothing else of SQL. A
value never becomes part of a text: where a boundary were misjudged (a server with
``standard_conforming_strings`` off), a statement would fail, not read a value as SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from proxy.content.problems import Problem, pointer

MAX_PARAMETERS: Final = 1_000
"""Places in one text; the protocols' own limits are 65,535."""

_WORD: Final = r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*"
# Tried in this order at each place; what none of them matches is one character of code.
_POSTGRES: Final = re.compile(
    rf"""
      (?P<skip>
        --[^\n\r]*
      | [eE]'(?:[^'\\]|\\.|'')*'
      | '(?:[^']|'')*'
      | "(?:[^"]|"")*"
      | ::
      | :=
      | (?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$).*?(?P=dollar)
      | {_WORD}
      | [0-9][0-9A-Za-z_.]*
      )
    | (?P<comment>/\*)
    | (?P<open>[eE]?'|"|\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$)
    | (?P<native>\$[0-9]+)
    | :(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    """,
    re.VERBOSE | re.DOTALL,
)
_MYSQL: Final = re.compile(
    rf"""
      (?P<executable>/\*!|/\*M!)
    | (?P<skip>
        --(?=[\s\x00-\x20]|\Z)[^\n]*
      | \#[^\n]*
      | /\*.*?\*/
      | '(?:[^'\\]|\\.|'')*'
      | "(?:[^"\\]|\\.|"")*"
      | `(?:[^`]|``)*`
      | :=
      | {_WORD}
      | [0-9][0-9A-Za-z_.]*
      )
    | (?P<comment>/\*)
    | (?P<open>'|"|`)
    | (?P<native>\?)
    | :(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    """,
    re.VERBOSE | re.DOTALL,
)


class SqlTextError(ValueError):
    """A text whose parameters cannot be found; one sentence."""


@dataclass(frozen=True, slots=True)
class SqlText:
    """A text as it is sent, and what to bind, place by place."""

    text: str
    names: tuple[str, ...]


def bind(statement: str, engine: str) -> SqlText:
    """Put placeholders for ``:name``. ``engine`` is a source's. Raises SqlTextError.

    Each place is a parameter of its own, so that the server finds a type for each.
    """
    if "\0" in statement:
        raise SqlTextError("the statement holds a NUL")
    is_mysql = engine == "mysql"
    pattern = _MYSQL if is_mysql else _POSTGRES
    written: list[str] = []
    names: list[str] = []
    at = 0
    while at < len(statement):
        match = pattern.match(statement, at)
        if match is None:
            written.append(statement[at])
            at += 1
            continue
        found = match.lastgroup
        if found == "name":
            names.append(match["name"])
            written.append("?" if is_mysql else f"${len(names)}")
            at = match.end()
        elif match["comment"] is not None:
            end = _comment_end(statement, at, is_nested=not is_mysql)
            written.append(statement[at:end])
            at = end
        elif match["skip"] is not None:
            written.append(match["skip"])
            at = match.end()
        else:
            raise SqlTextError(_refusal(match))
    if len(names) > MAX_PARAMETERS:
        raise SqlTextError(f"the statement has more than {MAX_PARAMETERS} parameters")
    return SqlText("".join(written), tuple(names))


def _comment_end(statement: str, at: int, *, is_nested: bool) -> int:
    """Where a comment ends; PostgreSQL's nest (manual, 4.1.5)."""
    depth = 0
    for mark in re.finditer(r"/\*|\*/", statement[at:]):
        depth += 1 if mark.group() == "/*" and (is_nested or depth == 0) else 0
        depth -= 1 if mark.group() == "*/" else 0
        if depth == 0:
            return at + mark.end()
    raise SqlTextError("a comment of the statement has no end")


def _refusal(match: re.Match[str]) -> str:
    if match["native"] is not None:
        return f"the statement holds {match['native']}: write its parameters as :name"
    if match.groupdict().get("executable") is not None:
        return "the statement holds an executable comment (/*!): write out what it says"
    return "a quoted text of the statement has no end"


def unmatched(here: tuple[object, ...], statement: str, given: set[str]) -> Iterator[Problem]:
    """Where a statement's ``:names`` and the values given for them do not meet.

    Which engine's quotes hold is known where the source is: it must be right for one.
    """
    found = []
    for engine in ("postgresql", "mysql"):
        try:
            found.append(set(bind(statement, engine).names))
        except SqlTextError:
            continue
    if not found:
        yield Problem(pointer(here[:-1]), "a quoted text or a comment of the statement has no end")
    elif given not in found:
        for name in sorted(found[0] - given):
            yield Problem(pointer(here), f"nothing is said of :{name}")
        for name in sorted(given - found[0]):
            yield Problem(pointer((*here, name)), f"the statement has no :{name}")
