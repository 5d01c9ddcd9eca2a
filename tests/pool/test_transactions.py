"""Sessions that have a connection for a transaction each, on a real PostgreSQL."""

from __future__ import annotations

import threading
from itertools import count
from typing import Any

import psycopg
import pytest

from proxy.store import PoolSettings
from tests.hostile.raw import (
    RawClient,
    bind,
    execute,
    fields_of,
    first_column,
    message,
    parse,
    query,
)
from tests.pool.pooled import SOURCE, PooledSource
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.waiting import wait_until

ONE = PoolSettings("transaction", maximum=1, queue_seconds=20.0)
TWO = PoolSettings("transaction", maximum=2, queue_seconds=20.0)
SYNC = message(b"S")
_NUMBERS = count()


@pytest.fixture
def one(pool_proxy: ProxyServer, postgres: PostgresServer) -> PooledSource:
    """A source with a single connection."""
    return PooledSource(pool_proxy, postgres, f"turn{next(_NUMBERS)}", pooling=ONE)


@pytest.fixture
def two(pool_proxy: ProxyServer, postgres: PostgresServer) -> PooledSource:
    """A source with two."""
    return PooledSource(pool_proxy, postgres, f"turns{next(_NUMBERS)}", pooling=TWO)


def raw(pooled: PooledSource) -> RawClient:
    client = RawClient(pooled.proxy.port)
    return client.log_in(pooled.name, pooled.token, SOURCE)


def value(client: RawClient, sql: str) -> str:
    client.send(query(sql))
    return first_column(client.until(b"Z"))[0]


def pid(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def pins(pooled: PooledSource) -> dict[str, int]:
    prefix = "pool_pins_total{cause="
    return {
        name.removeprefix(prefix).removesuffix("}"): int(count)
        for name, count in pooled.proxy.metrics().items()
        if name.startswith(prefix)
    }


# --- turns -------------------------------------------------------------------------------


def test_two_open_sessions_have_one_connection_in_turn(one: PooledSource):
    with one.session() as first, one.session() as second:
        assert pid(first) == pid(second) == pid(first)


def test_a_login_takes_no_connection_where_the_welcome_is_known(one: PooledSource):
    with one.session() as first:
        first.execute("BEGIN")
        with raw(one) as second:
            assert second.parameters["server_version"]
        first.execute("ROLLBACK")


def test_a_transaction_keeps_its_connection_and_others_wait(one: PooledSource):
    with one.session() as first, one.session() as second:
        first.execute("BEGIN")
        served: list[int] = []
        thread = threading.Thread(target=lambda: served.append(pid(second)))
        thread.start()
        mine = pid(first)
        assert served == []
        first.execute("COMMIT")
        thread.join(20)
        assert served == [mine]


def test_more_sessions_than_connections_are_all_served(two: PooledSource):
    seen: list[int] = []

    def work() -> None:
        with two.session() as session:
            for _ in range(10):
                with session.transaction():
                    first = pid(session)
                    assert pid(session) == first
                seen.append(first)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert len(seen) == 120
    assert len(set(seen)) <= 4  # two, and what a change of the store may have replaced


def test_a_transaction_that_has_waited_too_long_is_told_so(
    pool_proxy: ProxyServer, postgres: PostgresServer
):
    pooling = PoolSettings("transaction", maximum=1, queue_seconds=1.0)
    pooled = PooledSource(pool_proxy, postgres, f"late{next(_NUMBERS)}", pooling=pooling)
    with pooled.session() as first, pooled.session() as second:
        first.execute("BEGIN")
        with pytest.raises(psycopg.OperationalError, match="source are in use") as told:
            second.execute("SELECT 1")
        assert told.value.sqlstate == "53300"
        assert first.execute("SELECT 1").fetchone() == (1,)


def test_a_client_that_hangs_up_in_the_queue_leaves_nothing_behind(one: PooledSource):
    with one.session() as first, one.session() as third:
        first.execute("BEGIN")
        second = raw(one)
        second.send(query("SELECT 1"))
        waiting_states(one, 1)
        second.close()
        first.execute("COMMIT")
        assert pid(third) == pid(first)


def waiting_states(pooled: PooledSource, count: int) -> None:
    wait_until(
        lambda: [s["state"] for s in pooled.sessions()].count("waiting") == count,
        what="sessions to wait",
    )


def test_an_unfinished_message_takes_no_connection(one: PooledSource):
    with raw(one) as slow, one.session() as other:
        whole = query("SELECT 'slow'")
        slow.send(whole[:7])
        assert other.execute("SELECT 1").fetchone() == (1,)
        slow.send(whole[7:])
        assert first_column(slow.until(b"Z")) == ["slow"]


def test_a_sequence_that_no_sync_has_ended_keeps_its_connection(one: PooledSource):
    with raw(one) as first, raw(one) as second:
        first.send(parse("", "SELECT 'mine'") + message(b"H"))
        first.until(b"1")
        second.send(query("SELECT 'theirs'"))
        waiting_states(one, 1)
        first.send(bind("", "") + execute() + SYNC)
        assert first_column(first.until(b"Z")) == ["mine"]
        assert first_column(second.until(b"Z")) == ["theirs"]


def test_copy_keeps_its_connection_until_its_end(one: PooledSource):
    with one.session() as first, raw(one) as second:
        first.execute("CREATE TABLE turn_copy (n int)")
        with first.cursor() as cursor, cursor.copy("COPY turn_copy FROM STDIN") as copy:
            copy.write_row((1,))
            second.send(query("SELECT count(*) FROM turn_copy"))
            waiting_states(one, 1)
            copy.write_row((2,))
        assert first_column(second.until(b"Z")) == ["2"]
        with first.cursor() as cursor, cursor.copy("COPY turn_copy TO STDOUT") as copy:
            assert list(copy.rows()) == [("1",), ("2",)]
        first.execute("DROP TABLE turn_copy")


# --- prepared statements -----------------------------------------------------------------


def test_named_statements_of_two_clients_with_the_same_name_are_their_own(one: PooledSource):
    with raw(one) as first, raw(one) as second:
        for client, text in ((first, "SELECT 'first'"), (second, "SELECT 'second'")):
            client.send(parse("s", text) + SYNC)
            client.until(b"Z")
        for _ in range(3):
            for client, answer in ((first, "first"), (second, "second")):
                client.send(bind("", "s") + execute() + SYNC)
                answers = client.until(b"Z")
                assert [code for code, _ in answers] == [b"2", b"D", b"C", b"Z"]
                assert first_column(answers) == [answer]


def test_a_statement_is_brought_to_whichever_connection_it_runs_on(two: PooledSource):
    with raw(two) as first, two.session() as second:
        first.send(parse("s", "SELECT pg_backend_pid()") + SYNC)
        first.until(b"Z")
        first.send(bind("", "s") + execute() + SYNC)
        here = first_column(first.until(b"Z"))
        with second.transaction():
            # The connection that was used last is given first.
            assert str(pid(second)) == here[0]
            first.send(bind("", "s") + execute() + SYNC)
            answers = first.until(b"Z")
            assert [code for code, _ in answers] == [b"2", b"D", b"C", b"Z"]
            assert first_column(answers) != here


def test_the_unnamed_statement_is_the_clients_own(one: PooledSource):
    with raw(one) as first, raw(one) as second:
        first.send(parse("", "SELECT 'first'") + SYNC)
        first.until(b"Z")
        second.send(parse("", "SELECT 'second'") + SYNC)
        second.until(b"Z")
        first.send(bind("", "") + execute() + SYNC)
        assert first_column(first.until(b"Z")) == ["first"]
        second.send(bind("", "") + execute() + SYNC)
        assert first_column(second.until(b"Z")) == ["second"]


def test_who_has_no_unnamed_statement_does_not_get_another_clients(one: PooledSource):
    with raw(one) as first, raw(one) as second:
        first.send(parse("", "SELECT 'first'") + SYNC)
        first.until(b"Z")
        second.send(bind("", "") + execute() + SYNC)
        codes = [code for code, _ in second.until(b"Z")]
        assert codes == [b"E", b"Z"]


@pytest.mark.parametrize("name", ["accode_1", "accode_2", "nobody", "accode_nobody"])
def test_no_client_reaches_a_statement_that_it_has_not_prepared(one: PooledSource, name: str):
    with raw(one) as first, raw(one) as second:
        first.send(parse("s", "SELECT 'secret'") + parse("t", "SELECT 'secret', 2") + SYNC)
        first.until(b"Z")
        for attack in (
            bind("", name) + execute(),
            message(b"D", b"S" + name.encode() + b"\0"),
        ):
            second.send(attack + SYNC)
            answers = second.until(b"Z")
            assert [code for code, _ in answers] == [b"E", b"Z"]
            fields = fields_of(answers[0][1])
            assert fields["C"] == "26000"
            assert fields["M"] == f'prepared statement "{name}" does not exist'
        second.send(query(f"EXECUTE {name}"))
        assert [code for code, _ in second.until(b"Z")] == [b"E", b"Z"]
        second.send(query("SELECT count(*) FROM pg_prepared_statements"))
        assert first_column(second.until(b"Z")) == ["0"]
