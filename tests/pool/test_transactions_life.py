"""Sessions that share connections: cancels, servers that go, rotation, the ends of sessions."""

from __future__ import annotations

import threading
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tests.hostile.raw import (
    TERMINATE,
    bind,
    close_statement,
    execute,
    fields_of,
    first_column,
    message,
    parse,
    query,
    send_cancel,
)
from tests.pool.pooled import PooledSource
from tests.pool.test_transactions import ONE, SYNC, TWO, pid, raw, value, waiting_states
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import SCRAM
from tests.servers.waiting import wait_until

_NUMBERS = count()


@pytest.fixture
def one(pool_proxy: ProxyServer, postgres: PostgresServer) -> PooledSource:
    """A source with a single connection."""
    return PooledSource(pool_proxy, postgres, f"life{next(_NUMBERS)}", pooling=ONE)


@pytest.fixture
def own(pool_proxy: ProxyServer, own_postgres: PostgresServer) -> PooledSource:
    """A source with two, on a server of the test's own."""
    return PooledSource(pool_proxy, own_postgres, f"lives{next(_NUMBERS)}", pooling=TWO)


# --- cancels -----------------------------------------------------------------------------


def test_a_cancel_reaches_the_statement_that_runs_now(one: PooledSource):
    with one.session() as first, one.session() as second:
        pid(second)
        first.pgconn.send_query(b"SELECT pg_sleep(60), 'turn to cancel'")
        wait_until_running(one, "turn to cancel")
        first.cancel_safe(timeout=20)
        result = first.pgconn.get_result()
        assert result is not None
        assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"57014"
        assert first.pgconn.get_result() is None
        assert pid(first) == pid(second)


def wait_until_running(pooled: PooledSource, text: str) -> None:
    sql = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE state = 'active' AND query LIKE %s AND pid <> pg_backend_pid()"
    )
    wait_until(lambda: pooled.server.execute(sql, (f"%{text}%",)) == [(1,)], what=f"{text} to run")


def test_late_cancels_stop_nothing_of_the_client_that_has_the_connection_then(one: PooledSource):
    with raw(one) as first, raw(one) as second:
        assert first.key is not None
        key = first.key
        for _ in range(20):
            first.send(query("SELECT pg_sleep(0.002)"))
            threads = [
                threading.Thread(target=send_cancel, args=(one.proxy.port, key.number, key.secret))
                for _ in range(3)
            ]
            for thread in threads:
                thread.start()
            second.send(query("SELECT count(*) FROM generate_series(1, 50000)"))
            assert first_column(second.until(b"Z")) == ["50000"]
            first.until(b"Z")
            for thread in threads:
                thread.join(20)


def test_a_client_that_hangs_up_has_its_statement_stopped(one: PooledSource):
    client = raw(one)
    client.send(query("SELECT pg_sleep(60), 'turn hung up'"))
    wait_until_running(one, "turn hung up")
    client.close()
    with one.session() as second:
        assert second.execute("SELECT 'served'").fetchone() == ("served",)


def test_a_transaction_that_its_client_left_open_is_undone(one: PooledSource):
    with one.session() as second:
        mine = pid(second)
        with one.session() as first:
            first.execute("BEGIN")
            first.execute("CREATE TABLE turn_open (n int)")
        assert second.execute("SELECT to_regclass('turn_open')").fetchone() == (None,)
        assert pid(second) == mine


def test_a_goodbye_in_one_packet_with_the_last_statement_has_it_done(one: PooledSource):
    with one.session() as second:
        second.execute("CREATE TABLE turn_goodbye (n int)")
        client = raw(one)
        client.send(query("INSERT INTO turn_goodbye VALUES (1)") + TERMINATE)
        client.read_to_end()
        client.close()
        assert second.execute("SELECT count(*) FROM turn_goodbye").fetchone() == (1,)
        second.execute("DROP TABLE turn_goodbye")


# --- statements --------------------------------------------------------------------------


def test_more_statements_than_a_connection_keeps_are_prepared_again(one: PooledSource):
    with raw(one) as client, one.session() as watcher:
        for n in range(450):
            client.send(parse(f"s{n}", f"SELECT {n}, 'kept'") + SYNC)
            assert [code for code, _ in client.until(b"Z")] == [b"1", b"Z"]
        for n in (*range(450), *range(0, 450, 7)):
            client.send(bind("", f"s{n}") + execute() + SYNC)
            answers = client.until(b"Z")
            assert [code for code, _ in answers] == [b"2", b"D", b"C", b"Z"]
            assert first_column(answers) == [str(n)]
        # Its own view, before it is cleared for it: counted by the server.
        assert watcher.execute("SELECT 1").fetchone() == (1,)
        client.send(b"".join(close_statement(f"s{n}") for n in range(450)) + SYNC)
        assert [code for code, _ in client.until(b"Z")] == [b"3"] * 450 + [b"Z"]
        client.send(bind("", "s7") + execute() + SYNC)
        answers = client.until(b"Z")
        assert fields_of(answers[0][1])["M"] == 'prepared statement "s7" does not exist'


def test_a_pipeline_that_brings_its_statements_is_answered_in_order(one: PooledSource):
    with raw(one) as client, raw(one) as other:
        client.send(
            parse("good", "SELECT 'good'")
            + parse("bad", "SELECT 1/(n - 1) FROM generate_series(1, 1) n")
            + SYNC
        )
        client.until(b"Z")
        # So that nothing of it is there any more.
        value(other, "DEALLOCATE ALL; SELECT 1")
        run = bind("", "good") + execute()
        client.send(run + bind("", "bad") + execute() + run + SYNC + run + message(b"H") + SYNC)
        first = client.until(b"Z")
        second = client.until(b"Z")
        assert [code for code, _ in first] == [b"2", b"D", b"C", b"2", b"E", b"Z"]
        assert [code for code, _ in second] == [b"2", b"D", b"C", b"Z"]


def test_a_statement_is_described_wherever_it_runs(one: PooledSource):
    with raw(one) as client, raw(one) as other:
        client.send(parse("s", "SELECT $1::int AS n") + SYNC)
        client.until(b"Z")
        value(other, "DEALLOCATE ALL; SELECT 1")
        for _ in range(2):
            client.send(message(b"D", b"Ss\0") + SYNC)
            assert [code for code, _ in client.until(b"Z")] == [b"t", b"T", b"Z"]


@pytest.mark.parametrize("prepared", [True, False])
def test_deallocate_in_sql_removes_the_clients_own(one: PooledSource, prepared: bool):
    """As PHP's PDO, and psycopg with an older libpq, do for each statement."""
    with raw(one) as client, raw(one) as other:
        for each in (client, other):
            each.send(parse("pdo_stmt_1", "SELECT 'shared text'") + SYNC)
            each.until(b"Z")
        text = "DEALLOCATE pdo_stmt_1"
        client.send(parse("", text) + bind("", "") + execute() + SYNC if prepared else query(text))
        answers = client.until(b"Z")
        assert [body for code, body in answers if code == b"C"] == [b"DEALLOCATE\0"]
        client.send(bind("", "pdo_stmt_1") + execute() + SYNC)
        assert fields_of(client.until(b"Z")[0][1])["C"] == "26000"
        other.send(bind("", "pdo_stmt_1") + execute() + SYNC)
        assert first_column(other.until(b"Z")) == ["shared text"]
        client.send(query(text))
        assert fields_of(client.until(b"Z")[0][1])["C"] == "26000"


def test_a_statement_that_its_table_has_outgrown_is_prepared_again(one: PooledSource):
    with raw(one) as client, one.session() as other:
        other.execute("CREATE TABLE turn_grown (n int)")
        client.send(parse("s", "SELECT * FROM turn_grown") + SYNC)
        client.until(b"Z")
        client.send(bind("", "s") + execute() + SYNC)
        client.until(b"Z")
        other.execute("ALTER TABLE turn_grown ADD m int")
        client.send(bind("", "s") + execute() + SYNC)
        assert fields_of(client.until(b"Z")[0][1])["C"] == "0A000"
        client.send(bind("", "s") + execute() + SYNC)
        assert [code for code, _ in client.until(b"Z")] == [b"2", b"C", b"Z"]
        other.execute("DROP TABLE turn_grown")


def test_the_log_has_each_execution_with_its_own_text_once(one: PooledSource):
    with raw(one) as first, raw(one) as second:
        for client in (first, second):
            client.send(parse("s", "SELECT 'logged turn'") + SYNC)
            client.until(b"Z")
            client.send(query("DEALLOCATE ALL"))
            client.until(b"Z")
        for _ in range(3):
            for client in (first, second):
                client.send(parse("s", "SELECT 'logged turn'") + bind("", "s") + execute())
                client.send(close_statement("s") + SYNC)
                client.until(b"Z")
    records = [
        record
        for record in one.proxy.audit_events()
        if "logged turn" in record.get("query_info", {}).get("query_string", "")
    ]
    runs = [one for one in records if one["unmapped"]["via"] == "execute"]
    assert len(runs) == 6
    assert all("accode_" not in str(record["query_info"]) for record in records)


# --- servers that go ---------------------------------------------------------------------


def test_a_server_that_ends_idle_connections_is_not_noticed(own: PooledSource):
    with own.session() as session:
        before = pid(session)
        lost = own.closes("lost")
        own.server.execute(f"SELECT pg_terminate_backend({before})")
        wait_until(lambda: own.closes("lost") > lost, what="the connection to be closed")
        assert pid(session) != before


def test_a_restarted_server_is_not_noticed_between_transactions(own: PooledSource):
    with own.session() as session:
        before = pid(session)
        own.server.restart()
        assert pid(session) != before


def test_a_server_that_goes_in_a_transaction_ends_the_session_with_its_words(own: PooledSource):
    with own.session() as session, own.session() as other:
        session.execute("BEGIN")
        mine = pid(session)
        own.server.execute(f"SELECT pg_terminate_backend({mine})")
        with pytest.raises(psycopg.errors.AdminShutdown):
            session.execute("SELECT 1")
        assert other.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_cannot_be_reached_ends_who_asks_with_one_sentence(own: PooledSource):
    with own.session() as session:
        pid(session)
        own.server.stop()
        with pytest.raises(psycopg.OperationalError, match="data source"):
            session.execute("SELECT 1")
        own.server.start()
    with own.session() as session:
        assert session.execute("SELECT 1").fetchone() == (1,)


# --- ends --------------------------------------------------------------------------------


def test_a_killed_session_that_waits_is_told_so(one: PooledSource):
    with one.session() as first, one.session() as second:
        first.execute("BEGIN")
        (number,) = [s["id"] for s in one.sessions() if s["state"] == "idle"]
        failed: list[BaseException] = []

        def work() -> None:
            try:
                second.execute("SELECT 1")
            except psycopg.OperationalError as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        waiting_states(one, 1)
        one.control("session.kill", id=number)
        thread.join(20)
        assert "ended by an administrator" in str(failed[0])
        assert first.execute("SELECT 1").fetchone() == (1,)


def test_a_suspended_workspaces_sessions_end(one: PooledSource):
    with one.session() as session:
        pid(session)
        one.proxy.suspend(one.name)

        def is_over() -> bool:
            try:
                session.execute("SELECT 1")
            except psycopg.OperationalError:
                return True
            return False

        wait_until(is_over, what="the session to end")


def test_a_rotated_credential_is_used_by_open_sessions(
    pool_proxy: ProxyServer, own_postgres: PostgresServer
):
    pooled = PooledSource(pool_proxy, own_postgres, "turnsrotated", pooling=TWO)
    with pooled.session() as busy, pooled.session() as idle:
        pid(idle)
        busy.execute("BEGIN")
        mine = pid(busy)
        own_postgres.execute(f"ALTER ROLE {SCRAM.name} PASSWORD 'Second-3b1f'")
        changed = pooled.closes("changed")
        pooled.rotate("Second-3b1f")
        assert pid(busy) == mine
        for _ in range(3):
            assert idle.execute("SELECT 'served'").fetchone() == ("served",)
        busy.execute("COMMIT")
        # Opened with the old one: not kept.
        wait_until(lambda: pooled.closes("changed") > changed, what="the old one to go")
        assert pid(busy) != mine
    own_postgres.execute(f"ALTER ROLE {SCRAM.name} PASSWORD '{SCRAM.password}'")


def test_a_stopped_proxy_says_goodbye_to_servers_and_sessions(
    server_folder: Path, certificates: Certificates, own_postgres: PostgresServer
):
    proxy = ProxyServer(server_folder / "turns-stopped", certificates).start()
    try:
        pooled = PooledSource(proxy, own_postgres, "stopped", pooling=TWO)
        with pooled.session() as session:
            pid(session)
            assert proxy.stop() == 0
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT 1")
        assert "connection to client lost" not in own_postgres.log_text()
        assert "unexpected EOF" not in own_postgres.log_text()
    finally:
        proxy.remove()
