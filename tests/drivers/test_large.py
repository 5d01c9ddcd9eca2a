"""What is large: values of 100 MB, 65,535 parameters, 1,600 columns, long statements."""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg

from tests.drivers import test_asyncpg
from tests.drivers.libpq import attempt, connected, seen
from tests.drivers.routes import Leg, Route, dsn
from tests.servers.waiting import wait_until

MEGABYTE = 1024 * 1024
HUNDRED = bytes(range(256)) * (100 * MEGABYTE // 256)


def test_a_value_of_100_mb_passes_both_ways(route: Route) -> None:
    with connected(route.through) as connection:
        row = connection.execute("SELECT %b", (HUNDRED,), binary=True).fetchone()
        assert row == (HUNDRED,)


async def test_a_value_of_100_mb_passes_both_ways_by_asyncpg(route: Route) -> None:
    async with test_asyncpg.connected(route.through) as connection:
        assert await connection.fetchval("SELECT $1::bytea", HUNDRED) == HUNDRED


def test_a_copy_of_one_100_mb_field_passes(route: Route) -> None:
    with connected(route.through) as connection:
        connection.execute("CREATE TEMP TABLE t (a bytea)")
        cursor = connection.cursor()
        with cursor.copy("COPY t FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["bytea"])
            copy.write_row((HUNDRED,))
        with cursor.copy("COPY t TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["bytea"])
            assert next(iter(copy.rows())) == (HUNDRED,)


def test_65535_parameters_and_1600_columns_are_equal(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        with connected(leg) as connection:
            count = 65_535
            places = ",".join(f"${n}::int" for n in range(1, count + 1))
            values = [str(n).encode() for n in range(count)]
            result = connection.pgconn.exec_params(
                f"SELECT array_length(a, 1), a[65535] FROM (SELECT ARRAY[{places}]) x (a)".encode(),
                values,
            )
            out += [result.get_value(0, 0), result.get_value(0, 1), result.error_message]
            names = [f"c{n}" for n in range(1600)]
            connection.execute(f"CREATE TABLE t ({', '.join(name + ' int' for name in names)})")
            connection.execute(f"INSERT INTO t VALUES ({', '.join(map(str, range(1600)))})")
            out += seen(connection.execute("SELECT * FROM t", binary=True))
            out.append(
                attempt(
                    lambda: connection.execute(
                        f"CREATE TABLE u ({' int, '.join(names)} int, x int)"
                    )
                )
            )
        return out

    route.same(script)


def test_long_statements_and_long_errors_are_equal(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        with connected(leg) as connection:
            text = "x" * (5 * MEGABYTE)
            out += seen(connection.execute(f"SELECT length('{text}')"))
            out += seen(connection.execute("; ".join(["SELECT 1"] * 3000)))
            for query in (
                f"SELECT '{text[:MEGABYTE]}'::int",
                f"SELECT 1 /* {text} */ / 0",
                f"SELECT {'(' * 100}1{')' * 99}",
            ):
                out.append(attempt(lambda q: seen(connection.execute(q)), query))
            with connection.pipeline():
                answers = [connection.execute("SELECT %s", (text,)) for _ in range(5)]
                out += [len(answer.fetchall()[0][0]) for answer in answers]
        return out

    route.same(script)


def test_30000_pipelined_statements_all_get_their_answers(route: Route) -> None:
    # More than the proxy lets be unanswered at once, from a client that reads meanwhile.
    with connected(route.through) as connection, connection.pipeline():
        cursor = connection.cursor()
        cursor.executemany("SELECT %s::int", [(n,) for n in range(30_000)], returning=True)
        count = 0
        while True:
            assert cursor.fetchone() == (count,)
            count += 1
            if not cursor.nextset():
                break
        assert count == 30_000


def test_many_rows_are_equal(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        with connected(leg) as connection:
            digest = hashlib.sha256()
            count = 0
            query = "SELECT g, repeat('r', g % 50), NULL FROM generate_series(1, 200000) g"
            for row in connection.cursor().stream(query, size=1000):
                digest.update(repr(row).encode())
                count += 1
            return [count, digest.hexdigest()]

    assert route.same(script)[0] == 200_000


def test_a_client_that_leaves_in_the_middle_of_a_result_ends_the_statement(route: Route) -> None:
    connection = psycopg.connect(dsn(route.through), autocommit=True)
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    connection.pgconn.send_query(b"SELECT repeat('x', 1000), generate_series(1, 100000000)")
    connection.close()
    # A pooled source's backend stays, for the next client.
    test = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
    wait_until(lambda: route.server.execute(test, row) == [(0,)], what="the statement to end")
