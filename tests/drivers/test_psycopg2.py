"""psycopg2: simple protocol, named cursors, large objects by FunctionCall, COPY, cancel."""

from __future__ import annotations

import io
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from tests.drivers.routes import SCHEMA, Leg, Route, dsn
from tests.servers.waiting import wait_until


@contextmanager
def connected(leg: Leg) -> Iterator[Any]:
    connection = psycopg2.connect(dsn(leg, options=f"-c search_path={SCHEMA}"))
    try:
        yield connection
    finally:
        connection.close()


def attempt(work: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return work(*arguments)
    except psycopg2.Error as error:
        d = error.diag
        return (
            *(type(error).__name__, error.pgcode, error.pgerror),
            *(d.severity, d.message_primary, d.statement_position, d.context),
        )


def test_rows_errors_and_notices_are_equal(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        with connected(leg) as connection:
            cursor = connection.cursor()

            def run(query: str, arguments: tuple[Any, ...] | None = None) -> Any:
                cursor.execute(query, arguments)
                rows = cursor.fetchall() if cursor.description else None
                columns = [c[:6] for c in cursor.description or ()]
                return (cursor.statusmessage, cursor.rowcount, columns, rows)

            out.append(run("CREATE TABLE t (a serial PRIMARY KEY, b text)"))
            out.append(run("INSERT INTO t (b) VALUES (%s), (%s) RETURNING *", ("a'b", None)))
            out.append(run("SELECT 1.5::numeric, now() > '2000-01-01', ARRAY[1, 2], '{}'::jsonb"))
            out.append(attempt(run, "SELECT 1 / 0"))
            out.append(attempt(run, "SELECT 'in a failed transaction'"))
            connection.rollback()
            out.append(attempt(run, "SELECT * FROM t"))
            connection.rollback()
            connection.autocommit = True
            out.append(run("DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END $$"))
            out.append(list(connection.notices))
            out.append(run("CREATE TABLE t (a int, b text)"))
            psycopg2.extras.execute_values(
                cursor, "INSERT INTO t VALUES %s", [(n, "v") for n in range(1000)]
            )
            out.append(run("SELECT count(*), sum(a) FROM t"))
            connection.set_client_encoding("LATIN1")
            out.append(run("SELECT 'é'"))
            connection.set_session(isolation_level="SERIALIZABLE", readonly=True)
            out.append(attempt(run, "INSERT INTO t VALUES (1)"))
        return out

    route.same(script)


def test_named_cursors_are_equal(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        with connected(leg) as connection:
            cursor = connection.cursor("named", scrollable=True)
            cursor.itersize = 11
            cursor.execute("SELECT g FROM generate_series(1, 100) g")
            out += [cursor.fetchone(), cursor.fetchmany(5)]
            cursor.scroll(20)
            out += list(cursor)
            cursor.close()
            held = connection.cursor("held", withhold=True)
            held.execute("SELECT g FROM generate_series(1, 10) g")
            connection.commit()
            out += held.fetchall()
        return out

    route.same(script)


def test_large_objects_are_equal_by_function_call(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        data = bytes(range(256)) * 4096
        with connected(leg) as connection:
            large = connection.lobject(0, "wb")
            out.append(large.write(data))
            large.close()
            large = connection.lobject(large.oid, "rb")
            out.append(large.read(1000))
            out += [large.seek(500_000), large.tell(), large.read() == data[500_000:]]
            large.close()
            large = connection.lobject(large.oid, "rw")
            large.truncate(10)
            out.append(large.seek(0, 2))
            large.unlink()
            out.append(attempt(connection.lobject, large.oid, "rb"))
            connection.rollback()
        return out

    route.same(script)


def test_copy_is_equal(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        with connected(leg) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute("CREATE TABLE t (a int, b text)")
            cursor.copy_expert(
                "COPY t FROM STDIN", io.StringIO("".join(f"{n}\tx{n}\n" for n in range(20_000)))
            )
            out.append(cursor.rowcount)
            into = io.StringIO()
            cursor.copy_expert("COPY (SELECT * FROM t ORDER BY a) TO STDOUT (FORMAT csv)", into)
            out += [cursor.rowcount, into.getvalue()]
            bad = io.StringIO("1\tx\n" * 10 + "no\n" + "2\ty\n" * 200_000)
            out.append(attempt(cursor.copy_expert, "COPY t FROM STDIN", bad))

            class Broken(io.StringIO):
                def read(self, size: int | None = -1) -> str:
                    raise ZeroDivisionError("broken source")

            # psycopg2 sends CopyFail with the words of the exception.
            out.append(attempt(cursor.copy_expert, "COPY t FROM STDIN", Broken()))
            cursor.execute("SELECT count(*) FROM t")
            out.append(cursor.fetchall())
        return out

    route.same(script)


def test_notifications_reach_an_idle_session(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        with connected(leg) as listener, connected(leg) as speaker:
            for connection in (listener, speaker):
                connection.autocommit = True
            listener.cursor().execute("LISTEN here")
            for n in range(3):
                speaker.cursor().execute("SELECT pg_notify('here', %s)", (str(n),))

            def has_three() -> bool:
                select.select([listener], [], [], 1)
                listener.poll()
                return len(listener.notifies) == 3

            wait_until(has_three, what="three notifications")
            return [(n.channel, n.payload) for n in listener.notifies]

    route.same(script)


def test_cancel_stops_a_statement(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        connection = psycopg2.connect(dsn(leg), async_=True)
        try:
            psycopg2.extras.wait_select(connection)
            cursor = connection.cursor()
            cursor.execute("SELECT pg_backend_pid()")
            psycopg2.extras.wait_select(connection)
            ((backend,),) = cursor.fetchall()
            cursor.execute("SELECT pg_sleep(60)")
            wait_until(
                lambda: (
                    route.server.execute(
                        "SELECT query LIKE '%%pg_sleep%%' FROM pg_stat_activity WHERE pid = %s",
                        (backend,),
                    )
                    == [(True,)]
                ),
                what="the statement to run",
            )
            connection.cancel()
            out.append(attempt(psycopg2.extras.wait_select, connection))
            cursor.execute("SELECT 'goes on'")
            psycopg2.extras.wait_select(connection)
            out.append(cursor.fetchall())
        finally:
            connection.close()
        return out

    route.same(script)
