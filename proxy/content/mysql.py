"""Statements at a MySQL or MariaDB source, through the proxy, with aiomysql's connection.

aiomysql puts values into a statement's text; here they are bound: COM_STMT_PREPARE and
COM_STMT_EXECUTE (MySQL's Internals Manual, "Prepared Statements") over its connection. So
the audit log shows the statement as the document has it, and no value is read as SQL.
"""

from __future__ import annotations

import ssl
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, Final, Self

import aiomysql
from pymysql.constants import COMMAND
from pymysql.err import MySQLError
from pymysql.protocol import FieldDescriptorPacket

from proxy.content.answers import Answer, Bounds, Budget, Column, StepFailed, unique
from proxy.content.csvtext import written
from proxy.content.entrance import LOGIN_SECONDS, Door, Visit
from proxy.content.mysqlbinary import decoded, encoded, type_name
from proxy.content.mysqlrows import BrokenRows, LineWriter, RowReader, keeps_every_digit
from proxy.content.sqltext import SqlText

_CHUNK: Final = 64 * 1024
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
        statement = await self.prepare(text.text, len(values))
        first = await self._executed(statement, encoded(values))
        if first.is_ok_packet():
            await self.close_statement(statement)
            return (), None, _changed(first)
        fields = await self._fields(first.read_length_encoded_integer() or 0)
        return _columns(fields), self._rows(statement, fields), 0

    async def lines(
        self, query: str, *, neutralise: bool
    ) -> tuple[tuple[Column, ...], AsyncGenerator[list[bytes]]] | None:
        """The columns of a query, and its rows as lines of CSV, some at a time.

        None: it gives no rows, and was not run. Raises StepFailed, MySQLError.
        """
        # What can be prepared is one statement.
        statement, fields = await self._described(query, 0)
        if not fields:
            await self.close_statement(statement)
            return None
        if not all(map(keeps_every_digit, fields)):
            await self.close_statement(statement)
            columns, rows, _ = await self.execute(SqlText(query, ()), ())
            assert rows is not None
            return columns, _one_by_one(rows, neutralise=neutralise)
        await self.close_statement(statement)
        connection = self._connection
        await connection._execute_command(COMMAND.COM_QUERY, query)
        first = await connection._read_packet()
        fields = await self._fields(first.read_length_encoded_integer() or 0)
        return _columns(fields), self._lines(LineWriter(fields, neutralise=neutralise))

    async def _lines(self, writer: LineWriter) -> AsyncGenerator[list[bytes]]:
        connection = self._connection
        reader = RowReader(connection._next_seq_id)
        try:
            while not reader.has_ended:
                data = await connection._reader.read(_CHUNK)
                if not data:
                    raise StepFailed("the connection was lost", "2013", is_transient=True)
                lines = [writer.line(row) for row in reader.feed(data)]
                if lines:
                    yield lines
        except BrokenRows:
            connection.close()
            raise StepFailed("the answer cannot be read", "2027") from None
        except BaseException:
            # What still comes would be taken for the next answer.
            if not reader.has_ended:
                connection.close()
            raise

    async def prepare(self, text: str, count: int) -> int:
        """The number of a prepared statement with so many parameters. Raises MySQLError."""
        statement, _ = await self._described(text, count)
        return statement

    async def _described(self, text: str, count: int) -> tuple[int, list[Any]]:
        connection = self._connection
        await connection._execute_command(COMMAND.COM_STMT_PREPARE, text)
        head = (await connection._read_packet()).get_all_data()
        statement, column_count, parameter_count = struct.unpack_from("<xIHH", head)
        if parameter_count:
            await self._fields(parameter_count)
        fields = await self._fields(column_count) if column_count else []
        if parameter_count != count:
            raise StepFailed("the server counts other parameters", had_no_effect=True)
        return int(statement), fields

    async def _fields(self, count: int) -> list[Any]:
        """So many definitions, and the EOF packet behind them."""
        connection = self._connection
        fields = [await connection._read_packet(FieldDescriptorPacket) for _ in range(count)]
        await connection._read_packet()
        return fields

    async def change(self, statement: int, parameters: bytes) -> int:
        """Execute a prepared statement that gives no rows; how many it changed."""
        return _changed(await self._executed(statement, parameters))

    async def _executed(self, statement: int, parameters: bytes) -> Any:
        """Execute; the first packet of the answer."""
        # COM_STMT_EXECUTE and COM_STMT_CLOSE take bytes; the driver frames them.
        command = struct.pack("<IBI", statement, 0, 1) + parameters
        await self._connection._execute_command(COMMAND.COM_STMT_EXECUTE, command)
        return await self._connection._read_packet()

    async def _rows(self, statement: int, fields: Sequence[Any]) -> AsyncIterator[tuple[Any, ...]]:
        while True:
            packet = await self._connection._read_packet()
            if packet.is_eof_packet():
                break
            yield decoded(packet, fields)
        await self.close_statement(statement)

    async def close_statement(self, statement: int) -> None:
        """Have the server forget a prepared statement, which it does without an answer."""
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


async def _one_by_one(
    rows: AsyncIterator[tuple[Any, ...]], *, neutralise: bool
) -> AsyncGenerator[list[bytes]]:
    async for row in rows:
        yield [written(row, neutralise=neutralise)]


def _columns(fields: Sequence[Any]) -> tuple[Column, ...]:
    names = unique([field.name for field in fields])
    return tuple(Column(name, type_name(field)) for name, field in zip(names, fields, strict=True))


def _changed(packet: Any) -> int:
    packet.advance(1)
    return packet.read_length_encoded_integer() or 0


def _number(error: MySQLError) -> int:
    found = error.args[0] if error.args else 0
    return found if isinstance(found, int) else 0


def _message(error: MySQLError) -> str:
    return str(error.args[1]) if len(error.args) > 1 else "the server refused"
