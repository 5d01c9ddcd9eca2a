"""More clients of real drivers than connections, all at once, each with its own answers."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
import pytest
import sqlalchemy

from policies.document import read_policy
from proxy.store import PoolSettings, Store, Workspace
from tests.hostile.raw import RawClient, query
from tests.pool.pooled import SOURCE, PooledSource
from tests.servers.loops import run_to_end
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer

FEW = PoolSettings("transaction", maximum=3, queue_seconds=60.0)
CLIENTS = 10
TURNS = 12
_NUMBERS = count()


@pytest.fixture
def few(pool_proxy: ProxyServer, postgres: PostgresServer) -> PooledSource:
    """A source with three connections."""
    return PooledSource(pool_proxy, postgres, f"few{next(_NUMBERS)}", pooling=FEW)


def crowd(work: Callable[[int], None]) -> None:
    """Run it for each client at once; what one raises is raised."""
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)


def test_psycopg_with_prepared_statements(few: PooledSource):
    def work(number: int) -> None:
        with few.session() as session:
            session.prepare_threshold = 0
            session.prepared_max = 4
            for turn in range(TURNS):
                sql = f"SELECT %s::int, %s::text, {turn % 6}"
                assert session.execute(sql, (number, "x" * turn)).fetchone() == (
                    number, "x" * turn, turn % 6,
                )  # fmt: skip
                with pytest.raises(psycopg.errors.DivisionByZero):
                    session.execute("SELECT 1 / %s::int", (0,))

    crowd(work)


def test_psycopg_in_pipelines(few: PooledSource):
    def work(number: int) -> None:
        with few.session() as session:
            session.prepare_threshold = 1
            for turn in range(TURNS):
                with session.pipeline():
                    cursors = [
                        session.execute("SELECT %s::int + %s::int", (number, n + turn))
                        for n in range(5)
                    ]
                assert [cursor.fetchone() for cursor in cursors] == [
                    (number + n + turn,) for n in range(5)
                ]

    crowd(work)


def test_asyncpg(few: PooledSource):
    url = few.proxy.url(few.name, few.token, SOURCE)

    async def one(number: int) -> None:
        connection: Any = await asyncpg.connect(url, statement_cache_size=3)
        try:
            for turn in range(TURNS):
                sql = f"SELECT $1::int AS n, {turn % 5} AS turn"
                assert tuple(await connection.fetchrow(sql, number)) == (number, turn % 5)
                async with connection.transaction():
                    rows = [
                        row["g"]
                        async for row in connection.cursor("SELECT generate_series(1, 120) g")
                    ]
                assert rows == list(range(1, 121))
            await connection.reset()
        finally:
            await connection.close()

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(CLIENTS)))

    run_to_end(main())


def test_pg8000(few: PooledSource):
    def work(number: int) -> None:
        connection = pg8000.dbapi.connect(
            user=few.name, password=few.token, database=SOURCE,
            host=few.proxy.host, port=few.proxy.port,
        )  # fmt: skip
        try:
            for turn in range(TURNS):
                cursor = connection.cursor()
                cursor.execute("SELECT %s, %s", (number, turn))
                assert [list(row) for row in cursor.fetchall()] == [[str(number), str(turn)]]
                connection.commit()
        finally:
            connection.close()

    crowd(work)


def test_sqlalchemy(few: PooledSource):
    url = few.proxy.url(few.name, few.token, SOURCE).replace(
        "postgresql://", "postgresql+psycopg://"
    )
    engine = sqlalchemy.create_engine(url, pool_size=CLIENTS)
    try:

        def work(number: int) -> None:
            for turn in range(TURNS):
                with engine.begin() as connection:
                    found = connection.execute(
                        sqlalchemy.text("SELECT :number + :turn"), {"number": number, "turn": turn}
                    )
                    assert found.scalar_one() == number + turn

        crowd(work)
    finally:
        engine.dispose()


def test_psql(few: PooledSource):
    def work(number: int) -> None:
        dsn = few.proxy.dsn(few.name, few.token, SOURCE)
        out = subprocess.run(
            ["psql", dsn, "-XAtq"], input=f"SELECT {number};\nSELECT 'done {number}';\n",
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert out.stdout.split("\n")[:2] == [str(number), f"done {number}"]

    crowd(work)


def test_large_rows_to_a_slow_reader_and_others_meanwhile(few: PooledSource):
    """The server's connection is released as soon as it has said all, whoever has not read it."""
    slow = RawClient(few.proxy.port, receive_buffer=4096)
    slow.log_in(few.name, few.token, SOURCE)
    slow.send(query("SELECT repeat('x', 100000) FROM generate_series(1, 200)"))
    with few.session() as session:
        for _ in range(TURNS):
            assert session.execute("SELECT 1").fetchone() == (1,)
    assert sum(len(body) for code, body in slow.until(b"Z") if code == b"D") > 20_000_000
    slow.send(query("SELECT 'goes on'"))
    assert slow.until(b"Z")[-1] == (b"Z", b"I")
    slow.close()


def test_protocol_3_2(few: PooledSource):
    with RawClient(few.proxy.port) as client:
        client.log_in(few.name, few.token, SOURCE, version=(3, 2))
        assert client.key is not None
        assert len(client.key.secret) == 32
        assert client.value("SELECT 'three two'") == "three two"


# --- policies ----------------------------------------------------------------------------


def set_policy(pooled: PooledSource, text: str) -> None:
    async def work(store: Store, workspace: Workspace) -> None:
        await store.policies.set_of_workspace(workspace, read_policy(text, "toml"))

    pooled.change(work)
    pooled.catch_up()


def test_a_policy_holds_in_each_transaction(few: PooledSource):
    set_policy(few, 'version = 1\naccess = "read-only"\n[limits]\nresult_rows = 50\n')
    with few.session() as first, few.session() as second:
        for session in (first, second, first):
            session.prepare_threshold = 0
            assert session.execute("SHOW default_transaction_read_only").fetchone() == ("on",)
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="refused by policy"):
                session.execute("CREATE TABLE policy_turn (n int)")
            with pytest.raises(psycopg.Error, match="50"):
                session.execute("SELECT generate_series(1, 1000)").fetchall()
            rows = session.execute("SELECT generate_series(1, %s::int)", (40,)).fetchall()
            assert len(rows) == 40


def test_a_statement_that_takes_too_long_is_stopped_and_nothing_else(few: PooledSource):
    set_policy(few, 'version = 1\naccess = "full"\n[limits]\nstatement_seconds = 1\n')
    with few.session() as first, few.session() as second:
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement_seconds"):
            first.execute("SELECT pg_sleep(30)")
        for session in (second, first):
            assert session.execute("SELECT 'goes on'").fetchone() == ("goes on",)
