"""CSV as RFC 4180 has it, in pieces of bounded size. Knows no file and no database.

NULL is a field with nothing in it, the empty text is ``""``: what PostgreSQL's COPY writes
and reads (manual, COPY, "CSV Format"). Text is UTF-8; a mark at its beginning is passed
over. Lines end in CRLF, and are read with LF too.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.content.values import plain

MAX_RECORD: Final = 1024 * 1024
"""Characters of one line with its quoted line ends. A quote that nobody closes costs as much."""
MAX_COLUMNS: Final = 1_600
"""PostgreSQL's own limit; MySQL has 4,096, InnoDB 1,017."""

_FIELD: Final = re.compile(r'"((?:[^"]|"")*)"(?=,|\Z)|([^",]*)(?=,|\Z)')
# Alone on its line, COPY takes a backslash and a dot for the end of all data.
_MUST_QUOTE: Final = re.compile(r'[",\r\n]|\A\s|\s\Z|\A\\\.\Z')
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for the beginning of a formula (OWASP, "CSV Injection")."""

Field = str | None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file. ``number`` counts from 1, with the lines inside quoted texts."""

    number: int
    fields: tuple[Field, ...] = ()
    problem: str = ""


class CsvReader:
    """Takes bytes as they come, gives lines. A line that cannot be read has a ``problem``.

    A quote that is not closed costs the line that it is in, not those behind it.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._text = ""
        self._number = 1
        # Of the record that is not whole yet: how far it was looked at, and what was seen.
        self._seen = 0
        self._is_open = False

    def feed(self, data: bytes, *, is_last: bool = False) -> Iterator[Line]:
        """The lines that are whole by now; with ``is_last`` all that is left."""
        self._text += self._decoder.decode(data, final=is_last)
        at = 0
        while at < len(self._text):
            end = self._end(at, is_last=is_last)
            if end is None:
                break
            record = self._text[at:end]
            line = _line(self._number, record.removesuffix("\r"))
            self._number += record.count("\n") + 1
            at = end + 1
            self._seen, self._is_open = at, False
            yield line
        self._text = self._text[at:]
        self._seen -= at

    def _end(self, at: int, *, is_last: bool) -> int | None:
        """Where the record from ``at`` ends; None: not yet."""
        text = self._text
        while True:
            newline = text.find("\n", self._seen)
            if newline < 0:
                return self._given_up(at, is_last=is_last)
            # Inside of quotes there is an odd number of quotes before a line's end.
            self._is_open ^= text.count('"', self._seen, newline) % 2 == 1
            self._seen = newline + 1
            if not self._is_open:
                return newline
            if newline - at > MAX_RECORD:
                return text.find("\n", at)

    def _given_up(self, at: int, *, is_last: bool) -> int | None:
        """Where a record ends that has no end of its own."""
        newline = self._text.find("\n", at)
        if is_last:
            is_open = self._is_open ^ (self._text.count('"', self._seen) % 2 == 1)
            return newline if is_open and newline >= 0 else len(self._text)
        if len(self._text) - at <= MAX_RECORD:
            return None
        return newline if newline >= 0 else len(self._text)


def _line(number: int, record: str) -> Line:
    if len(record) > MAX_RECORD:
        return Line(number, problem=f"the line has more than {MAX_RECORD} characters")
    if "\ufffd" in record:
        return Line(number, problem="the line is not UTF-8")
    if "\0" in record:
        return Line(number, problem="the line holds a NUL")
    if '"' not in record:
        fields: tuple[Field, ...] = tuple(field or None for field in record.split(","))
    else:
        found = _quoted(record)
        if found is None:
            return Line(number, problem="a quote stands where none may, or is not closed")
        fields = found
    if len(fields) > MAX_COLUMNS:
        return Line(number, problem=f"the line has more than {MAX_COLUMNS} fields")
    return Line(number, fields)


def _quoted(record: str) -> tuple[Field, ...] | None:
    fields: list[Field] = []
    at = 0
    while True:
        match = _FIELD.match(record, at)
        if match is None:
            return None
        quoted = match[1]
        fields.append((match[2] or None) if quoted is None else quoted.replace('""', '"'))
        at = match.end()
        if at == len(record):
            return tuple(fields)
        at += 1


def written(values: Iterable[Any], *, neutralise: bool = False) -> bytes:
    """One line. ``neutralise``: texts that a spreadsheet would calculate get a ' before them."""
    return ",".join(_field(value, neutralise) for value in values).encode() + b"\r\n"


def _field(value: Any, neutralise: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value
        if neutralise and text.startswith(_FORMULA):
            text = "'" + text
    else:
        text = _as_text(value)
    if not text or _MUST_QUOTE.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text


def _as_text(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return "\\x" + bytes(value).hex()
    if isinstance(value, (int, float)):
        return repr(value)
    found = plain(value)
    # Exact numbers in their own digits, not as JSON's.
    return str(value) if isinstance(found, float) else str(found)


def is_number_type(name: str) -> bool:
    """Whether a column of this type holds numbers, which no spreadsheet takes for formulas."""
    return name in _NUMBERS


_NUMBERS: Final = frozenset(
    "int2 int4 int8 oid float4 float8 numeric money tinyint smallint mediumint int bigint year"
    " float double decimal bit".split()
)


def neutralised(line: Line, are_numbers: Sequence[bool]) -> bytes:
    """A line that was read, written again with its formulas made harmless."""
    fields = [
        field if field is None or is_number or not field.startswith(_FORMULA) else "'" + field
        for field, is_number in zip(line.fields, are_numbers, strict=True)
    ]
    return written(fields)
