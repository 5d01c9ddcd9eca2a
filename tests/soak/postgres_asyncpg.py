"""A client with asyncpg: prepared statements, portals, pipelined executions, cancels."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import asyncpg

from tests.soak.client import Client, Mixed, Session, is_lost
from tests.soak.disturbances import LOST
from tests.soak.pace import rest

# The driver's word, InternalClientError, for a FATAL that came while nothing was asked.
_DRIVERS = (asyncpg.InterfaceError, asyncpg.InternalClientError)
_ERRORS = (asyncpg.PostgresError, *_DRIVERS, OSError, EOFError)
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


class AsyncpgClient(Client):
    """See ``Client``."""

    errors = _ERRORS

    def new_session(self) -> Session:
        return AsyncpgSession(self)

    def kind_of(self, error: Exception) -> str:
        if isinstance(error, _DRIVERS) or is_lost(error):
            return LOST
        code = str(getattr(error, "sqlstate", "") or "timeout")
        # What the driver raises itself where the connection is gone.
        return LOST if code in ("08000", "08003", "08006") else code


class AsyncpgSession(Session):
    """See ``Session``."""

    connection: Any = None

    async def open(self) -> None:
        access = self.client.access
        self.connection = await asyncpg.connect(
            host="127.0.0.1",
            port=access.ports["postgresql"],
            user=self.place.workspace,
            password=access.tokens[self.place.workspace],
            database=self.place.source,
            ssl=False,
            timeout=25,
        )
        self.number = self.connection.get_server_pid()
        self.backend = await self.connection.fetchval("SELECT pg_backend_pid()")

    async def look_around(self) -> None:
        mark = self.mark()
        text = (
            f"/* {mark} */ SELECT current_user::text || coalesce(to_regclass('pg_temp.mine')::text,"
            " '') || coalesce(current_setting('soak.owner', true), '')"
        )
        if self.is_light:
            found = await self.run(self.connection.fetchval(text), text)
            self.expect(found, self.place.account)
            return
        # Where connections are shared, this makes it the session's own.
        text += (
            " || (SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%soak:%'"
            f" AND statement NOT LIKE '%{mark} %')::text"
        )
        self.expect(await self.run(self.connection.fetchval(text), text), f"{self.place.account}0")
        texts = (
            f"/* {self.mark()} */ SET soak.owner = '{self.client.name}'",
            f"/* {self.mark()} */ CREATE TEMPORARY TABLE mine (note text)",
        )
        for text in texts:
            await self.run(self.connection.execute(text), text)

    @property
    def steps(self) -> Sequence[Callable[[], Awaitable[None]]]:
        return (
            self.extended,
            self.prepared,
            self.portal,
            self.copy_out,
            self.copy_in,
            self.pipelined,
            self.several,
            self.mistakes,
            self.failed_transaction,
            self.transaction,
            self.cancelled,
        )

    async def extended(self) -> None:
        """A text of its own, with a bound value."""
        value = self.mark()
        text = f"/* {self.mark()} */ SELECT $1::text || current_user"
        found = await self.run(self.connection.fetchval(text, value), (text, [value]))
        self.expect(found, f"{value}{self.place.account}")

    async def prepared(self) -> None:
        """Prepared once, executed many times."""
        text = f"/* {self.mark()} */ SELECT $1::text"
        statement = await self.client.bounded(self.connection.prepare(text))
        for _ in range(self.client.random.randint(2, 15)):
            value = self.mark()
            found = await self.run(statement.fetchval(value), (text, [value]))
            self.expect(found, value)

    async def portal(self) -> None:
        """Rows in parts: an Execute for each."""
        begin, end = f"/* {self.mark()} */ BEGIN", f"/* {self.mark()} */ COMMIT"
        await self.run(self.connection.execute(begin), begin)
        value = self.mark()
        text = f"/* {self.mark()} */ SELECT $1::text || n FROM generate_series(1, 30) AS n"
        cursor = await self.client.bounded(self.connection.cursor(text, value))
        for first in (1, 13, 25):
            rows = await self.run(cursor.fetch(12), (text, [value]))
            self.expect(rows[0][0] if rows else None, f"{value}{first}")
        await self.run(self.connection.execute(end), end)

    async def copy_out(self) -> None:
        """COPY TO STDOUT."""
        mark = self.mark()
        query = f"/* {mark} */ SELECT repeat('{self.client.name}', 20) FROM generate_series(1, 500)"
        parts: list[bytes] = []

        async def take(data: bytes) -> None:
            parts.append(data)

        work = self.connection.copy_from_query(query, output=take)
        await self.run(work, query)
        line = self.client.name.encode() * 20 + b"\n"
        self.expect(b"".join(parts), line * 500)

    async def copy_in(self) -> None:
        """COPY FROM STDIN; the driver makes the text, which has no mark."""
        rows = [(self.client.name,) for _ in range(50)]
        if self.is_light:
            await self._execute("BEGIN")
            await self._execute("CREATE TEMPORARY TABLE mine (note text) ON COMMIT DROP")
        await self.client.bounded(
            self.connection.copy_records_to_table("mine", records=rows, columns=["note"])
        )
        if self.is_light:
            await self._execute("COMMIT")

    async def pipelined(self) -> None:
        """Many executions sent ahead of their answers."""
        text = f"/* {self.mark()} */ INSERT INTO entries (owner, note) VALUES (current_user, $1)"
        values = [self.mark() for _ in range(20)]
        work = self.connection.executemany(text, [(value,) for value in values])
        await self.run(work, *((text, [value]) for value in values))

    async def several(self) -> None:
        """Several statements in one text."""
        marks = [self.mark() for _ in range(3)]
        text = "; ".join(f"/* {mark} */ SELECT 1" for mark in marks)
        await self.run(self.connection.execute(text), text)

    async def mistakes(self) -> None:
        """What the server reads and refuses, cannot read, and fails to do."""
        for words, code in (
            ("SELECT 1 / 0", "22012"),
            ("SELECT nothing FROM never_made", "42P01"),
            ("SELEC", "42601"),
        ):
            text = f"/* {self.mark()} */ {words}"
            await self.run(self.connection.execute(text), text, fails=(code, *_POLICY))
        text = f"/* {self.mark()} */ SELECT no_such_column"
        await self.run(self.connection.fetch(text), text, fails=("42703", *_POLICY))

    async def failed_transaction(self) -> None:
        """What follows an error within a transaction is refused by the server."""
        for words, fails in (
            ("BEGIN", ()),
            ("SELECT 1 / 0", ("22012",)),
            ("SELECT 'too late'", ("25P02",)),
            ("ROLLBACK", ()),
        ):
            text = f"/* {self.mark()} */ {words}"
            await self.run(self.connection.execute(text), text, fails=fails)

    async def transaction(self) -> None:
        """Writes, and sees them, and nobody else's."""
        note = self.mark()
        end = self.client.random.choice(("COMMIT", "ROLLBACK"))
        for words in (
            "BEGIN",
            f"INSERT INTO entries (owner, note) VALUES (current_user, '{note}')",
            f"UPDATE entries SET note = note || '+' WHERE note = '{note}'",
        ):
            text = f"/* {self.mark()} */ {words}"
            await self.run(self.connection.execute(text), text)
        text = f"/* {self.mark()} */ SELECT count(*) FROM entries WHERE owner <> current_user"
        self.expect(await self.run(self.connection.fetchval(text), text), 0)
        text = f"/* {self.mark()} */ {end}"
        await self.run(self.connection.execute(text), text)

    async def cancelled(self) -> None:
        """A cancel request of its own, by the driver's time limit."""
        text = f"/* {self.mark()} */ SELECT pg_sleep(20)"

        async def too_long() -> None:
            try:
                await self.connection.execute(text, timeout=0.1)
            except (TimeoutError, asyncpg.QueryCanceledError):
                return
            raise Mixed("a statement of 20 s ended within 0.1 s")

        is_shared = self.place.kind.is_shared
        if is_shared:
            # While it waits for a connection nothing can be cancelled ("docs/limits").
            await self._execute("BEGIN")
        entry = self.client.book.entry(text)
        entry.times += 1
        with self.client.cancelling():
            await self.client.bounded(too_long())
        if is_shared:
            await self._execute("ROLLBACK")
        # The connection is the same as before, to its client.
        await self.extended()

    async def _execute(self, words: str) -> None:
        text = f"/* {self.mark()} */ {words}"
        await self.run(self.connection.execute(text), text)

    async def close(self) -> None:
        await self.connection.close()

    async def vanish(self) -> None:
        text = f"/* {self.mark()} */ SELECT pg_sleep(0.2), repeat('x', 100000)"
        self.client.book.entry(text).times += 1
        running = asyncio.create_task(self.connection.execute(text))
        await rest(self.client.random.uniform(0, 0.3))
        # No driver offers a reset: it takes a way in.
        transport = self.connection._transport
        found = transport.get_extra_info("socket") if transport else None
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.connection.terminate()
        with suppress(*_ERRORS):
            await running

    def drop(self) -> None:
        if self.connection is not None:
            self.connection.terminate()


_POLICY = ("42501",)
