"""asyncpg: extended protocol with Flush, cursors, COPY, binary types; direct and through."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import ipaddress
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from tests.drivers.conftest import ALL_ROUTES
from tests.drivers.routes import SCHEMA, Leg, Route


@asynccontextmanager
async def connected(
    leg: Leg, *, application_name: str = "", **options: Any
) -> AsyncIterator[asyncpg.Connection]:
    keywords = leg.keywords
    tls: ssl.SSLContext | bool = False
    if leg.sslmode != "disable":
        tls = ssl.create_default_context()
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    connection = await asyncpg.connect(
        host=keywords["host"],
        port=keywords["port"],
        user=keywords["user"],
        password=keywords["password"],
        database=keywords["dbname"],
        ssl=tls,
        server_settings={"search_path": SCHEMA, "application_name": application_name},
        **options,
    )
    try:
        yield connection
    finally:
        await connection.close(timeout=20)


async def attempt(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except asyncpg.PostgresError as error:
        return (type(error).__name__, error.sqlstate, error.as_dict())


VALUES: dict[str, Any] = {
    "bool": True,
    "int2": -5,
    "int8": 2**62,
    "float8": 0.1,
    "numeric": Decimal("-123456789.000000000000000001"),
    "text": "☃ text",
    "bytea": b"\x00\x01\xff",
    "date": dt.date(1999, 12, 31),
    "time": dt.time(23, 59, 59, 999999),
    "timestamp": dt.datetime(2024, 2, 29, 1, 2, 3, 4),  # noqa: DTZ001 - it has no zone
    "timestamptz": dt.datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=dt.UTC),
    "interval": dt.timedelta(days=40, seconds=3, microseconds=9),
    "uuid": uuid.UUID(int=42),
    "json": '{"a": [1, null]}',
    "jsonb": '{"a": [1, null]}',
    "inet": ipaddress.ip_interface("10.1.2.3/8"),
    "cidr": ipaddress.ip_network("fe80::/64"),
    "int4[]": [[1, 2], [3, None]],
    "text[]": ["a", None, 'c"d'],
    "uuid[]": [uuid.UUID(int=1)],
    "numeric[]": [Decimal("1.50"), Decimal("NaN")],
    "int4range": asyncpg.Range(1, 9),
    "point": asyncpg.Point(1.5, -2),
    "bit(5)": asyncpg.BitString("10101"),
}


@pytest.mark.parametrize("route", ALL_ROUTES, indirect=True)
async def test_types_rows_and_errors_are_equal(route: Route) -> None:
    async def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        async with connected(leg) as connection:
            for name, value in VALUES.items():
                row = await connection.fetchrow(f"SELECT $1::{name}, NULL::{name}", value)
                out.append(repr(tuple(row)))
            out.append(await connection.execute("CREATE TABLE t (a int PRIMARY KEY, b text)"))
            out.append(await connection.execute("INSERT INTO t VALUES (1, 'x'); SELECT 2"))
            out.append(await connection.execute("INSERT INTO t VALUES ($1, $2)", 2, "y"))
            out.append([tuple(row) for row in await connection.fetch("TABLE t ORDER BY a")])
            out.append(await connection.fetchval("SELECT b FROM t WHERE a = $1", 2))
            out.append(await connection.fetchrow("SELECT 1 WHERE false"))
            await connection.execute("CREATE TYPE mood AS ENUM ('sad', 'fine')")
            out.append(await connection.fetchval("SELECT $1::mood[]", ["fine", "sad"]))
            for query, *arguments in (
                ("SELEC",),
                ("SELECT 1 / $1::int", 0),
                ("INSERT INTO t VALUES ($1, 'x')", 1),
                ("SELECT never_was FROM t",),
                ("SELECT $1::int", 1),
            ):
                out.append(str(await attempt(connection.fetch(query, *arguments))))
            many = [(n, f"v{n}") for n in range(100, 2100)]
            await connection.executemany("INSERT INTO t VALUES ($1, $2)", many)
            out.append(
                await attempt(
                    connection.executemany("INSERT INTO t VALUES ($1, $2)", [(7, "a"), (100, "b")])
                )
            )
            out.append(tuple(await connection.fetchrow("SELECT count(*), sum(a) FROM t")))
            out.append(connection.get_settings().server_encoding)
            out.append(str(connection.get_server_version()))
            await connection.reset()
        return out

    await route.same_async(script)


async def test_prepared_statements_and_cursors_are_equal(route: Route) -> None:
    async def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        async with connected(leg, statement_cache_size=2) as connection:
            statement = await connection.prepare("SELECT g, $1::text FROM generate_series(1, 99) g")
            out.append([str(p) for p in statement.get_parameters()])
            out.append([str(a) for a in statement.get_attributes()])
            out.append([tuple(row) for row in await statement.fetch("v", timeout=20)])
            async with connection.transaction():
                rows = [tuple(r) async for r in statement.cursor("w", prefetch=7)]
                out.append(rows)
                cursor = await connection.cursor("SELECT generate_series(1, 50)")
                out.append([tuple(row) for row in await cursor.fetch(3)])
                out.append(await cursor.forward(10))
                out.append(tuple(await cursor.fetchrow()))
            for n in range(12):
                out.append(await connection.fetchval(f"SELECT {n % 4} + $1::int", n))
            await connection.execute("CREATE TABLE t (a int)")
            out.append(await connection.fetch("SELECT * FROM t"))
            await connection.execute("ALTER TABLE t ADD b text")
            out.append(await connection.fetch("SELECT * FROM t"))
            async with connection.transaction(isolation="serializable", readonly=True):
                out.append(str(await attempt(connection.execute("INSERT INTO t VALUES (1)"))))
            try:
                async with connection.transaction():
                    await connection.execute("INSERT INTO t VALUES (1)")
                    async with connection.transaction():
                        await connection.execute("SELECT 1 / 0")
            except asyncpg.DivisionByZeroError as error:
                out.append(error.sqlstate)
            out.append(await connection.fetchval("SELECT count(*) FROM t"))
        return out

    await route.same_async(script)


async def test_copy_is_equal(route: Route) -> None:
    async def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        async with connected(leg) as connection:
            await connection.execute("CREATE TABLE t (a int, b text)")
            records = [(n, f"row {n}") for n in range(5000)]
            out.append(await connection.copy_records_to_table("t", records=records))
            text = "".join(f"{n},csv {n}\n" for n in range(100)).encode()
            out.append(await connection.copy_to_table("t", source=io.BytesIO(text), format="csv"))
            query = "SELECT * FROM t WHERE a < $1 ORDER BY a, b"
            for target in ("csv", "binary"):
                into = io.BytesIO()
                out.append(
                    await connection.copy_from_query(
                        query,
                        900,
                        output=into,
                        format=target,
                    )
                )
                out.append(into.getvalue())
            bad = io.BytesIO(b"1,x\nbad,y\n" + b"2,z\n" * 100_000)
            out.append(str(await attempt(connection.copy_to_table("t", source=bad, format="csv"))))
            out.append(await connection.fetchval("SELECT count(*) FROM t"))

            async def broken_source() -> AsyncIterator[bytes]:
                yield b"1,x\n"
                raise ZeroDivisionError

            try:
                await connection.copy_to_table("t", source=broken_source(), format="csv")
            except ZeroDivisionError:
                out.append("broken source")
            out.append(await connection.fetchval("SELECT count(*) FROM t"))
        return out

    await route.same_async(script)


async def test_notifications_and_log_messages_are_equal(route: Route) -> None:
    async def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        got: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        async with connected(leg) as listener, connected(leg) as speaker:
            await listener.add_listener("here", lambda *a: got.put_nowait((a[2], a[3])))
            await speaker.execute("SELECT pg_notify('here', g::text) FROM generate_series(1, 9) g")
            async with asyncio.timeout(20):
                out += [await got.get() for _ in range(9)]
            messages: list[Any] = []
            listener.add_log_listener(lambda _, m: messages.append((m.sqlstate, str(m))))
            await listener.execute("DO $$ BEGIN RAISE WARNING 'careful'; END $$")
            out += messages
        return out

    await route.same_async(script)


async def test_a_timeout_cancels_and_the_session_goes_on(route: Route) -> None:
    async def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        async with connected(leg) as connection:
            for _ in range(3):
                try:
                    # Stopped where the server runs it by then; else it ends in its own time.
                    await connection.execute("SELECT pg_sleep(20)", timeout=0.3)
                except TimeoutError:
                    out.append("timed out")
                out.append(await connection.fetchval("SELECT 'goes on'"))
            task = asyncio.create_task(connection.fetch("SELECT pg_sleep(20)"))
            await asyncio.wait([task], timeout=0.3)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            out.append(task.cancelled())
            out.append(await connection.fetchval("SELECT 'goes on'"))
        return out

    await route.same_async(script)


async def test_many_sessions_at_once_do_not_mix(route: Route) -> None:
    async def one(number: int) -> list[int]:
        async with connected(route.through) as connection:
            return [await connection.fetchval("SELECT $1::int", number * k) for k in range(20)]

    work: Callable[[int], Awaitable[list[int]]] = one
    for number, got in enumerate(await asyncio.gather(*(work(n) for n in range(40)))):
        assert got == [number * k for k in range(20)]
