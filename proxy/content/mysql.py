"""Statements at a MySQL or MariaDB source, through the proxy, with aiomysql's connection.

aiomysql puts values into a statement's text; here they are bound: COM_STMT_PREPARE and
COM_STMT_EXECUTE (MySQL's Internals Manual, "Prepared Statements") over its connection. So
the audit log shows the statement as the document has it, and no value is read as SQL.
"""

from __future__ import annotations

import json
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Self

import aiomysql
from pymysql.constants import COMMAND, FIELD_TYPE
from pymysql.err import MySQLError
from pymysql.protocol import FieldDescriptorPacket

from proxy.content.answers import Answer, Bounds, Budget, Column, StepFailed, unique
from proxy.content.entrance import LOGIN_SECONDS, Door, Visit
from proxy.content.sqltext import SqlText

_BINARY: Final = 63
"""The character set of what is bytes (MySQL manual, 12.10.8.1)."""
_UNSIGNED: Final = 32

_DEADLOCK: Final = frozenset({1213, 1205})
"""ER_LOCK_DEADLOCK, ER_LOCK_WAIT_TIMEOUT: the statement was rolled back."""
_LOST: Final = frozenset({2006, 2013, 2014, 2055, 1053, 1317, 4031})
_LOGIN_AGAIN: Final = frozenset({1040, 1203, 1290, 1429, 1053, 2003, 2013})


class MysqlSession:
    """One connection. Made by ``open``."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, door: Door, visit: Visit, source: str) -> Self:
        """Log in. Raises StepFailed."""
        try:
            connection = await aiomysql.connect(
                host=door.host,
                port=door.port,
                user=visit.workspace,
                password=visit.token.text,
                db=source,
                ssl=door.tls,
                charset="utf8mb4",
                autocommit=True,
                connect_timeout=LOGIN_SECONDS,
                program_name=visit.name,
            )
        except MySQLError as error:
            code = _number(error)

            raise StepFailed(
                "the proxy cannot be reached" if code == 2003 else _message(error),
                str(code),
                had_no_effect=True,
                is_transient=code in _LOGIN_AGAIN,
            ) from None
        except (OSError, ssl.SSLError, TimeoutError):
            raise StepFailed(
                "the proxy cannot be reached", "login", had_no_effect=True, is_transient=True
            ) from None
        return cls(connection)

    @property
    def is_usable(self) -> bool:
        """See ``Session``."""
        return not self._connection.closed

    @property
    def connection(self) -> Any:
        """The driver's own, for transactions."""
        return self._connection

    async def run(self, text: SqlText, values: Sequence[Any], bounds: Bounds) -> Answer:
        """See ``Session``."""
        with translated():
            columns, rows, changed = await self.execute(text, values)
            if rows is None:
                return Answer(count=changed)
            budget = Budget(bounds)
            is_cut = False
            try:
                async for row in rows:
                    if not budget.takes(row):
                        is_cut = True
                        break
            except StepFailed:
                self._connection.close()
                raise
            if is_cut:
                # What still comes would be read for nothing; the proxy stops the statement.
                self._connection.close()
            return Answer(columns, tuple(budget.rows), len(budget.rows), is_cut)

    async def execute(
        self, text: SqlText, values: Sequence[Any]
    ) -> tuple[tuple[Column, ...], AsyncIterator[tuple[Any, ...]] | None, int]:
        """Prepare, bind, execute: columns and rows as they come, or a count of changes."""
        connection = self._connection
        await connection._execute_command(COMMAND.COM_STMT_PREPARE, text.text)
        head = (await connection._read_packet()).get_all_data()
        statement, column_count, parameter_count = struct.unpack_from("<xIHH", head)
        for count in (parameter_count, column_count):
            if count:
                # Their definitions, and the EOF packet behind them.
                for _ in range(count + 1):
                    await connection._read_packet()
        if parameter_count != len(values):
            raise StepFailed("the server counts other parameters", had_no_effect=True)
        command = struct.pack("<IBI", statement, 0, 1) + encoded(values)
        # COM_STMT_EXECUTE and COM_STMT_CLOSE take bytes; the driver frames them.
        await connection._execute_command(COMMAND.COM_STMT_EXECUTE, command)
        first = await connection._read_packet()
        if first.is_ok_packet():
            first.advance(1)
            changed = first.read_length_encoded_integer() or 0
            await self._close_statement(statement)
            return (), None, changed
        fields = [
            await connection._read_packet(FieldDescriptorPacket)
            for _ in range(first.read_length_encoded_integer() or 0)
        ]
        await connection._read_packet()
        names = unique([field.name for field in fields])
        columns = tuple(
            Column(name, _type_name(field)) for name, field in zip(names, fields, strict=True)
        )
        return columns, self._rows(statement, fields), 0

    async def _rows(self, statement: int, fields: Sequence[Any]) -> AsyncIterator[tuple[Any, ...]]:
        while True:
            packet = await self._connection._read_packet()
            if packet.is_eof_packet():
                break
            yield decoded(packet, fields)
        await self._close_statement(statement)

    async def _close_statement(self, statement: int) -> None:
        await self._connection._execute_command(
            COMMAND.COM_STMT_CLOSE, struct.pack("<I", statement)
        )

    async def close(self) -> None:
        """See ``Session``."""
        with suppress(OSError, MySQLError, TimeoutError):
            await self._connection.ensure_closed()


class translated:  # noqa: N801 - reads as a verb: "with translated():"
    """Turns the driver's errors into StepFailed."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, MySQLError):
            code = _number(error)
            raise StepFailed(
                "the connection was lost" if code in (2006, 2013) else _message(error),
                str(code),
                # Tables without transactions keep what a failed statement did so far.
                had_no_effect=code in _DEADLOCK,
                is_transient=code in _DEADLOCK or code in _LOST,
            ) from None
        if isinstance(error, OSError):
            raise StepFailed("the connection was lost", "2013", is_transient=True) from None


def _number(error: MySQLError) -> int:
    found = error.args[0] if error.args else 0
    return found if isinstance(found, int) else 0


def _message(error: MySQLError) -> str:
    return str(error.args[1]) if len(error.args) > 1 else "the server refused"


# --- the binary protocol ----------------------------------------------------------------


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


def _type_name(field: Any) -> str:
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
