"""What a client sets by plain words is set on whichever connection it gets, and on no other's.

A client with a server of its own says what is right: the same statements, sent to the data
source itself, must have the same settings after each.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack

import asyncpg
import psycopg
import pytest

from proxy.store import PoolSettings
from tests.hostile.raw import bind, execute, first_column, message, parse, query
from tests.pool.pooled import SOURCE, PooledSource
from tests.pool.test_transactions import pins, raw, value
from tests.servers.loops import run_to_end
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import SCRAM

TWO = PoolSettings("transaction", maximum=2, queue_seconds=30.0)


@pytest.fixture(scope="module")
def two(pool_proxy: ProxyServer, postgres: PostgresServer) -> PooledSource:
    """A source with two connections."""
    return PooledSource(pool_proxy, postgres, "carried", pooling=TWO)


@pytest.fixture(scope="module")
def single(pool_proxy: ProxyServer, postgres: PostgresServer) -> PooledSource:
    """A source with a single connection: each turn is on what another one left."""
    only = PoolSettings("transaction", maximum=1, queue_seconds=30.0)
    return PooledSource(pool_proxy, postgres, "carried-one", pooling=only)


@pytest.fixture
def unpinned(two: PooledSource, single: PooledSource) -> Iterator[None]:
    """Nothing of the test keeps a connection."""
    before = pins(two)
    yield
    assert pins(two) == before


def test_each_has_its_own_settings_on_one_connection(single: PooledSource, unpinned: None):
    with ExitStack() as stack:
        sessions = [stack.enter_context(single.session()) for _ in range(4)]
        for at, session in enumerate(sessions[:3]):
            session.execute(f"SET work_mem = '{at + 5}MB'")
        for _ in range(2):
            shown = [one.execute("SHOW work_mem").fetchone() for one in sessions]
            assert shown == [("5MB",), ("6MB",), ("7MB",), ("4MB",)]
        pids = {one.execute("SELECT pg_backend_pid()").fetchone() for one in sessions}
        assert len(pids) == 1


def test_a_setting_that_the_server_reports_is_told_to_its_client_alone(
    single: PooledSource, unpinned: None
):
    with single.session() as first, single.session() as second:
        first.execute("SET TimeZone = 'Asia/Kathmandu'")
        second.execute("SET application_name TO 'second'")
        for _ in range(3):
            assert first.execute("SHOW TimeZone").fetchone() == ("Asia/Kathmandu",)
            assert second.execute("SHOW TimeZone").fetchone() != ("Asia/Kathmandu",)
            assert first.info.parameter_status("TimeZone") == "Asia/Kathmandu"
            assert second.info.parameter_status("TimeZone") != "Asia/Kathmandu"
            assert second.info.parameter_status("application_name") == "second"
            assert first.info.parameter_status("application_name") != "second"
            shown = second.execute("SHOW application_name").fetchone()
            assert shown == ("second",)


def test_settings_hold_in_transactions_and_pipelines(two: PooledSource, unpinned: None):
    with two.session() as first, two.session() as second:
        first.execute("SET work_mem = '5MB'")
        second.execute("SET work_mem = '6MB'")
        with first.transaction(), second.transaction():
            assert second.execute("SHOW work_mem").fetchone() == ("6MB",)
            assert first.execute("SHOW work_mem").fetchone() == ("5MB",)
        with first.pipeline():
            shown = [first.execute("SHOW work_mem") for _ in range(3)]
        assert [one.fetchone() for one in shown] == [("5MB",)] * 3
        first.prepare_threshold = 0
        assert first.execute("SELECT current_setting(%s)", ("work_mem",)).fetchone() == ("5MB",)


def test_a_set_in_the_extended_protocol_is_carried_too(single: PooledSource, unpinned: None):
    # As pgjdbc says its own at each login.
    with raw(single) as first, raw(single) as second:
        first.send(
            parse("", "SET extra_float_digits = 3") + bind("", "") + execute() + message(b"S")
        )
        first.until(b"Z")
        assert value(second, "SHOW extra_float_digits") == "1"
        assert value(first, "SHOW extra_float_digits") == "3"
        # And once more, with the statement that is still there.
        first.send(query("RESET ALL"))
        first.until(b"Z")
        assert value(second, "SHOW extra_float_digits") == "1"
        assert value(first, "SHOW extra_float_digits") == "1"


def test_asyncpgs_pool_takes_back_what_was_set(single: PooledSource, unpinned: None):
    async def work() -> list[str]:
        shown = []
        async with asyncpg.create_pool(
            host="127.0.0.1",
            port=single.proxy.port,
            user=single.name,
            password=single.token,
            database=SOURCE,
            min_size=2,
            max_size=2,
        ) as pool:
            async with pool.acquire() as one:
                await one.execute("SET work_mem = '5MB'")
                shown.append(await one.fetchval("SHOW work_mem"))
            async with pool.acquire() as one, pool.acquire() as other:
                shown.append(await one.fetchval("SHOW work_mem"))
                shown.append(await other.fetchval("SHOW work_mem"))
        return shown

    assert run_to_end(work()) == ["5MB", "4MB", "4MB"]


def test_a_set_that_fails_sets_nothing(single: PooledSource, unpinned: None):
    with single.session() as first, single.session() as second:
        first.execute("SET work_mem = '5MB'")
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            first.execute("SET work_mem = 'much'")
        assert second.execute("SHOW work_mem").fetchone() == ("4MB",)
        assert first.execute("SHOW work_mem").fetchone() == ("5MB",)


# What of a setting cannot be carried keeps the connection: each ends with the value that a
# server of its own would show.
PINNING = {
    "in a transaction": ([query("BEGIN"), query("SET work_mem = '5MB'"), query("COMMIT")], "5MB"),
    "undone": ([query("BEGIN"), query("SET work_mem = '5MB'"), query("ROLLBACK")], "4MB"),
    "undone in one pipeline": (
        [
            parse("", "BEGIN") + bind("", "") + execute()
            + parse("", "SET work_mem = '5MB'") + bind("", "") + execute()
            + parse("", "ROLLBACK") + bind("", "") + execute() + message(b"S")
        ],
        "4MB",
    ),
    "undone by an error behind it": (
        [
            parse("", "SET work_mem = '5MB'") + bind("", "") + execute()
            + parse("", "SELECT 1/0") + bind("", "") + execute() + message(b"S")
        ],
        "4MB",
    ),
    "one of two taken back": (
        [query("SET work_mem = '5MB'"), query("SET jit = off"), query("RESET jit")], "5MB",
    ),
    "two in one packet": (
        [query("SET work_mem = '5MB'") + query("SET work_mem = '6MB'")], "6MB",
    ),
    "with a name": (
        [parse("named", "SET work_mem = '5MB'") + bind("", "named") + execute() + message(b"S")],
        "5MB",
    ),
    "reset and undone": (
        [query("SET work_mem = '5MB'"), query("BEGIN; RESET ALL; ROLLBACK")], "5MB",
    ),
    "longer than are kept": (
        [query(f"SET my.setting_{at} = '{'x' * 400}'") for at in range(5)]
        + [query("SET work_mem = '5MB'")],
        "5MB",
    ),
    "more than are kept": (
        [query(f"SET my.setting_{at} = 1") for at in range(21)] + [query("SET work_mem = '5MB'")],
        "5MB",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", PINNING)
def test_what_cannot_be_carried_keeps_its_connection(single: PooledSource, what: str):
    packets, expected = PINNING[what]
    before = pins(single)["setting"]
    with raw(single) as first, raw(single) as second:
        assert value(second, "SHOW work_mem") == "4MB"
        for packet in packets:
            first.send(packet)
            for _ in range(max(1, packet.count(b"SET work_mem") if packet[:1] == b"Q" else 1)):
                first.until(b"Z")
        assert value(first, "SHOW work_mem") == expected
        second.send(query("SHOW work_mem"))
        assert value(first, "SHOW work_mem") == expected
        first.close()
        assert first_column(second.until(b"Z")) == ["4MB"]
    assert pins(single)["setting"] == before + 1


STEPS = (
    "SET work_mem = '5MB'",
    "SET work_mem = '6MB'",
    "SET SESSION TimeZone TO 'Asia/Kathmandu'",
    "SET TimeZone TO 'UTC'",
    "SET application_name = 'one'",
    "SET application_name = 'two'",
    "SET my.own = 'x'",
    "SET search_path TO pg_catalog, public",
    "SET work_mem = 'wrong'",
    "RESET ALL",
    "SELECT 1; RESET ALL",
    "DISCARD ALL",
    "SELECT 1",
    "BEGIN; SET LOCAL work_mem = '7MB'; COMMIT",
)
SHOWN = (
    "SELECT current_setting('work_mem'), current_setting('TimeZone'),"
    " current_setting('application_name'), current_setting('my.own', true),"
    " current_setting('search_path')"
)


@pytest.mark.parametrize("seed", range(6))
def test_many_clients_have_what_they_would_have_alone(
    two: PooledSource, postgres: PostgresServer, unpinned: None, seed: int
):
    chance = random.Random(seed)
    with ExitStack() as stack:
        shared = [stack.enter_context(two.session(application_name="begun")) for _ in range(4)]
        alone = [
            stack.enter_context(
                psycopg.connect(postgres.dsn(SCRAM), autocommit=True, application_name="begun")
            )
            for _ in shared
        ]
        for session in (*shared, *alone):
            # DISCARD ALL removes what the driver has prepared unasked, there as here.
            session.prepare_threshold = None
        for _ in range(60):
            at = chance.randrange(len(shared))
            step = chance.choice(STEPS)
            for session in (shared[at], alone[at]):
                try:
                    session.execute(step)
                except psycopg.errors.InvalidParameterValue:
                    assert "wrong" in step
            looked_at = chance.randrange(len(shared))
            told = [one[looked_at].execute(SHOWN).fetchone() for one in (shared, alone)]
            # What a SET has made known stays known, empty, to a server of one's own.
            assert [row and (*row[:3], row[3] or None, row[4]) for row in told[:1]] == [
                row and (*row[:3], row[3] or None, row[4]) for row in told[1:]
            ]
            for name in ("TimeZone", "application_name"):
                told = [one[looked_at].info.parameter_status(name) for one in (shared, alone)]
                assert told[0] == told[1]
