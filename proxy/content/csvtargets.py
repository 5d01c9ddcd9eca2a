"""Where an import's rows go: one table, in one transaction, batch by batch."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol

from proxy.content import mysql, postgres
from proxy.content.answers import Session
from proxy.content.csvtext import Line, Run, written
from proxy.content.mysqlbinary import encoded_texts
from proxy.content.tables import TableName, columns_text

Piece = Line | Run

_MESSAGE: Final = 64 * 1024
"""Bytes of COPY's data in one message: whoever carries it holds it whole."""
_MOST_VALUES: Final = 65_000
"""Of one INSERT: MySQL's protocol counts them in 16 bits."""
_MOST_ROWS: Final = 500


class Target(Protocol):
    """Where rows go. ``most``: pieces of one batch."""

    most: int

    def parts(self, piece: Piece) -> Iterable[Piece]:
        """A piece as batches of this target have it."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """All that is written inside is stored together, or not at all."""
        ...

    async def write(self, batch: Sequence[Piece], line_end: bytes) -> None:
        """Write a batch, whole or not at all. ``line_end``: of the runs. Raises StepFailed."""
        ...


class _Postgres:
    """COPY FROM STDIN, each batch behind a savepoint. Runs go as they stand in the file."""

    most = sys.maxsize

    def __init__(self, connection: Any, table: TableName, columns: Sequence[str]) -> None:
        self._connection = connection
        self._table = table
        self._columns = list(columns)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        with postgres.translated():
            async with self._connection.transaction():
                yield

    def parts(self, piece: Piece) -> Iterable[Piece]:
        return (piece,)

    async def write(self, batch: Sequence[Piece], line_end: bytes) -> None:
        # COPY wants all lines to end alike.
        data = b"".join(
            [
                piece.data if isinstance(piece, Run) else written(piece.fields, line_end=line_end)
                for piece in batch
            ]
        )

        async def messages() -> AsyncIterator[bytes]:
            for at in range(0, len(data), _MESSAGE):
                yield data[at : at + _MESSAGE]

        with postgres.translated():
            async with self._connection.transaction():
                await self._connection.copy_to_table(
                    self._table.name,
                    schema_name=self._table.schema,
                    columns=self._columns,
                    source=messages(),
                    format="csv",
                )


class _Mysql:
    """INSERT with many rows, whose values are bound. A statement that fails is undone whole.

    Of full batches it is the same statement, prepared once: the answer describes each of its
    thousands of parameters.
    """

    def __init__(
        self,
        session: mysql.MysqlSession,
        table: TableName,
        columns: Sequence[tuple[str, str]],
    ) -> None:
        self._session = session
        names = columns_text([name for name, _ in columns], "mysql")
        self._head = f"INSERT INTO {table.quoted('mysql')} ({names}) VALUES "  # noqa: S608
        self.most = max(1, min(_MOST_ROWS, _MOST_VALUES // len(columns)))
        self._row = "(" + ", ".join("?" * len(columns)) + ")"
        # MySQL's boolean is a tiny integer, which reads no words.
        self._truths = [
            number for number, (_, kind) in enumerate(columns) if kind in ("tinyint", "boolean")
        ]
        self._of_most: int | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        connection = self._session.connection
        with mysql.translated():
            await connection.begin()
            try:
                yield
            except BaseException:
                # An import that is cancelled is undone too.
                if self._session.is_usable:
                    await connection.rollback()
                raise
            await connection.commit()

    def parts(self, piece: Piece) -> Iterable[Piece]:
        return piece.lines() if isinstance(piece, Run) else (piece,)

    async def write(self, batch: Sequence[Piece], line_end: bytes) -> None:
        rows = [line.fields for line in batch if isinstance(line, Line)]
        values = [value for row in rows for value in row]
        for first in self._truths:
            for at in range(first, len(values), len(rows[0])):
                value = values[at]
                values[at] = None if value is None else _TRUTHS.get(value.lower(), value)
        parameters = encoded_texts(values)
        with mysql.translated():
            if len(rows) < self.most:
                statement = await self._prepared(len(rows), len(values))
                try:
                    await self._session.change(statement, parameters)
                finally:
                    if self._session.is_usable:
                        await self._session.close_statement(statement)
                return
            if self._of_most is None:
                self._of_most = await self._prepared(len(rows), len(values))
            await self._session.change(self._of_most, parameters)

    async def _prepared(self, rows: int, values: int) -> int:
        return await self._session.prepare(self._head + ", ".join([self._row] * rows), values)


_TRUTHS: Final = {"true": "1", "false": "0"}


def target_of(session: Session, table: TableName, columns: Sequence[tuple[str, str]]) -> Target:
    """Where rows of these columns go, over an open session."""
    if isinstance(session, postgres.PostgresSession):
        return _Postgres(session.connection, table, [name for name, _ in columns])
    assert isinstance(session, mysql.MysqlSession)
    return _Mysql(session, table, columns)
