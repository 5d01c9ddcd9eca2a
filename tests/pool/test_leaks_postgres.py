"""Nothing that one client did to its PostgreSQL session is there for the next one."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.pool.pooled import PooledSource
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import SCRAM

Rows = list[tuple[Any, ...]]

# What a client does, and a question whose answer would show it.
STATE = {
    "a temporary table": (
        ["CREATE TEMP TABLE leaked (n int)"],
        "SELECT count(*) FROM pg_class WHERE relname = 'leaked'",
    ),
    "a statement prepared in SQL": (
        ["PREPARE leaked AS SELECT 1"],
        "SELECT count(*) FROM pg_prepared_statements",
    ),
    "an advisory lock": (
        ["SELECT pg_advisory_lock(4711)"],
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    ),
    "a setting": (["SET work_mem = '4711kB'"], "SHOW work_mem"),
    "a setting that is reported": (["SET TimeZone = 'Asia/Kathmandu'"], "SHOW TimeZone"),
    "a read-only default": (
        ["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"],
        "SHOW transaction_read_only",
    ),
    "an isolation level": (
        ["SET default_transaction_isolation = 'serializable'"],
        "SHOW transaction_isolation",
    ),
    "a setting of the client's own": (
        ["SET app.tenant = 'leaked'"],
        "SELECT nullif(current_setting('app.tenant', true), '')",
    ),
    "a channel": (["LISTEN leaked"], "SELECT count(*) FROM pg_listening_channels()"),
    "a cursor that outlives its transaction": (
        ["BEGIN", "DECLARE leaked CURSOR WITH HOLD FOR SELECT 1", "COMMIT"],
        "SELECT count(*) FROM pg_cursors",
    ),
    "a role": (["SET ROLE pool_other"], "SELECT current_user"),
    "an open transaction": (
        ["BEGIN", "CREATE TABLE pool_open (n int)"],
        "SELECT count(*) FROM pg_class WHERE relname = 'pool_open'",
    ),
    "a failed transaction": (["BEGIN", "SELECT 1/0"], "SELECT 1"),
    "the seed of random()": (
        ["SELECT setseed(0.5)"],
        "SELECT random() = 0.9851677175347999 OR random() = 0.25",
    ),
    "an encoding": (["SET client_encoding = 'LATIN1'"], "SHOW client_encoding"),
    "a search path": (["SET search_path = pg_catalog"], "SHOW search_path"),
}


@pytest.fixture(scope="module", autouse=True)
def other_role(postgres: Any) -> None:
    postgres.execute("DROP ROLE IF EXISTS pool_other")
    postgres.execute(f"CREATE ROLE pool_other; GRANT pool_other TO {SCRAM.name}")
    postgres.execute(f"GRANT CREATE ON SCHEMA public TO {SCRAM.name}")


def run(connection: psycopg.Connection[Any], statements: list[str]) -> None:
    for text in statements:
        try:
            connection.execute(text)
        except psycopg.errors.DivisionByZero:
            assert connection.info.transaction_status.name == "INERROR"


def pid(connection: psycopg.Connection[Any]) -> int:
    # Not what the client was told, which is a number of the proxy's.
    return int(connection.execute("SELECT pg_backend_pid()").fetchall()[0][0])


@pytest.mark.parametrize("name", STATE)
def test_the_next_client_finds_nothing_of(name: str, pooled: PooledSource):
    statements, question = STATE[name]
    with pooled.session() as fresh:
        expected = fresh.execute(question).fetchall()
        reported = dict_of(fresh)
        used = pid(fresh)
        run(fresh, statements)
    pooled.settle()
    with pooled.session() as second:
        assert second.execute(question).fetchall() == expected
        assert dict_of(second) == reported
        assert pid(second) == used


def test_the_state_is_there_while_its_client_is(pooled: PooledSource):
    """Else the test above would compare nothing."""
    for name, (statements, question) in STATE.items():
        with pooled.session() as client:
            before = client.execute(question).fetchall()
            run(client, statements)
            if name == "a failed transaction":
                continue
            assert client.execute(question).fetchall() != before, name


def dict_of(connection: psycopg.Connection[Any]) -> dict[str, str | None]:
    names = ("TimeZone", "client_encoding", "DateStyle", "application_name", "server_version")
    return {name: connection.info.parameter_status(name) for name in names}


def test_a_prepared_statement_of_a_driver_is_gone(pooled: PooledSource):
    with pooled.session() as first:
        for _ in range(3):
            first.execute("SELECT 'kept'", prepare=True)
    pooled.settle()
    with pooled.session() as second:
        # The driver gives the same name to its own.
        second.execute("SELECT 'mine'", prepare=True)
        assert second.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (1,)


def test_a_sequence_has_no_current_value(pooled: PooledSource):
    with pooled.session() as first:
        first.execute("CREATE SEQUENCE pool_sequence")
        first.execute("SELECT nextval('pool_sequence')")
        assert first.execute("SELECT lastval()").fetchone() == (1,)
    pooled.settle()
    with pooled.session() as second:
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            second.execute("SELECT currval('pool_sequence')")
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            second.execute("SELECT lastval()")
        second.execute("DROP SEQUENCE pool_sequence")


def test_a_notification_for_the_client_before_is_not_told(pooled: PooledSource):
    with pooled.session() as first:
        first.execute("LISTEN leaked")
        used = pid(first)
    pooled.settle()
    with pooled.session() as second, pooled.session() as third:
        assert pid(second) == used
        third.execute("NOTIFY leaked, 'to nobody'")
        second.execute("SELECT 1")
        assert list(second.notifies(timeout=0, stop_after=1)) == []


def test_a_role_that_the_login_chose_is_chosen_again(
    pool_proxy: ProxyServer, own_postgres: PostgresServer
):
    own_postgres.execute(f"CREATE ROLE pool_born; GRANT pool_born TO {SCRAM.name}")
    own_postgres.execute(f"ALTER ROLE {SCRAM.name} SET role = 'pool_born'")
    pooled = PooledSource(pool_proxy, own_postgres, "born")
    seen = []
    for _ in range(2):
        with pooled.session() as client:
            assert client.execute("SELECT current_user").fetchone() == ("pool_born",)
            client.execute("SET ROLE NONE")
            seen.append(pid(client))
        pooled.settle()
    assert seen[0] == seen[1]
