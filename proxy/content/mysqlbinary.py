"""MySQL's binary protocol: parameters encoded, rows decoded. Pure.

Internals Manual, "Prepared Statements": COM_STMT_EXECUTE, and "Binary Protocol Resultset
Row". A packet and a column are PyMySQL's own.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from pymysql.constants import FIELD_TYPE

_BINARY: Final = 63
"""The character set of what is bytes (MySQL manual, 12.10.8.1)."""
_UNSIGNED: Final = 32


def encoded(values: Sequence[Any]) -> bytes:
    """The parameters of COM_STMT_EXECUTE: NULL bitmap, types, values."""
    if not values:
        return b""
    bitmap = bytearray((len(values) + 7) // 8)
    types, written = bytearray(), bytearray()
    for number, value in enumerate(values):
        kind, data = _encoded(value)
        types += struct.pack("<H", kind)
        if value is None:
            bitmap[number // 8] |= 1 << number % 8
        written += data
    return bytes(bitmap) + b"\1" + bytes(types) + bytes(written)


def encoded_texts(values: Sequence[str | None]) -> bytes:
    """The same of texts alone, of which there are many."""
    bitmap = bytearray((len(values) + 7) // 8)
    parts: list[bytes] = []
    for number, value in enumerate(values):
        if value is None:
            bitmap[number >> 3] |= 1 << (number & 7)
        else:
            data = value.encode()
            count = len(data)
            parts += (_SHORT[count] if count < 251 else _length(count), data)
    # A NULL may be said to be of any type.
    types = struct.pack("<H", FIELD_TYPE.VAR_STRING) * len(values)
    return b"".join((bitmap, b"\1", types, *parts))


_SHORT: Final = [bytes([count]) for count in range(251)]


def _encoded(value: Any) -> tuple[int, bytes]:
    if value is None:
        return FIELD_TYPE.NULL, b""
    if isinstance(value, bool):
        return FIELD_TYPE.TINY, bytes([value])
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return FIELD_TYPE.LONGLONG, struct.pack("<q", value)
    if isinstance(value, float):
        return FIELD_TYPE.DOUBLE, struct.pack("<d", value)
    if isinstance(value, (int, Decimal)):
        # Never in the form 1E+3.
        return FIELD_TYPE.NEWDECIMAL, _counted(f"{Decimal(value):f}")
    if isinstance(value, (bytes, bytearray)):
        return FIELD_TYPE.BLOB, _length(len(value)) + bytes(value)
    return FIELD_TYPE.VAR_STRING, _counted(_as_text(value))


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        # MySQL's moments have no zone: UTC, as the documentation says.
        moment = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return moment.isoformat(sep=" ")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds = abs(value) // timedelta(seconds=1)
        sign = "-" if value < timedelta() else ""
        rest = abs(value).microseconds
        return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:06}"
    if isinstance(value, (list, dict)):
        return json.dumps(value)
    return str(value)


def _counted(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return _length(len(data)) + data


def _length(count: int) -> bytes:
    if count < 251:
        return bytes([count])
    if count < 2**16:
        return b"\xfc" + struct.pack("<H", count)
    if count < 2**24:
        return b"\xfd" + struct.pack("<I", count)[:3]
    return b"\xfe" + struct.pack("<Q", count)


_FIXED: Final = {
    FIELD_TYPE.TINY: "b",
    FIELD_TYPE.SHORT: "h",
    FIELD_TYPE.YEAR: "h",
    FIELD_TYPE.LONG: "i",
    FIELD_TYPE.INT24: "i",
    FIELD_TYPE.LONGLONG: "q",
    FIELD_TYPE.FLOAT: "f",
    FIELD_TYPE.DOUBLE: "d",
}
_TYPE_NAMES: Final = {
    FIELD_TYPE.TINY: "tinyint",
    FIELD_TYPE.SHORT: "smallint",
    FIELD_TYPE.YEAR: "year",
    FIELD_TYPE.LONG: "int",
    FIELD_TYPE.INT24: "mediumint",
    FIELD_TYPE.LONGLONG: "bigint",
    FIELD_TYPE.FLOAT: "float",
    FIELD_TYPE.DOUBLE: "double",
    FIELD_TYPE.DECIMAL: "decimal",
    FIELD_TYPE.NEWDECIMAL: "decimal",
    FIELD_TYPE.DATE: "date",
    FIELD_TYPE.NEWDATE: "date",
    FIELD_TYPE.TIME: "time",
    FIELD_TYPE.DATETIME: "datetime",
    FIELD_TYPE.TIMESTAMP: "timestamp",
    FIELD_TYPE.BIT: "bit",
    FIELD_TYPE.JSON: "json",
    FIELD_TYPE.NULL: "null",
}


def type_name(field: Any) -> str:
    """A column's type, in MySQL's words."""
    found = _TYPE_NAMES.get(field.type_code)
    if found is not None:
        return found
    return "blob" if field.charsetnr == _BINARY else "text"


def decoded(packet: Any, fields: Sequence[Any]) -> tuple[Any, ...]:
    """One row of a binary result set ("Binary Protocol Resultset Row")."""
    packet.advance(1)
    # Two bits are reserved at the bitmap's beginning.
    bitmap = packet.read((len(fields) + 9) // 8)
    return tuple(
        None if bitmap[(number + 2) // 8] & 1 << (number + 2) % 8 else _decoded(packet, field)
        for number, field in enumerate(fields)
    )


def _decoded(packet: Any, field: Any) -> Any:
    kind = field.type_code
    if kind in _FIXED:
        code = _FIXED[kind]
        is_unsigned = field.flags & _UNSIGNED and code not in "fd"
        (number,) = packet.read_struct("<" + (code.upper() if is_unsigned else code))
        return number
    if kind in (FIELD_TYPE.DATE, FIELD_TYPE.NEWDATE, FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP):
        return _moment(packet.read(packet.read_uint8()), kind)
    if kind == FIELD_TYPE.TIME:
        return _duration(packet.read(packet.read_uint8()))
    data = packet.read_length_coded_string()
    if kind in (FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL):
        return Decimal(data.decode("ascii"))
    if kind == FIELD_TYPE.BIT:
        return int.from_bytes(data)
    if field.charsetnr == _BINARY and kind != FIELD_TYPE.JSON:
        return data
    return data.decode("utf-8", "replace")


def _moment(data: bytes, kind: int) -> datetime | date | str:
    parts = (0, 0, 0, 0, 0, 0, 0)
    if data:
        day = struct.unpack_from("<HBB", data)
        clock = struct.unpack_from("<BBB", data, 4) if len(data) >= 7 else (0, 0, 0)
        fraction = struct.unpack_from("<I", data, 7) if len(data) >= 11 else (0,)
        parts = (*day, *clock, *fraction)
    is_day = kind in (FIELD_TYPE.DATE, FIELD_TYPE.NEWDATE)
    try:
        return date(*parts[:3]) if is_day else datetime(*parts)  # noqa: DTZ001 - it has no zone
    except ValueError:
        # MySQL's 0000-00-00, and days that no calendar has.
        text = "{:04}-{:02}-{:02}".format(*parts[:3])
        return text if is_day else text + " {:02}:{:02}:{:02}".format(*parts[3:6])


def _duration(data: bytes) -> timedelta:
    if not data:
        return timedelta()
    is_negative, days, hours, minutes, seconds = struct.unpack_from("<BIBBB", data)
    (rest,) = struct.unpack_from("<I", data, 8) if len(data) >= 12 else (0,)
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, microseconds=rest)
    return -length if is_negative else length
