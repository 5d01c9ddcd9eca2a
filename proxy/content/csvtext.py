"""CSV as RFC 4180 has it, in pieces of bounded size. Knows no file and no database.

NULL is a field with nothing in it, the empty text is ``""``: what PostgreSQL's COPY writes
and reads (manual, COPY, "CSV Format"). Text is UTF-8; a mark at its beginning is passed
over. Lines end in CRLF, and are read with LF too.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from proxy.content.values import plain

MAX_RECORD: Final = 1024 * 1024
"""Bytes of one line with its quoted line ends. A quote that nobody closes costs as much."""
_MAX_RUN: Final = 64 * 1024
"""Bytes: of lines of two bytes it makes as many values as memory has room for."""
MAX_COLUMNS: Final = 1_600
"""PostgreSQL's own limit; MySQL has 4,096, InnoDB 1,017."""

_FIELD: Final = re.compile(r'"((?:[^"]|"")*)"(?=,|\Z)|([^",]*)(?=,|\Z)')
# Alone on its line, COPY takes a backslash and a dot for the end of all data.
_MUST_QUOTE: Final = re.compile(r'[",\r\n]|\A\s|\s\Z|\A\\\.\Z')
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for the beginning of a formula (OWASP, "CSV Injection")."""

Field = str | None


class Line(NamedTuple):
    """A line of a file. ``number`` counts from 1, with the lines inside quoted texts."""

    number: int
    fields: tuple[Field, ...] = ()
    problem: str = ""


class Run(NamedTuple):
    """Whole lines that a pattern found nothing wrong with, as they stand in the file.

    ``number`` is the first one's. See ``csvpatterns``.
    """

    number: int
    data: bytes

    @property
    def rows(self) -> int:
        """How many they are."""
        if b'"' not in self.data:
            return self.data.count(b"\n")
        # Between an even quote and the next one nothing is quoted.
        return b"".join(self.data.split(b'"')[::2]).count(b"\n")

    def lines(self) -> list[Line]:
        """Each of them."""
        if b'"' in self.data:
            return self._quoted_lines()
        records = self.data.decode().replace("\r\n", "\n").removesuffix("\n").split("\n")
        return [
            Line(number, tuple([field or None for field in record.split(",")]))
            for number, record in enumerate(records, self.number)
        ]

    def _quoted_lines(self) -> list[Line]:
        # The csv module cannot tell an empty text from NULL before Python 3.12, and has a
        # limit of the process on fields, but is ten times as fast.
        if b'""' not in self.data:
            reader = csv.reader([line + "\n" for line in self.data.decode().split("\n")[:-1]])
            lines, number = [], self.number
            with suppress(csv.Error):
                for fields in reader:
                    record = tuple([field or None for field in fields])
                    # The csv module finds no field in an empty line, where there is one.
                    lines.append(Line(number, record or (None,)))
                    number = self.number + reader.line_num
                return lines
        return list(CsvReader(self.number).feed(self.data))


class CsvReader:
    """Takes bytes as they come, gives lines. A line that cannot be read has a ``problem``.

    A quote that is not closed costs the line that it is in, not those behind it. ``number``
    is the first line's.

    ``pattern`` may be set between any two lines: it matches any number of whole lines that
    need no closer look, whose end is ``line_end``, and ``pieces`` gives those as runs.
    """

    def __init__(self, number: int = 1) -> None:
        self.pattern: re.Pattern[bytes] | None = None
        self.line_end = b"\n"
        self._data = bytearray()
        self._number = number
        # Where the next record begins.
        self._at = 0
        # Of the record that is not whole yet: how far it was looked at, and what was seen.
        self._seen = 0
        self._is_open = False
        # To here all is known to be UTF-8.
        self._sound = 0
        self._is_beginning = True

    def feed(self, data: bytes, *, is_last: bool = False) -> Iterator[Line]:
        """The lines that are whole by now; with ``is_last`` all that is left."""
        self._data += data
        while (line := self._line(is_last=is_last)) is not None:
            yield line
        self._drop()

    def pieces(self, data: bytes, *, is_last: bool = False) -> Iterator[Line | Run]:
        """The same, in runs where there is a pattern that matches."""
        self._data += data
        while True:
            run = self._run()
            if run is not None:
                yield run
            line = self._line(is_last=is_last)
            if line is None:
                break
            yield line
        self._drop()

    def _drop(self) -> None:
        del self._data[: self._at]
        self._seen -= self._at
        self._sound -= self._at
        self._at = 0

    # --- runs --------------------------------------------------------------------------

    def _run(self) -> Run | None:
        # A record that was begun is read to its end as a line.
        at = self._at
        if self.pattern is None or self._seen != at or self._is_beginning or at >= len(self._data):
            return None
        match = self.pattern.match(self._data, at, min(self._sound_end(), at + _MAX_RUN))
        if match is None or match.end() == at:
            return None
        run = Run(self._number, bytes(memoryview(self._data)[at : match.end()]))
        self._number += run.data.count(b"\n")
        self._at = self._seen = match.end()
        return run

    def _sound_end(self) -> int:
        if self._sound <= self._at:
            with memoryview(self._data) as view, view[self._at :] as rest:
                try:
                    _, taken = codecs.utf_8_decode(rest, "strict", False)
                except UnicodeDecodeError as error:
                    taken = error.start
            self._sound = self._at + taken
        return self._sound

    # --- lines -------------------------------------------------------------------------

    def _line(self, *, is_last: bool) -> Line | None:
        if self._is_beginning and not self._is_past_mark(is_last=is_last):
            return None
        if self._at >= len(self._data):
            return None
        end = self._end(self._at, is_last=is_last)
        if end is None:
            return None
        record = bytes(memoryview(self._data)[self._at : end])
        number = self._number
        self._number += record.count(b"\n") + 1
        self._at = self._seen = end + 1
        self._is_open = False
        self.line_end = b"\r\n" if record.endswith(b"\r") else b"\n"
        return _line(number, record.removesuffix(b"\r"))

    def _is_past_mark(self, *, is_last: bool) -> bool:
        if len(self._data) < len(codecs.BOM_UTF8) and not is_last:
            return False
        self._is_beginning = False
        if self._data.startswith(codecs.BOM_UTF8):
            self._at = self._seen = len(codecs.BOM_UTF8)
        return True

    def _end(self, at: int, *, is_last: bool) -> int | None:
        """Where the record from ``at`` ends; None: not yet."""
        data = self._data
        while True:
            newline = data.find(b"\n", self._seen)
            until = newline if newline >= 0 else len(data)
            # Inside of quotes there is an odd number of quotes before a line's end.
            self._is_open ^= data.count(b'"', self._seen, until) % 2 == 1
            if newline < 0:
                self._seen = until
                return self._given_up(at, is_last=is_last)
            self._seen = newline + 1
            if not self._is_open:
                return newline
            if newline - at > MAX_RECORD:
                return data.find(b"\n", at)

    def _given_up(self, at: int, *, is_last: bool) -> int | None:
        """Where a record ends that has no end of its own."""
        if not is_last and len(self._data) - at <= MAX_RECORD:
            return None
        newline = self._data.find(b"\n", at)
        if newline < 0 or (is_last and not self._is_open):
            return len(self._data)
        return newline


def _line(number: int, record: bytes) -> Line:
    if len(record) > MAX_RECORD:
        return Line(number, problem=f"the line has more than {MAX_RECORD} bytes")
    try:
        text = record.decode()
    except UnicodeDecodeError:
        return Line(number, problem="the line is not UTF-8")
    if "\0" in text:
        return Line(number, problem="the line holds a NUL")
    if '"' not in text:
        fields: tuple[Field, ...] = tuple([field or None for field in text.split(",")])
    else:
        found = _quoted(text)
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


def written(values: Iterable[Any], *, neutralise: bool = False, line_end: bytes = b"\r\n") -> bytes:
    """One line. ``neutralise``: texts that a spreadsheet would calculate get a ' before them."""
    return ",".join([_field(value, neutralise) for value in values]).encode() + line_end


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
