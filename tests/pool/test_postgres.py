"""What a pooled source's clients and server do to each other, on a real PostgreSQL."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from time import monotonic

import psycopg
import pytest

from proxy.store import PoolSettings
from tests.hostile.raw import (
    TERMINATE,
    RawClient,
    bind,
    execute,
    first_column,
    message,
    parse,
    query,
    send_cancel,
)
from tests.pool.pooled import POOLED, SOURCE, PooledSource
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer, Record
from tests.servers.waiting import wait_until

ONE = PoolSettings("session", maximum=1, queue_seconds=20.0)
_NUMBERS = count()


@pytest.fixture
def one(pool_proxy: ProxyServer, postgres: PostgresServer) -> PooledSource:
    """A source with a single connection."""
    return PooledSource(pool_proxy, postgres, f"one{next(_NUMBERS)}", pooling=ONE)


@pytest.fixture
def own(pool_proxy: ProxyServer, own_postgres: PostgresServer) -> PooledSource:
    """A pooled source on a server of the test's own."""
    return PooledSource(pool_proxy, own_postgres, f"own{next(_NUMBERS)}")


def raw(pooled: PooledSource) -> RawClient:
    client = RawClient(pooled.proxy.port)
    return client.log_in(pooled.name, pooled.token, SOURCE)


def value(client: RawClient, sql: str) -> str:
    client.send(query(sql))
    return first_column(client.until(b"Z"))[0]


def pid_of(pooled: PooledSource) -> str:
    with raw(pooled) as client:
        return value(client, "SELECT pg_backend_pid()")


def runs(server: PostgresServer, text: str) -> bool:
    sql = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE state = 'active' AND query LIKE %s AND pid <> pg_backend_pid()"
    )
    return bool(server.execute(sql, (f"%{text}%",))[0][0])


def wait_until_running(pooled: PooledSource, text: str) -> None:
    wait_until(lambda: runs(pooled.server, text), what=f"{text} to run")


def wait_until_stopped(pooled: PooledSource, text: str) -> None:
    wait_until(lambda: not runs(pooled.server, text), what=f"{text} to stop")


# --- the welcome -------------------------------------------------------------------------


def test_a_second_client_is_told_what_the_first_was_told_and_a_key_of_its_own(one: PooledSource):
    with raw(one) as first:
        told, key, pid = first.parameters, first.key, value(first, "SELECT pg_backend_pid()")
    one.settle()
    with raw(one) as second:
        assert second.parameters == told
        assert second.key != key
        assert value(second, "SELECT pg_backend_pid()") == pid


def test_clients_with_other_settings_have_other_connections(pooled: PooledSource):
    with pooled.session(application_name="one") as first:
        pid = first.execute("SELECT pg_backend_pid()").fetchone()
    pooled.settle()
    with pooled.session(application_name="two") as second:
        assert second.execute("SELECT pg_backend_pid()").fetchone() != pid
        assert second.execute("SHOW application_name").fetchone() == ("two",)
    pooled.settle()
    with pooled.session(application_name="one") as third:
        assert third.execute("SELECT pg_backend_pid()").fetchone() == pid
        assert third.execute("SHOW application_name").fetchone() == ("one",)


def test_no_connection_crosses_a_workspace(pool_proxy: ProxyServer, postgres: PostgresServer):
    ours = PooledSource(pool_proxy, postgres, "ours")
    theirs = PooledSource(pool_proxy, postgres, "theirs")
    assert {pid_of(ours) for _ in range(3)}.isdisjoint(pid_of(theirs) for _ in range(3))


# --- the records -------------------------------------------------------------------------


def test_the_log_says_whose_connection_a_session_has_and_when_the_credential_was_used(
    one: PooledSource,
):
    for _ in range(3):
        pid_of(one)
        one.settle()

    def of_source(message: str) -> list[Record]:
        return [
            record["unmapped"]
            for record in one.proxy.audit_events()
            if record.get("message") == message and record["dst_endpoint"]["uid"] == one.source.id
        ]

    seen: set[str] = set()
    for record in of_source("Session opened"):
        assert record["is_connection_reused"] == (record["upstream_connection"] in seen)
        seen.add(record["upstream_connection"])
    # One use for each connection, not for each session.
    assert len(of_source("Credential use")) == len(seen)
    assert len(of_source("Session opened")) > len(seen)


# --- the queue ---------------------------------------------------------------------------


def test_a_client_waits_for_the_only_connection_and_gets_it(one: PooledSource):
    served: list[str] = []
    with raw(one) as first:
        pid = value(first, "SELECT pg_backend_pid()")
        thread = threading.Thread(target=lambda: served.append(pid_of(one)))
        thread.start()
        wait_until(
            lambda: one.proxy.metrics()["sessions{state=connecting}"] == 1, what="a client to wait"
        )
        assert served == []
    thread.join(30)
    assert served == [pid]


def test_a_client_that_has_waited_too_long_is_told_so(
    pool_proxy: ProxyServer, postgres: PostgresServer
):
    impatient = PoolSettings("session", maximum=1, queue_seconds=1.0)
    pooled = PooledSource(pool_proxy, postgres, "impatient", pooling=impatient)
    with raw(pooled):
        started = monotonic()
        with pytest.raises(psycopg.OperationalError, match="source are in use") as told:
            pooled.connect()
        assert monotonic() - started >= 1.0
        assert "FATAL" in str(told.value)
    assert pid_of(pooled)


def test_more_clients_than_connections_are_all_served(
    pool_proxy: ProxyServer, postgres: PostgresServer
):
    few = PoolSettings("session", maximum=3, queue_seconds=60.0)
    pooled = PooledSource(pool_proxy, postgres, "crowd", pooling=few)
    seen: list[str] = []
    threads = [
        threading.Thread(target=lambda: seen.extend(pid_of(pooled) for _ in range(5)))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert len(seen) == 60
    # Fewer processes than sessions, and a connection is only ever one client's at a time.
    assert len(set(seen)) < 20


# --- clients that leave ------------------------------------------------------------------


def test_a_client_that_hangs_up_has_its_statement_stopped_and_leaves_the_connection(
    one: PooledSource,
):
    client = raw(one)
    pid = value(client, "SELECT pg_backend_pid()")
    client.send(query("SELECT pg_sleep(60), 'hung up'"))
    wait_until_running(one, "hung up")
    client.close()
    wait_until_stopped(one, "hung up")
    assert pid_of(one) == pid


def test_a_client_that_says_goodbye_behind_its_statement_has_it_done(one: PooledSource):
    with raw(one) as other:
        value(other, "SELECT 1")
        other.send(query("DROP TABLE IF EXISTS pool_goodbye; CREATE TABLE pool_goodbye (n int)"))
        other.until(b"Z")
    client = raw(one)
    pid = value(client, "SELECT pg_backend_pid()")
    client.send(query("INSERT INTO pool_goodbye SELECT 1 FROM pg_sleep(1)") + TERMINATE)
    client.close()
    with raw(one) as second:
        assert value(second, "SELECT count(*) FROM pool_goodbye") == "1"
        assert value(second, "SELECT pg_backend_pid()") == pid


def test_a_client_that_dies_in_the_middle_of_copy_takes_the_connection_with_it(one: PooledSource):
    client = raw(one)
    pid = value(client, "SELECT pg_backend_pid()")
    client.send(query("CREATE TEMP TABLE t (n text)"))
    client.until(b"Z")
    client.send(query("COPY t FROM STDIN"))
    client.until(b"G")
    client.send(message(b"d", b"half a row"))
    client.close()
    assert pid_of(one) != pid


@pytest.mark.parametrize(
    "left",
    [
        # An implicit transaction that a command of ours would commit.
        parse("", "CREATE TABLE pool_implicit (n int)") + bind("", "") + execute() + message(b"H"),
        # The server discards everything up to a Sync that never comes.
        parse("", "SELECT 1/0") + bind("", "") + execute() + message(b"H"),
        # The beginning of a statement.
        query("SELECT " + "1" * 100)[:50],
    ],
)
def test_a_session_that_is_left_in_between_is_not_handed_on(one: PooledSource, left: bytes):
    client = raw(one)
    pid = value(client, "SELECT pg_backend_pid()")
    client.send(left)
    if left.startswith(b"P"):
        client.until(b"C", b"E")
    client.close()
    with raw(one) as second:
        assert value(second, "SELECT pg_backend_pid()") != pid
        assert value(second, "SELECT count(*) FROM pg_class WHERE relname = 'pool_implicit'") == "0"


def test_a_late_cancel_stops_nothing_of_the_next_client(one: PooledSource):
    """Cancels of the first client's statements, up to its end, beside a second client."""
    for _ in range(20):
        first = raw(one)
        assert first.key is not None
        key = first.key
        first.send(query("SELECT pg_sleep(0.002)"))
        threads = [
            threading.Thread(target=send_cancel, args=(one.proxy.port, key.number, key.secret))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        first.close()
        with raw(one) as second:
            second.send(query("SELECT count(*) FROM generate_series(1, 50000)"))
            assert first_column(second.until(b"Z")) == ["50000"]
        for thread in threads:
            thread.join(20)


# --- servers that go ---------------------------------------------------------------------


def test_a_restarted_server_is_not_noticed_by_the_next_client(own: PooledSource):
    pid = pid_of(own)
    own.settle()
    own.server.restart()
    assert pid_of(own) != pid


def test_a_killed_server_is_not_noticed_by_the_next_client(own: PooledSource):
    pid_of(own)
    own.settle()
    own.server.kill()
    own.server.start()
    assert pid_of(own)


def test_a_connection_that_the_server_ends_while_idle_is_closed_at_once(one: PooledSource):
    pid = pid_of(one)
    one.settle()
    lost = one.closes("lost")
    one.server.execute(f"SELECT pg_terminate_backend({pid})")
    wait_until(lambda: one.closes("lost") == lost + 1, what="the connection to be closed")
    assert pid_of(one) != pid


# --- time --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "pooling"),
    [
        ("idle", PoolSettings("session", idle_seconds=1.0)),
        ("age", PoolSettings("session", life_seconds=1.0)),
    ],
)
def test_what_is_not_needed_or_old_is_closed(
    pool_proxy: ProxyServer, postgres: PostgresServer, cause: str, pooling: PoolSettings
):
    pooled = PooledSource(pool_proxy, postgres, f"short{cause}", pooling=pooling)
    before = pooled.closes(cause)
    pid = pid_of(pooled)
    wait_until(lambda: pooled.closes(cause) > before, what="the connection to be closed")
    gone = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"
    wait_until(lambda: postgres.execute(gone) == [(0,)], what="the server's process to end")


# --- rights ------------------------------------------------------------------------------


def test_a_suspended_workspace_has_no_connection_left(one: PooledSource):
    pid_of(one)
    one.settle()
    changed = one.closes("changed")
    one.proxy.suspend(one.name)
    wait_until(lambda: one.closes("changed") == changed + 1, what="the connection to be closed")


def test_a_removed_source_has_no_connection_left(one: PooledSource):
    pid_of(one)
    one.settle()
    changed = one.closes("changed")
    one.proxy.remove_source(one.name, SOURCE)
    wait_until(lambda: one.closes("changed") == changed + 1, what="the connection to be closed")


def test_a_stopped_proxy_says_goodbye_to_its_servers(
    server_folder: Path, certificates: Certificates, own_postgres: PostgresServer
):
    proxy = ProxyServer(server_folder / "pool-stopped", certificates).start()
    try:
        pooled = PooledSource(proxy, own_postgres, "stopped", pooling=POOLED)
        with ExitStack() as sessions:
            for _ in range(3):
                sessions.enter_context(raw(pooled))
        pooled.settle()
        assert proxy.stop() == 0
        assert "connection to client lost" not in own_postgres.log_text()
        assert "unexpected EOF" not in own_postgres.log_text()
    finally:
        proxy.remove()
