"""A client with psycopg over TLS: simple queries, pipelines, COPY, large results, cancels."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import psycopg

from tests.soak.client import Client, Session, is_lost
from tests.soak.disturbances import LOST
from tests.soak.pace import rest

_ERRORS = (psycopg.Error, OSError, EOFError)
# libpq gives no SQLSTATE for what a server said instead of letting one in.
_AT_LOGIN = {
    "password authentication failed": "28P01",
    "rights have just changed": "57P01",
    "proxy is shutting down": "57P01",
    "data source closed the connection": LOST,
    "refused the stored credential": "08004",
    "store is not available": "57P03",
}


class PsycopgClient(Client):
    """See ``Client``."""

    errors = _ERRORS

    def new_session(self) -> Session:
        return PsycopgSession(self)

    def kind_of(self, error: Exception) -> str:
        if is_lost(error):
            return LOST
        code = getattr(error, "sqlstate", None)
        if code:
            # What the proxy says where the data source has gone.
            return LOST if code == "08006" else str(code)
        said = re.search(r"FATAL:\s+(.*)", str(error))
        if said is None:
            return LOST
        return next((code for words, code in _AT_LOGIN.items() if words in said[1]), said[1])


class PsycopgSession(Session):
    """See ``Session``."""

    connection: psycopg.AsyncConnection[Any] | None = None

    async def open(self) -> None:
        access = self.client.access
        self.connection = await psycopg.AsyncConnection.connect(
            host="127.0.0.1",
            port=access.ports["postgresql"],
            user=self.place.workspace,
            password=access.tokens[self.place.workspace],
            dbname=self.place.source,
            sslmode="require",
            autocommit=True,
            connect_timeout=25,
        )
        self.number = self.connection.info.backend_pid
        cursor = await self.connection.execute("SELECT pg_backend_pid()")
        row = await cursor.fetchone()
        assert row is not None
        self.backend = row[0]

    @property
    def _open(self) -> psycopg.AsyncConnection[Any]:
        assert self.connection is not None
        return self.connection

    async def _rows(self, text: str, *values: str, prepare: bool | None = None) -> list[Any]:
        """The first column. Without values it is a simple query."""
        cursor = await self._open.execute(text.encode(), values or None, prepare=prepare)
        return [row[0] for row in await cursor.fetchall()] if cursor.description else []

    async def _ask(self, words: str, *, fails: Sequence[str] = ()) -> list[Any]:
        text = f"/* {self.mark()} */ {words}"
        return await self.run(self._rows(text), text, fails=fails) or []

    async def look_around(self) -> None:
        found = await self._ask(
            "SELECT current_user::text || coalesce(to_regclass('pg_temp.mine')::text, '')"
            " || coalesce(current_setting('soak.owner', true), '')"
            " || (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            " AND pid = pg_backend_pid())::text"
        )
        self.expect(found, [f"{self.place.account}0"])
        if self.is_light:
            return
        await self._ask(f"SET soak.owner = '{self.client.name}'")
        await self._ask("CREATE TEMPORARY TABLE mine (note text)")
        await self._ask(f"SELECT pg_advisory_lock_shared({self.client.random.randint(1, 9)})")

    @property
    def steps(self) -> Sequence[Callable[[], Awaitable[None]]]:
        return (
            self.simple,
            self.extended,
            self.prepared,
            self.pipelined,
            self.failing_pipeline,
            self.copy_in_and_out,
            self.large,
            self.several,
            self.mistakes,
            self.transaction,
            self.cancelled,
        )

    async def simple(self) -> None:
        """A text of its own."""
        word = self.mark()
        self.expect(
            await self._ask(f"SELECT '{word}' || current_user"), [word + self.place.account]
        )

    async def extended(self) -> None:
        """A bound value."""
        value = self.mark()
        text = f"/* {self.mark()} */ SELECT %s::text || current_user"
        found = await self.run(self._rows(text, value), (text, [value]))
        self.expect(found, [value + self.place.account])

    async def prepared(self) -> None:
        """Prepared once, executed many times."""
        text = f"/* {self.mark()} */ SELECT %s::text"
        for _ in range(self.client.random.randint(2, 15)):
            value = self.mark()
            found = await self.run(self._rows(text, value, prepare=True), (text, [value]))
            self.expect(found, [value])

    async def pipelined(self) -> None:
        """Statements sent ahead of their answers."""
        text = f"/* {self.mark()} */ SELECT %s::text"
        values = [self.mark() for _ in range(20)]
        await self.run(self._pipeline(text, values), *((text, [value]) for value in values))

    async def _pipeline(self, text: str, values: Sequence[str]) -> None:
        async with self._open.pipeline():
            cursors = [await self._open.execute(text.encode(), [value]) for value in values]
            for cursor, value in zip(cursors, values, strict=True):
                self.expect(await cursor.fetchone(), (value,))

    async def failing_pipeline(self) -> None:
        """The server does not read what follows an error, up to the next Sync."""
        texts = [f"/* {self.mark()} */ SELECT 1 / %s::int" for _ in range(5)]

        async def work() -> None:
            async with self._open.pipeline():
                for text, divisor in zip(texts, "12012", strict=True):
                    await self._open.execute(text.encode(), [divisor])

        # Those before the error have results that the driver does not hand out.
        await self.run(work(), *((text, ()) for text in texts), fails=("22012", "42501"))

    async def copy_in_and_out(self) -> None:
        """COPY FROM STDIN, then TO STDOUT."""
        line = f"{self.client.name} {self.mark()}"
        into = f"/* {self.mark()} */ COPY mine (note) FROM STDIN"
        out = f"/* {self.mark()} */ COPY (SELECT note FROM mine WHERE note = '{line}') TO STDOUT"
        found: list[bytes] = []

        async def write() -> None:
            async with self._open.cursor() as cursor, cursor.copy(into.encode()) as copy:
                for _ in range(100):
                    await copy.write_row([line])

        async def read() -> None:
            async with self._open.cursor() as cursor, cursor.copy(out.encode()) as copy:
                async for data in copy:
                    found.append(bytes(data))

        if self.is_light:
            await self._ask("BEGIN")
            await self._ask("CREATE TEMPORARY TABLE mine (note text) ON COMMIT DROP")
        await self.run(write(), into)
        await self.run(read(), out)
        if self.is_light:
            await self._ask("COMMIT")
        self.expect(b"".join(found), f"{line}\n".encode() * 100)

    async def large(self) -> None:
        """A result of two megabytes."""
        rows = await self._ask(
            f"SELECT repeat('{self.client.name}', 300) FROM generate_series(1, 2000)"
        )
        self.expect(set(rows), {self.client.name * 300})
        self.expect(len(rows), 2000)

    async def several(self) -> None:
        """Several statements in one text, one of which fails."""
        marks = [self.mark() for _ in range(3)]
        texts = [f"/* {mark} */ SELECT 1" for mark in marks]
        await self.run(self._rows("; ".join(texts)), "; ".join(texts))
        await self._ask("SELECT 1; SELECT 1 / 0; SELECT 2", fails=("22012", "42501"))

    async def mistakes(self) -> None:
        """What the server reads and refuses, and cannot read."""
        await self._ask("SELECT nothing FROM never_made", fails=("42P01", "42501"))
        await self._ask("SELEC", fails=("42601", "42501"))

    async def transaction(self) -> None:
        """Writes, and sees it; a savepoint and an error within."""
        note = self.mark()
        await self._ask("BEGIN")
        await self._ask(f"INSERT INTO entries (owner, note) VALUES (current_user, '{note}')")
        await self._ask("SAVEPOINT here")
        await self._ask("SELECT 1 / 0", fails=("22012",))
        await self._ask("ROLLBACK TO SAVEPOINT here")
        self.expect(await self._ask(f"SELECT note FROM entries WHERE note = '{note}'"), [note])
        await self._ask(self.client.random.choice(("COMMIT", "ROLLBACK")))

    async def cancelled(self) -> None:
        """A cancel request of its own."""
        running = asyncio.create_task(self._ask("SELECT pg_sleep(20)", fails=("57014",)))
        while not running.done():
            await rest(0.1)
            if not running.done():
                # The connection may be gone by then, which its statement will say.
                with suppress(psycopg.Error), self.client.cancelling():
                    await self._open.cancel_safe(timeout=5)
        await running

    async def close(self) -> None:
        await self._open.close()

    async def vanish(self) -> None:
        word = self.mark()
        text = f"/* {word} */ SELECT pg_sleep(0.2), repeat('x', 100000)"
        self.client.book.entry(text).times += 1
        # Sent, and not waited for: closing with an answer on its way resets the connection.
        with suppress(psycopg.Error):
            self._open.pgconn.send_query(text.encode())
            self._open.pgconn.flush()
        await rest(self.client.random.uniform(0, 0.3))
        self._open.pgconn.finish()

    def drop(self) -> None:
        if self.connection is not None:
            self.connection.pgconn.finish()
