"""Rows of MySQL's text protocol, cut out of what comes, and as lines of CSV. Pure.

Client/Server Protocol, "MySQL Packets" and "Text Resultset": a row is its columns' values
one after the other, each a text with its length before it; 0xFB is NULL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pymysql.constants import FIELD_TYPE
from pymysql.err import raise_mysql_exception

from proxy.content.csvtext import written

_NULL: Final = 0xFB
_EOF: Final = 0xFE
_ERROR: Final = 0xFF
_BINARY: Final = 63
"""The character set of what is bytes (MySQL manual, 12.10.8.1)."""
_ZEROFILL: Final = 64
_WIDEST: Final = 0xFFFFFF
"""Bytes of a packet that goes on in the next one."""

# What needs no quotes, and nobody takes for a formula.
_SAFE: Final = re.compile(rb'(?![\s\\=+@-])[^",\r\n]++(?<!\s)')

_AS_THEY_ARE: Final = frozenset(
    {
        *(FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG),
        *(FIELD_TYPE.LONGLONG, FIELD_TYPE.DOUBLE, FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL),
        *(FIELD_TYPE.YEAR, FIELD_TYPE.DATE, FIELD_TYPE.NEWDATE, FIELD_TYPE.TIME),
        *(FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP),
    }
)


class BrokenRows(Exception):
    """The server's packets are none of a result."""


class RowReader:
    """Takes bytes as they come, gives the rows' packets. ``number`` is the next packet's."""

    def __init__(self, number: int) -> None:
        self.has_ended = False
        self._data = bytearray()
        self._number = number
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The rows that are whole by now. Raises MySQLError as the server says, BrokenRows."""
        self._data += data
        held, at, last = self._data, 0, len(self._data) - 4
        while at <= last:
            size = held[at] | held[at + 1] << 8 | held[at + 2] << 16
            end = at + 4 + size
            if end > len(held):
                break
            if held[at + 3] != self._number or self.has_ended:
                raise BrokenRows
            self._number = (self._number + 1) & 0xFF
            row = bytes(held[at + 4 : end])
            at = end
            if size == _WIDEST or self._parts:
                self._parts.append(row)
                if size == _WIDEST:
                    continue
                row = b"".join(self._parts)
                self._parts.clear()
            first = row[0] if row else 0
            if first == _ERROR:
                raise_mysql_exception(row)
            if first == _EOF and len(row) < 9:
                self.has_ended = True
            else:
                yield row
        del held[:at]


def values(row: bytes, count: int) -> list[bytes | None]:
    """A row's values. Raises BrokenRows."""
    found: list[bytes | None] = []
    at, end = 0, len(row)
    while at < end:
        size = row[at]
        at += 1
        if size == _NULL:
            found.append(None)
            continue
        if size > _NULL:
            # 2, 3 or 8 bytes of length follow (Length-Encoded Integer).
            width = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(size, 0)
            size = int.from_bytes(row[at : at + width], "little")
            at += width
        found.append(row[at : at + size])
        at += size
    if at != end or len(found) != count:
        raise BrokenRows
    return found


class LineWriter:
    """Writes rows of these fields (PyMySQL's) as lines of CSV, as ``csvtext.written`` does."""

    def __init__(self, fields: Sequence[Any], *, neutralise: bool) -> None:
        self._neutralise = neutralise
        self._are_safe = [
            field.type_code in _AS_THEY_ARE and not field.flags & _ZEROFILL for field in fields
        ]
        self._fields = fields

    def line(self, row: bytes) -> bytes:
        """A row's line. Raises BrokenRows."""
        parts = []
        is_safe = _SAFE.fullmatch
        found = values(row, len(self._fields))
        for value, field, goes_as_it_is in zip(found, self._fields, self._are_safe, strict=True):
            if value is None:
                parts.append(b"")
            elif goes_as_it_is:
                parts.append(value)
            else:
                parts.append(self._part(value, field, is_safe(value) is not None))
        return b",".join(parts) + b"\r\n"

    def _part(self, value: bytes, field: Any, is_safe: bool) -> bytes:
        kind = field.type_code
        if kind == FIELD_TYPE.BIT:
            return b"%d" % int.from_bytes(value)
        if kind in _AS_THEY_ARE:
            # Zeros before a number would make it a text to whoever reads the file.
            return value.lstrip(b"0") or b"0" if value.isdigit() else value
        if field.charsetnr == _BINARY and kind != FIELD_TYPE.JSON:
            return b"\\x" + value.hex().encode()
        if is_safe:
            return value
        text = value.decode("utf-8", "replace")
        return written([text], neutralise=self._neutralise, line_end=b"")


def keeps_every_digit(field: Any) -> bool:
    """Whether a value is whole as text: of a FLOAT the server shows six digits."""
    return bool(field.type_code != FIELD_TYPE.FLOAT)
