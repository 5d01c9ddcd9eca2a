"""What the columns of a CSV file are: guessed for a new table, checked for one that exists.

Pure. A type is guessed only where every value of the file is of it; what is not sure is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from proxy.content.csvtext import Field

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER: Final = re.compile(r"([+-]?)([0-9]{1,65})(?:\.([0-9]{1,30}))?")
_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TRUTH: Final = frozenset({"true", "false", "t", "f", "yes", "no", "on", "off", "1", "0"})
_WORDS: Final = frozenset({"true", "false"})
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
)


def _is_integer(text: str) -> bool:
    return _INTEGER.fullmatch(text) is not None and -(2**63) <= int(text) < 2**63


def _is_plain_integer(text: str) -> bool:
    # 007 is an article's number, not seven.
    return _is_integer(text) and (text in ("0", "-0") or text.lstrip("+-")[0] != "0")


def _is_plain_number(text: str) -> bool:
    match = _NUMBER.fullmatch(text)
    return match is not None and (match[2] == "0" or match[2][0] != "0")


def _is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None and _reads(date.fromisoformat, text)


def _is_moment(text: str) -> bool:
    return _MOMENT.fullmatch(text) is not None and _reads(datetime.fromisoformat, text)


def _reads(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


# From the narrowest to the widest; text takes everything.
_GUESSES: Final[tuple[tuple[str, Callable[[str], bool]], ...]] = (
    ("boolean", lambda text: text.lower() in _WORDS),
    ("integer", _is_plain_integer),
    ("number", _is_plain_number),
    ("date", _is_date),
    ("moment", _is_moment),
)
_NAMES: Final = {
    "postgresql": {
        "boolean": "boolean",
        "integer": "bigint",
        "number": "numeric",
        "date": "date",
        "moment": "timestamp",
        "text": "text",
    },
    "mysql": {
        "boolean": "boolean",
        "integer": "bigint",
        "date": "date",
        "moment": "datetime(6)",
        "text": "longtext",
    },
}


@dataclass(slots=True)
class Guess:
    """What a column's values have been so far."""

    possible: list[str] = field(default_factory=lambda: [name for name, _ in _GUESSES])
    has_values: bool = False
    whole: int = 1
    decimals: int = 0

    def see(self, value: Field) -> None:
        """Another value; NULL tells nothing."""
        if value is None or not self.possible:
            return
        self.has_values = True
        self.possible = [name for name, is_it in _GUESSES if name in self.possible and is_it(value)]
        match = _NUMBER.fullmatch(value)
        if match is not None:
            self.whole = max(self.whole, len(match[2]))
            self.decimals = max(self.decimals, len(match[3] or ""))

    @property
    def kind(self) -> str:
        """The narrowest type that all values had."""
        return self.possible[0] if self.possible and self.has_values else "text"

    def type_name(self, engine: str) -> str:
        """The same as the engine says it."""
        if engine == "mysql" and self.kind == "number":
            digits = self.whole + self.decimals
            # MySQL's DECIMAL ends at 65 digits; what is longer is kept as it is written.
            return f"decimal({digits},{self.decimals})" if digits <= 65 else "longtext"
        return _NAMES[engine][self.kind]


def guesses(count: int) -> list[Guess]:
    """One for each column."""
    return [Guess() for _ in range(count)]


def _whole(low: int, high: int) -> Callable[[str], bool]:
    return lambda text: _is_integer(text) and low <= int(text) <= high


_SMALL, _MEDIUM, _INT, _BIG = (_whole(-(2**bits), 2**bits - 1) for bits in (15, 23, 31, 63))
# By the engines' own names. What is not here the server alone judges.
_CHECKS: Final[dict[str, tuple[Callable[[str], bool], str]]] = {
    **dict.fromkeys(("int2", "smallint"), (_SMALL, "a small integer")),
    "mediumint": (_MEDIUM, "an integer"),
    **dict.fromkeys(("int4", "int"), (_INT, "an integer")),
    **dict.fromkeys(("int8", "bigint"), (_BIG, "an integer")),
    **dict.fromkeys(
        ("numeric", "decimal", "float4", "float8", "float", "double"),
        (lambda text: _FLOAT.fullmatch(text) is not None, "a number"),
    ),
    "bool": (lambda text: text.lower() in _TRUTH, "true or false"),
    "tinyint": (
        lambda text: text.lower() in _WORDS or _whole(-128, 255)(text),
        "a tiny integer, true or false",
    ),
    "date": (_is_date, "a date as 2026-05-04"),
    "datetime": (lambda text: _is_moment(text) or _is_date(text), "a time as 2026-05-04 12:30"),
}


def problem_of(value: Field, type_name: str, column: str) -> str | None:
    """Why a value cannot be a column's, or None where nothing speaks against it."""
    check = _CHECKS.get(type_name)
    if value is None or check is None or check[0](value.strip()):
        return None
    return f"{column}: this is not {check[1]}"


def check_header(names: Sequence[Field]) -> tuple[str, ...]:
    """The names of a header. Raises ValueError."""
    found = tuple(name or "" for name in names)
    for name in found:
        if not 1 <= len(name.encode()) <= 63 or not name.isprintable():
            raise ValueError("the first line names each column, in 1 to 63 printable characters")
    if len(set(found)) != len(found):
        raise ValueError("two columns of the first line have the same name")
    return found
