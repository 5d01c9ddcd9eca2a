"""Where an import's rows go: one table, in one transaction, batch by batch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol

from proxy.content import mysql, postgres
from proxy.content.answers import Bounds, Session
from proxy.content.csvtext import Line, written
from proxy.content.sqltext import SqlText
from proxy.content.tables import TableName, columns_text


class Target(Protocol):
    """Where rows go."""

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """All that is written inside is stored together, or not at all."""
        ...

    async def write(self, lines: Sequence[Line]) -> None:
        """Write a batch, whole or not at all. Raises StepFailed."""
        ...


class _Postgres:
    """COPY FROM STDIN, each batch behind a savepoint."""

    def __init__(self, connection: Any, table: TableName, columns: Sequence[str]) -> None:
        self._connection = connection
        self._table = table
        self._columns = list(columns)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        with postgres.translated():
            async with self._connection.transaction():
                yield

    async def write(self, lines: Sequence[Line]) -> None:
        data = b"".join(written(line.fields) for line in lines)

        async def once() -> AsyncIterator[bytes]:
            yield data

        with postgres.translated():
            async with self._connection.transaction():
                await self._connection.copy_to_table(
                    self._table.name,
                    schema_name=self._table.schema,
                    columns=self._columns,
                    source=once(),
                    format="csv",
                )


class _Mysql:
    """INSERT with many rows, whose values are bound. A statement that fails is undone whole."""

    def __init__(
        self,
        session: mysql.MysqlSession,
        table: TableName,
        columns: Sequence[tuple[str, str]],
    ) -> None:
        self._session = session
        names = columns_text([name for name, _ in columns], "mysql")
        self._head = f"INSERT INTO {table.quoted('mysql')} ({names}) VALUES "  # noqa: S608
        self._row = "(" + ", ".join("?" * len(columns)) + ")"
        # MySQL's boolean is a tiny integer, which reads no words.
        self._are_truths = [kind in ("tinyint", "boolean") for _, kind in columns]

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

    async def write(self, lines: Sequence[Line]) -> None:
        values = [
            _TRUTHS.get(value.lower(), value) if is_truth and value is not None else value
            for line in lines
            for value, is_truth in zip(line.fields, self._are_truths, strict=True)
        ]
        text = self._head + ", ".join([self._row] * len(lines))
        await self._session.run(SqlText(text, ()), values, Bounds(0))


_TRUTHS: Final[dict[str, str | int]] = {"true": 1, "false": 0}


def target_of(session: Session, table: TableName, columns: Sequence[tuple[str, str]]) -> Target:
    """Where rows of these columns go, over an open session."""
    if isinstance(session, postgres.PostgresSession):
        return _Postgres(session.connection, table, [name for name, _ in columns])
    assert isinstance(session, mysql.MysqlSession)
    return _Mysql(session, table, columns)
