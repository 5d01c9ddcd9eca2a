"""A client with MySQL's own asynchronous driver: server-side prepared statements."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import mysql.connector.aio
from mysql.connector import Error
from mysql.connector.errorcode import CR_SERVER_GONE_ERROR, CR_SERVER_LOST

from tests.soak.client import Client, Session, is_lost
from tests.soak.disturbances import LOST

_GONE = (-1, CR_SERVER_GONE_ERROR, CR_SERVER_LOST, 2003, 2055)


class ConnectorClient(Client):
    """See ``Client``."""

    errors = (Error, OSError, EOFError)

    def new_session(self) -> Session:
        return ConnectorSession(self)

    def kind_of(self, error: Exception) -> str:
        number = getattr(error, "errno", None)
        return LOST if is_lost(error) or number in _GONE or number is None else str(number)


class ConnectorSession(Session):
    """See ``Session``."""

    connection: Any = None

    async def open(self) -> None:
        access = self.client.access
        self.connection = await mysql.connector.aio.connect(
            host="127.0.0.1",
            port=access.ports["mysql"],
            user=self.place.workspace,
            password=access.tokens[self.place.workspace],
            database=self.place.source,
            ssl_disabled=True,
            autocommit=True,
            # Its default is a MySQL 8's alone.
            charset="utf8mb4",
            collation="utf8mb4_general_ci",
            connection_timeout=25,
        )
        self.number = self.connection.connection_id
        ((self.backend,),) = await self._rows("SELECT CONNECTION_ID()")

    async def _rows(self, text: str) -> list[Any]:
        async with await self.connection.cursor() as cursor:
            await cursor.execute(text)
            return list(await cursor.fetchall())

    async def look_around(self) -> None:
        text = f"/* {self.mark()} */ SELECT CURRENT_USER(), DATABASE(), @owner"
        account = self.place.account
        self.expect(await self.run(self._rows(text), text), [(f"{account}@%", account, None)])

    @property
    def steps(self) -> Sequence[Callable[[], Awaitable[None]]]:
        return (self.prepared, self.prepared_writing)

    async def prepared(self) -> None:
        """Prepared once, executed many times."""
        await self._execute_many(f"/* {self.mark()} */ SELECT ?, DATABASE()", self.place.account)

    async def prepared_writing(self) -> None:
        """The same, for rows of its own."""
        await self._execute_many(
            f"/* {self.mark()} */ INSERT INTO entries VALUES (CURRENT_USER(), ?)"
        )

    async def _execute_many(self, text: str, *more: str) -> None:
        cursor = await self.client.bounded(self.connection.cursor(prepared=True))
        for _ in range(self.client.random.randint(2, 8)):
            value = self.mark()
            rows = await self.run(self._execute(cursor, text, value), (text, [value]))
            self.expect(rows, [(value, *more)] if more else [])
        await self.client.bounded(cursor.close())

    async def _execute(self, cursor: Any, text: str, value: str) -> list[Any]:
        await cursor.execute(text, (value,))
        return list(await cursor.fetchall()) if cursor.with_rows else []

    async def close(self) -> None:
        await self.connection.close()

    async def vanish(self) -> None:
        self.drop()

    def drop(self) -> None:
        # Its own way of closing without a goodbye is a coroutine, or says one.
        with suppress(AttributeError):
            self.connection._socket._writer.transport.abort()
