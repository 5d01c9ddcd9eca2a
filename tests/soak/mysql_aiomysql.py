"""A client with aiomysql: texts, several in one, transactions, large results, KILL QUERY."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import aiomysql
import pymysql
from pymysql.constants import CLIENT

from tests.soak.client import Client, Session, is_lost
from tests.soak.disturbances import LOST
from tests.soak.pace import rest

_ERRORS = (pymysql.err.MySQLError, OSError, EOFError)
# The driver's own numbers for a connection that is gone (MySQL's "Client Error Message Reference").
_GONE = (0, 2003, 2006, 2013, 2014, 2055)
_NO_SUCH_THREAD = 1094
# Seconds: the proxy's own limit for a login that stops a statement, and some for a busy machine.
_STOPPED_WITHIN = 12.0
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


class AiomysqlClient(Client):
    """See ``Client``."""

    errors = _ERRORS

    def new_session(self) -> Session:
        return AiomysqlSession(self)

    def kind_of(self, error: Exception) -> str:
        if is_lost(error):
            return LOST
        number = error.args[0] if error.args else 0
        return LOST if number in _GONE or not isinstance(number, int) else str(number)


class AiomysqlSession(Session):
    """See ``Session``."""

    connection: Any = None
    _killed_at: float | None = None

    async def _connect(self) -> Any:
        access = self.client.access
        return await aiomysql.connect(
            host="127.0.0.1",
            port=access.ports["mysql"],
            user=self.place.workspace,
            password=access.tokens[self.place.workspace],
            db=self.place.source,
            autocommit=True,
            client_flag=CLIENT.MULTI_STATEMENTS,
            connect_timeout=25,
        )

    async def open(self) -> None:
        self.connection = await self._connect()
        self.number = self.connection.thread_id()
        ((self.backend,),) = await self._rows("SELECT CONNECTION_ID()")

    async def _rows(self, text: str) -> list[Any]:
        """Every row of every result."""
        async with self.connection.cursor() as cursor:
            await cursor.execute(text)
            rows = list(await cursor.fetchall())
            while await cursor.nextset():
                rows += await cursor.fetchall()
            return rows

    async def _ask(self, words: str, *, fails: Sequence[str] = ()) -> list[Any]:
        text = f"/* {self.mark()} */ {words}"
        return await self.run(self._rows(text), text, fails=fails) or []

    async def look_around(self) -> None:
        account = self.place.account
        found = await self._ask("SELECT CURRENT_USER(), DATABASE(), @owner, IS_USED_LOCK('soak')")
        self.expect(found, [(f"{account}@%", account, None, None)])
        await self._ask("SELECT * FROM mine", fails=("1146", "1227"))
        await self._ask(f"SET @owner = '{self.client.name}'")
        await self._ask("CREATE TEMPORARY TABLE mine (note TEXT)")

    @property
    def steps(self) -> Sequence[Callable[[], Awaitable[None]]]:
        return (
            self.simple,
            self.simple,
            self.several,
            self.mistakes,
            self.transaction,
            self.large,
            self.cancelled,
        )

    async def simple(self) -> None:
        """A text of its own."""
        word = self.mark()
        self.expect(await self._ask(f"SELECT '{word}', @owner"), [(word, self.client.name)])

    async def several(self) -> None:
        """Several statements in one text."""
        texts = [f"/* {self.mark()} */ SELECT {number}" for number in range(3)]
        found = await self.run(self._rows("; ".join(texts)), "; ".join(texts))
        self.expect(found, [(0,), (1,), (2,)])

    async def mistakes(self) -> None:
        """What the server cannot read, and refuses."""
        await self._ask("SELEC", fails=("1064", "1227"))
        await self._ask("SELECT * FROM never_made", fails=("1146", "1227"))

    async def transaction(self) -> None:
        """Writes, and sees it, and nobody else's."""
        note = self.mark()
        await self._ask("BEGIN")
        await self._ask(f"INSERT INTO entries VALUES (CURRENT_USER(), '{note}')")
        self.expect(await self._ask(f"SELECT note FROM entries WHERE note = '{note}'"), [(note,)])
        foreign = await self._ask("SELECT COUNT(*) FROM entries WHERE owner <> CURRENT_USER()")
        self.expect(foreign, [(0,)])
        await self._ask(self.client.random.choice(("COMMIT", "ROLLBACK")))

    async def large(self) -> None:
        """A result of some megabytes."""
        name = self.client.name
        rows = await self._ask(f"SELECT REPEAT('{name}', 300) FROM shop.numbers LIMIT 3000")
        self.expect((len(rows), set(rows)), (3000, {(name * 300,)}))

    async def cancelled(self) -> None:
        """KILL QUERY from another session, as drivers do."""
        self._killed_at = None
        running = asyncio.create_task(self._sleep())
        other = None
        try:
            other = await self._connect()
            async with other.cursor() as cursor:
                while not running.done():
                    await rest(0.1)
                    if not running.done():
                        with self.client.cancelling():
                            await self._kill(cursor)
        finally:
            if other is not None:
                other.close()
            if not running.done():
                # Whatever ended the other session: this one is not waited for to its end.
                self.drop()
            # Its error is this one's consequence, where there is one.
            await asyncio.gather(running, return_exceptions=True)
        await running

    async def _kill(self, cursor: Any) -> None:
        try:
            await cursor.execute(f"KILL QUERY {self.number}")
        except pymysql.err.OperationalError as error:
            # The session has ended meanwhile, which its statement tells.
            if error.args[0] != _NO_SUCH_THREAD:
                raise
        self._killed_at = self._killed_at or time.monotonic()

    async def _sleep(self) -> None:
        # Where it is stopped, MariaDB ends it with an error, or with its 1 for "interrupted".
        with suppress(pymysql.err.OperationalError):
            found = await self._ask("SELECT SLEEP(20)")
            # The other session may have waited for a place of the pool for as long as this.
            if self._killed_at and time.monotonic() - self._killed_at > _STOPPED_WITHIN:
                self.expect(found, "a statement that KILL QUERY has stopped")

    async def close(self) -> None:
        await self.connection.ensure_closed()

    async def vanish(self) -> None:
        text = f"/* {self.mark()} */ SELECT SLEEP(0.2), REPEAT('x', 100000)"
        self.client.book.entry(text).times += 1
        running = asyncio.create_task(self._rows(text))
        await rest(self.client.random.uniform(0, 0.3))
        # No driver offers a reset: it takes a way in.
        writer = self.connection._writer
        found = writer.get_extra_info("socket") if writer else None
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.connection.close()
        with suppress(*_ERRORS):
            await running

    def drop(self) -> None:
        if self.connection is not None:
            self.connection.close()
