"""The values in a COM_STMT_EXECUTE ("Binary Protocol Value" in the MySQL source documentation).

Read for the log alone, and only where the operator has switched that on: what is
malformed is left to the server, and shows no value here. Numbers and times are told as
SQL would write them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from protocols.values import VALUE_COST, VALUE_LIMIT, BoundValue, BoundValues

# enum_field_types of field_types.h.
_FLOAT, _DOUBLE, _NULL, _DATE, _TIME = 4, 5, 6, 10, 11
_INTEGERS = {1: 1, 2: 2, 3: 4, 8: 8}
"""TINY, SHORT, LONG, LONGLONG, and their bytes."""
_MOMENTS = frozenset({7, _DATE, 12})
"""TIMESTAMP, DATE, DATETIME."""
_STRINGS = frozenset({0, 15, 245, 246, 247, 248, 253, 254})
"""DECIMAL, VARCHAR, JSON, NEWDECIMAL, ENUM, SET, VAR_STRING, STRING: text."""
_BYTES = frozenset({242, 249, 250, 251, 252})
"""VECTOR and the BLOBs: no text."""
# INT24, YEAR, BIT and GEOMETRY are for results alone. A MariaDB that is sent one all the same
# takes no byte of it (seen with 10.11), so what stands behind is not what it seems to be.
_UNSIGNED = 0x80  # in the byte behind a type

_LENGTHS = {0xFC: 2, 0xFD: 3, 0xFE: 8}


class _Unreadable(Exception):
    """From here on the message cannot be understood, or is not here."""


def count_limit(limit: int) -> int:
    """How many values can be shown where ``limit`` bytes of them are kept."""
    return limit // VALUE_COST


def values_in(
    data: bytes, at: int, stop: int, count: int, types: bytes, long: int, limit: int
) -> tuple[BoundValues, bytes]:
    """The values from the bitmap of NULLs on, and the types that they have.

    ``stop`` is where the message ends or what is here of it; ``count`` how many parameters
    the statement has. ``types``: two bytes each, of the last execution, which hold where
    this one brings none. ``long``: a bit for each parameter that was sent separately. Of
    each value at most ``VALUE_LIMIT`` bytes are kept, of all together ``limit``.
    """
    nulls = at
    at += (count + 7) // 8
    if count == 0 or at >= stop:
        return BoundValues((), count), types
    has_types = data[at] != 0
    at += 1
    if has_types:
        types = data[at : min(at + 2 * min(count, count_limit(limit)), stop)]
        at += 2 * count
    shown: list[BoundValue] = []
    left = limit
    try:
        for number in range(min(count, len(types) // 2)):
            kind, flags = types[2 * number], types[2 * number + 1]
            if long >> number & 1:
                value = BoundValue(None, 0, False, kind, is_separate=True)
            elif data[nulls + number // 8] >> number % 8 & 1 or kind == _NULL:
                value = BoundValue(None, 0, False, kind)
            else:
                value, at = _value(data, at, stop, kind, flags)
            left -= VALUE_COST + len(value.data or b"")
            if left < 0:
                break
            shown.append(value)
    except _Unreadable:
        pass
    return BoundValues(tuple(shown), count), types


def _value(data: bytes, at: int, stop: int, kind: int, flags: int) -> tuple[BoundValue, int]:
    """One value, and where the next one begins."""
    if kind in _STRINGS or kind in _BYTES:
        length, at = _length(data, at, stop)
        kept = data[at : min(at + min(length, VALUE_LIMIT), stop)]
        return BoundValue(kept, length, kind in _BYTES, kind), at + length
    size, reading = _fixed(kind, flags)
    if reading is None:
        # A time or moment: its length stands before it.
        size = _take(data, at, 1, stop)[0]
        at += 1
        reading = _time if kind == _TIME else _moment
    text = reading(_take(data, at, size, stop))
    if kind in _MOMENTS and kind != _DATE and len(text) == 10:
        text += " 00:00:00"
    return BoundValue(text.encode("ascii"), len(text), False, kind), at + size


def _fixed(kind: int, flags: int) -> tuple[int, Callable[[bytes], str] | None]:
    """How many bytes a type has, and how they are read; None where its length is told."""
    size = _INTEGERS.get(kind)
    if size is not None:
        is_signed = not flags & _UNSIGNED
        return size, lambda part: str(int.from_bytes(part, "little", signed=is_signed))
    if kind == _FLOAT:
        return 4, _float
    if kind == _DOUBLE:
        return 8, lambda part: repr(struct.unpack("<d", part)[0])
    if kind == _TIME or kind in _MOMENTS:
        return 0, None
    raise _Unreadable


def _take(data: bytes, at: int, size: int, stop: int) -> bytes:
    if at + size > stop:
        raise _Unreadable
    return data[at : at + size]


def _length(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """A length-encoded integer, and where it ends."""
    first = _take(data, at, 1, stop)[0]
    if first < 0xFB:
        return first, at + 1
    width = _LENGTHS.get(first)
    if width is None:
        raise _Unreadable
    return int.from_bytes(_take(data, at + 1, width, stop), "little"), at + 1 + width


def _float(part: bytes) -> str:
    """The shortest text that is this number: of four bytes, 0.1 is not 0.10000000149011612."""
    (value,) = struct.unpack("<f", part)
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        if _is_float(text, part):
            return text
    return f"{value:.9g}"


def _is_float(text: str, part: bytes) -> bool:
    try:
        return struct.pack("<f", float(text)) == part
    except OverflowError:
        # The largest one, rounded up.
        return False


def _moment(part: bytes) -> str:
    if len(part) not in (0, 4, 7, 11):
        raise _Unreadable
    year, month, day, hour, minute, second, micro = struct.unpack(
        "<HBBBBBI", part + bytes(11 - len(part))
    )
    text = f"{year:04}-{month:02}-{day:02}"
    if len(part) > 4:
        text += f" {hour:02}:{minute:02}:{second:02}"
    return text + (f".{micro:06}" if len(part) == 11 else "")


def _time(part: bytes) -> str:
    if len(part) not in (0, 8, 12):
        raise _Unreadable
    is_negative, days, hour, minute, second, micro = struct.unpack(
        "<BIBBBI", part + bytes(12 - len(part))
    )
    text = f"{'-' if is_negative else ''}{24 * days + hour:02}:{minute:02}:{second:02}"
    return text + (f".{micro:06}" if len(part) == 12 else "")
