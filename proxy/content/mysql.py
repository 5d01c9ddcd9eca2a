"""Statements at a MySQL or MariaDB source, through the proxy, with aiomysql's connection.

aiomysql puts values into a statement's text; here they are bound: COM_STMT_PREPARE and
COM_STMT_EXECUTE (MySQL's Internals Manual, "Prepared Statements") over its connection. So
the audit log shows the statement as the document has it, and no value is read as SQL.
"""

from __future__ import annotations

import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, Final, Self

import aiomysql
from pymysql.constants import COMMAND
from pymysql.err import MySQLError
from pymysql.protocol import FieldDescriptorPacket

from proxy.content.answers import Answer, Bounds, Budget, Column, StepFailed, unique
from proxy.content.entrance import LOGIN_SECONDS, Door, Visit
from proxy.content.mysqlbinary import decoded, encoded, type_name
from proxy.content.sqltext import SqlText

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
            Column(name, type_name(field)) for name, field in zip(names, fields, strict=True)
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
