"""Lines that need no closer look, found by the hundred with one regular expression.

A pattern matches a part of what ``csvtext`` reads and ``csvtypes`` accepts, and nothing else:
what it leaves is read field by field, at a tenth of the speed. Every quantifier is possessive,
so that a byte is looked at once. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from proxy.content.csvtext import CsvReader, Line, Run, is_number_type
from proxy.content.csvtypes import Guess, guesses

MOST_COLUMNS: Final = 100
"""What a pattern takes of time to make, and of memory in ``re``'s cache, grows with them."""
_LOOKS: Final = 100
"""Lines read one by one until another pattern is made: making one costs as much."""

# Unquoted, COPY could take a backslash and a dot for the end of all data.
_TEXT: Final = rb'(?:"(?:[^"\0]++|"")*+"|(?!\\)[^",\r\n\0]*+)'
# Without ends of lines, so that these alone are replaced.
_UNQUOTED: Final = rb'[^",\r\n]*+'
_HARMLESS: Final = rb'(?:(?![=+@\t-])[^",\r\n]*+|"(?![=+@\t-])(?:[^"\r\n]++|"")*+")'
# The 29th to the 31st where every year has them.
_DATE: Final = (
    rb"(?!0000)[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    rb"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_MOMENT: Final = _DATE + rb"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6}+)?+)?+"
_NUMBER: Final = rb"[+-]?+[0-9]{1,30}+(?:\.[0-9]{1,30}+)?+(?:[eE][+-]?+[0-9]{1,9}+)?+"


def _integer(digits: int) -> bytes:
    return rb"[+-]?+[0-9]{1,%d}+" % digits


# By the engines' own names, as in ``csvtypes``; what is not there the server alone judges.
_KNOWN: Final[dict[str, bytes]] = {
    **dict.fromkeys(("int2", "smallint"), _integer(4)),
    "mediumint": _integer(6),
    **dict.fromkeys(("int4", "int"), _integer(9)),
    **dict.fromkeys(("int8", "bigint"), _integer(18)),
    **dict.fromkeys(("numeric", "decimal", "float4", "float8", "float", "double"), _NUMBER),
    "bool": rb"(?i:true|false|t|f|1|0)",
    "tinyint": rb"(?:[+-]?+[0-9]{1,2}+|(?i:true|false))",
    "date": _DATE,
    "datetime": b"(?:" + _MOMENT + b"|" + _DATE + b")",
}


def known_pattern(types: Sequence[str], line_end: bytes) -> re.Pattern[bytes] | None:
    """Lines whose values nothing speaks against in columns of these types."""
    return _lines([_or_null(_KNOWN[kind]) if kind in _KNOWN else _TEXT for kind in types], line_end)


def guessed_pattern(guesses: Sequence[Guess], line_end: bytes) -> re.Pattern[bytes] | None:
    """Lines that change no guess."""
    return _lines([_unsurprising(guess) for guess in guesses], line_end)


def harmless_pattern(types: Sequence[str]) -> re.Pattern[bytes] | None:
    """Lines of PostgreSQL's COPY without a formula (see ``csvtext.neutralised``)."""
    return _lines([_UNQUOTED if is_number_type(kind) else _HARMLESS for kind in types], b"\n")


class Guesser:
    """Guesses the types of ``count`` columns from what a reader gives behind the header."""

    def __init__(self, count: int, reader: CsvReader) -> None:
        self.guesses = guesses(count)
        self._reader = reader
        self._looks = 0

    def see(self, piece: Line | Run) -> None:
        """What comes next. A run tells nothing new."""
        if isinstance(piece, Run):
            return
        if not piece.problem and len(piece.fields) == len(self.guesses):
            for guess, value in zip(self.guesses, piece.fields, strict=True):
                guess.see(value)
        if self._looks % _LOOKS == 0:
            self._reader.pattern = guessed_pattern(self.guesses, self._reader.line_end)
        self._looks += 1


def _lines(fields: Sequence[bytes], line_end: bytes) -> re.Pattern[bytes] | None:
    if len(fields) > MOST_COLUMNS:
        return None
    return re.compile(b"(?:" + b",".join(fields) + line_end + b")*+")


def _or_null(form: bytes) -> bytes:
    return b'(?:%b|"%b")?+' % (form, form)


def _unsurprising(guess: Guess) -> bytes:
    if not guess.has_values and guess.possible:
        return b""
    match guess.kind:
        case "boolean":
            form = b"(?i:true|false)"
        case "integer":
            form = b"-?+" + _plain(guess.whole)
        case "number":
            form = b"-?+" + _plain(guess.whole)
            if guess.decimals:
                form += rb"(?:\.[0-9]{1,%d}+)?+" % guess.decimals
        case "date":
            form = _DATE
        case "moment":
            form = _MOMENT
        case _:
            return _TEXT
    return _or_null(form)


def _plain(digits: int) -> bytes:
    # 19 digits may be more than an integer holds.
    return rb"(?:0|[1-9][0-9]{0,%d}+)" % (min(digits, 18) - 1)
