"""psycopg 3, that is libpq: the same script direct and through the proxy."""

from __future__ import annotations

import datetime as dt
import uuid
from contextlib import suppress
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.drivers.conftest import ALL_ROUTES, OWN_ROUTES
from tests.drivers.libpq import attempt, connected, seen
from tests.drivers.routes import Leg, Route
from tests.servers.waiting import wait_until

VALUES = (
    True,
    7,
    2**40,
    1.5,
    Decimal("12345678901234567890.0123456789"),
    "snow ☃ 'quote' \\ \n",
    b"\x00\xff'\\",
    dt.date(2024, 2, 29),
    dt.datetime(2024, 2, 29, 12, 30, 15, 123456),  # noqa: DTZ001 - a timestamp has no zone
    dt.datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=dt.UTC),
    dt.timedelta(days=3, seconds=7, microseconds=11),
    uuid.UUID(int=0x1234567890ABCDEF),
    [1, None, 3],
    [["a", "b"], ["c,", '"d"']],
    None,
)


@pytest.mark.parametrize("route", ALL_ROUTES, indirect=True)
def test_results_types_and_errors_are_equal(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        with connected(leg) as connection:
            run = connection.execute
            out += seen(run("CREATE TABLE t (a int PRIMARY KEY, b text CHECK (b <> 'no'))"))
            out += seen(run("INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 9) g"))
            out += seen(run("SELECT * FROM t ORDER BY a"))
            out += seen(run("UPDATE t SET b = b || '!' WHERE a > %s", (5,)))
            out += seen(run("DELETE FROM t WHERE a = 9 RETURNING a, b"))
            for binary in (False, True):
                places = ", ".join(["%s"] * (len(VALUES)))
                out += seen(run(f"SELECT {places}", VALUES, binary=binary))
            out += seen(run("SELECT %s", (Jsonb({"k": [1, {"é": None}]}),)))
            out.append(attempt(lambda: seen(run(""))))
            out.append(attempt(lambda: seen(run("SELECT 1; SELECT 'two'; SELECT 3 WHERE false"))))
            for bad in (
                "SELEC 1",
                "SELECT nothing FROM t",
                "SELECT 1 / 0",
                "INSERT INTO t VALUES (1, 'twice')",
                "INSERT INTO t VALUES (100, 'no')",
                "SELECT 1; SELECT 1 / 0; SELECT 3",
                "DO $$ BEGIN RAISE EXCEPTION 'own' USING ERRCODE = 'AC001', HINT = 'h',"
                " DETAIL = 'd'; END $$",
                "SELECT $1",
                "SELECT 'unterminated",
            ):
                out.append(attempt(lambda query: seen(run(query)), bad))
            out.append(attempt(lambda: seen(run("SELECT %s / 0", (1,)))))
            out += seen(run("SELECT count(*) FROM t"))
            parameters = ("server_version", "client_encoding", "TimeZone", "DateStyle")
            out += [connection.info.parameter_status(name) for name in parameters]
            out += [connection.info.encoding, connection.info.server_version]
        return out

    route.same(script)


def test_notices_are_equal(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        with connected(leg) as connection:
            connection.add_notice_handler(
                lambda d: out.append(
                    (d.severity, d.sqlstate, d.message_primary, d.message_hint, d.context)
                )
            )
            connection.execute("SET client_min_messages = debug1")
            connection.execute(
                "DO $$ BEGIN FOR i IN 1..200 LOOP"
                " RAISE NOTICE 'number %', i USING HINT = 'hint ' || i; END LOOP; END $$"
            )
            connection.execute("DROP TABLE IF EXISTS never_was")
            connection.execute("COMMIT")
            out.append(connection.execute("SELECT 1").fetchall())
        return out

    assert len(route.same(script)) > 200


def test_transaction_states_are_equal(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        with connected(leg) as connection:

            def state() -> None:
                out.append(connection.info.transaction_status.name)

            state()
            for statement in (
                "BEGIN",
                "SELECT 1",
                "SAVEPOINT s",
                "SELECT 1 / 0",
                "SELECT 'refused in a failed transaction'",
                "ROLLBACK TO s",
                "SELECT 2",
                "COMMIT",
                "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY",
                "CREATE TABLE t ()",
                "ROLLBACK",
                "COMMIT",
            ):
                out.append(attempt(lambda query: seen(connection.execute(query)), statement))
                state()
            connection.autocommit = False
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            out += seen(connection.execute("SHOW transaction_isolation"))
            state()
            connection.rollback()
            with connection.transaction():
                connection.execute("CREATE TABLE t (a int)")
                state()
            out += seen(connection.execute("SELECT count(*) FROM t"))
            connection.rollback()
            connection.tpc_begin("one")
            connection.execute("INSERT INTO t VALUES (1)")
            connection.tpc_prepare()
            connection.tpc_commit()
            out += seen(connection.execute("SELECT count(*) FROM t"))
        return out

    route.same(script)


@pytest.mark.parametrize("route", ALL_ROUTES, indirect=True)
def test_pipelines_with_errors_in_them_are_equal(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        with connected(leg) as connection:
            connection.execute("CREATE TABLE t (a int PRIMARY KEY)")
            with connection.pipeline() as pipeline:
                cursors = [connection.execute("SELECT %s::int", (n,)) for n in range(50)]
                out += [cursor.fetchall() for cursor in cursors]
                pipeline.sync()

            def broken() -> None:
                with connection.pipeline():
                    connection.execute("INSERT INTO t VALUES (%s)", (1,))
                    connection.execute("INSERT INTO t VALUES (%s)", (1,))
                    connection.execute("INSERT INTO t VALUES (%s)", (2,))

            out.append(attempt(broken))
            out += seen(connection.execute("SELECT count(*) FROM t"))
            with connection.pipeline() as pipeline:
                first = connection.execute("INSERT INTO t VALUES (10)")
                pipeline.sync()
                second = connection.execute("INSERT INTO t VALUES (10)")
                out.append(attempt(pipeline.sync))
                third = connection.execute("INSERT INTO t VALUES (11)")
                pipeline.sync()
                for cursor in (first, second, third):
                    out.append(attempt(lambda c: (c.statusmessage, c.rowcount), cursor))
                out.append(connection.info.transaction_status.name)
            out += seen(connection.execute("SELECT a FROM t ORDER BY a"))
            with connection.pipeline(), connection.transaction():
                connection.cursor().executemany(
                    "INSERT INTO t VALUES (%s)", [(n,) for n in range(100, 1100)]
                )
            out += seen(connection.execute("SELECT count(*), sum(a) FROM t"))
        return out

    route.same(script)


def test_prepared_statements_are_equal(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        with connected(leg) as connection:
            connection.prepare_threshold = 0
            connection.prepared_max = 3
            for n in range(20):
                out += seen(connection.execute(f"SELECT %s::int + {n % 5}", (n,)))
            connection.execute("PREPARE by_hand (int) AS SELECT $1 * 2")
            out += seen(connection.execute("EXECUTE by_hand (21)"))
            out.append(attempt(lambda: seen(connection.execute("EXECUTE never_was (1)"))))
            connection.execute("DEALLOCATE ALL")
            out.append(attempt(lambda: seen(connection.execute("EXECUTE by_hand (21)"))))
            connection.execute("CREATE TABLE t (a int)")
            query = "SELECT * FROM t"
            out += seen(connection.execute(query, prepare=True))
            connection.execute("ALTER TABLE t ADD b int")
            out.append(attempt(lambda: seen(connection.execute(query, prepare=True))))
            connection.execute("DISCARD ALL")
            out += seen(connection.execute("SELECT 1", prepare=False))
        return out

    route.same(script)


@pytest.mark.parametrize("route", OWN_ROUTES, indirect=True)
def test_prepared_statements_are_listed_by_a_server_that_has_no_others(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        with connected(leg) as connection:
            connection.prepare_threshold = 0
            connection.prepared_max = 3
            for n in range(20):
                connection.execute(f"SELECT %s::int + {n % 5}", (n,))
            names = "SELECT count(*) FROM pg_prepared_statements"
            return seen(connection.execute(names, prepare=False))

    route.same(script)


def test_server_side_cursors_are_equal(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        with connected(leg) as connection:
            with connection.transaction(), connection.cursor("named", scrollable=True) as cursor:
                cursor.execute("SELECT g, repeat('x', g) FROM generate_series(1, 100) g")
                out += [cursor.fetchone(), cursor.fetchmany(7)]
                cursor.scroll(10)
                out.append(cursor.fetchmany(2))
                cursor.scroll(0, mode="absolute")
                out.append(len(cursor.fetchall()))
            with connection.cursor("held", withhold=True) as held:
                held.itersize = 9
                held.execute("SELECT g FROM generate_series(1, 50) g")
                out += list(held)
            with connection.cursor() as streaming:
                out += list(streaming.stream("SELECT g FROM generate_series(1, 30) g"))
                out.append(
                    attempt(
                        lambda: list(
                            streaming.stream("SELECT 5 / (3 - g) FROM generate_series(1, 9) g")
                        )
                    )
                )
                out.append(attempt(lambda: list(streaming.stream("SELECT 1", size=1))))
            out.append(connection.info.transaction_status.name)
        return out

    route.same(script)


@pytest.mark.parametrize("route", ALL_ROUTES, indirect=True)
def test_copy_is_equal_also_where_it_fails(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        with connected(leg) as connection:
            cursor = connection.cursor()
            connection.execute("CREATE TABLE t (a int, b text)")
            with cursor.copy("COPY t FROM STDIN") as copy:
                for n in range(2000):
                    copy.write_row((n, f"row {n}\t\\" if n % 3 else None))
            out.append((cursor.statusmessage, cursor.rowcount))
            with cursor.copy("COPY t FROM STDIN (FORMAT binary)") as copy:
                copy.set_types(["int4", "text"])
                for n in range(2000):
                    copy.write_row((n, "b" * (n % 50)))
            out.append((cursor.statusmessage, cursor.rowcount))
            for how in ("", "(FORMAT binary)", "(FORMAT csv, HEADER)"):
                with cursor.copy(f"COPY (SELECT * FROM t ORDER BY a, b) TO STDOUT {how}") as copy:
                    out.append(b"".join(bytes(block) for block in copy))
                out.append((cursor.statusmessage, cursor.rowcount))

            def bad_row() -> None:
                with cursor.copy("COPY t FROM STDIN") as copy:
                    for n in range(50_000):
                        copy.write(f"{n}\tx\n" if n != 10 else "not a number\tx\n")

            def given_up() -> None:
                with cursor.copy("COPY t FROM STDIN") as copy:
                    copy.write("1\tx\n")
                    raise ZeroDivisionError

            def wrong_table() -> None:
                with cursor.copy("COPY never_was FROM STDIN") as copy:
                    copy.write("x")

            out.append(attempt(bad_row))
            with suppress(ZeroDivisionError):
                given_up()
            out.append(connection.info.transaction_status.name)
            out.append(attempt(wrong_table))
            out.append(connection.info.transaction_status.name)
            out += seen(connection.execute("SELECT count(*), sum(a) FROM t"))
        # psycopg itself cannot always go on after one of these, so each has its session.
        for query in (
            "COPY (SELECT generate_series(1, 300000)) TO STDOUT",
            "COPY (SELECT 1 / (1000 - g) FROM generate_series(1, 2000) g) TO STDOUT",
        ):
            for is_read_to_its_end in (False, True):

                def read(query: str = query, to_its_end: bool = is_read_to_its_end) -> int:
                    with (
                        connected(leg) as connection,
                        connection.cursor().copy(query.encode()) as copy,
                    ):
                        if not to_its_end:
                            return len(next(iter(copy)))
                        return sum(len(block) for block in copy)

                out.append(attempt(read))
        return out

    route.same(script)


def test_notifications_are_equal_and_reach_an_idle_session(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        with connected(leg) as listener, connected(leg) as speaker:
            listener.execute("LISTEN here")
            with speaker.transaction():
                for n in range(5):
                    speaker.execute("SELECT pg_notify('here', %s)", (f"note {n}",))
            for notice in listener.notifies(timeout=20, stop_after=5):
                out.append((notice.channel, notice.payload))
            listener.execute("NOTIFY here, 'to myself'")
            for notice in listener.notifies(timeout=20, stop_after=1):
                out.append((notice.channel, notice.payload))
            listener.execute("UNLISTEN *")
            out += seen(listener.execute("SELECT count(*) FROM pg_listening_channels()"))
        return out

    assert len(route.same(script)) == 7


def test_large_objects_are_equal_by_function_call_and_by_sql(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        with connected(leg) as connection, connection.transaction():
            row = connection.execute("SELECT lo_create(0)").fetchone()
            assert row is not None
            oid = row[0]
            row = connection.execute("SELECT lo_open(%s, 393216)", (oid,)).fetchone()
            assert row is not None
            descriptor = row[0]
            data = bytes(range(256)) * 400
            out += seen(connection.execute("SELECT lowrite(%s, %s)", (descriptor, data)))
            out += seen(connection.execute("SELECT lo_lseek(%s, 100, 0)", (descriptor,)))
            out += seen(connection.execute("SELECT loread(%s, 500)", (descriptor,)))
            out += seen(connection.execute("SELECT lo_unlink(%s)", (oid,)))
        return out

    route.same(script)


@pytest.mark.parametrize("route", ALL_ROUTES, indirect=True)
def test_a_cancelled_statement_stops_and_the_session_goes_on(route: Route) -> None:
    with connected(route.through) as connection:
        # By its text: where a pool lends connections, the next statement may have another.
        for n in range(3):
            text = f"SELECT pg_sleep(50), 'to be cancelled {n}'"

            def is_sleeping(text: str = text) -> bool:
                rows = route.server.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = %s",
                    (text,),
                )
                return rows == [(1,)]

            connection.pgconn.send_query(text.encode())
            wait_until(is_sleeping, what="the statement to run")
            connection.cancel_safe(timeout=20)
            result = connection.pgconn.get_result()
            assert result is not None
            assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"57014"
            assert connection.pgconn.get_result() is None
            assert connection.execute("SELECT 'goes on'").fetchone() == ("goes on",)


def test_cancelling_an_idle_session_does_nothing_to_the_next_statement(route: Route) -> None:
    with connected(route.through) as connection:
        for n in range(10):
            connection.cancel_safe(timeout=20)
            assert connection.execute("SELECT %s, pg_sleep(0.02)", (n,)).fetchone() == (n, "")


def test_a_cancel_request_with_another_sessions_key_stops_nothing(route: Route) -> None:
    with connected(route.through) as one, connected(route.through) as other:
        one.pgconn.send_query(b"SELECT pg_sleep(0.5), 'undisturbed'")
        other.cancel_safe(timeout=20)
        result = one.pgconn.get_result()
        assert result is not None
        assert result.get_value(0, 1) == b"undisturbed"
        assert one.pgconn.get_result() is None


def test_a_copy_can_be_cancelled(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        with connected(leg) as connection:
            connection.execute("CREATE TABLE t (a int)")

            def stopped() -> None:
                with connection.cursor().copy(
                    "COPY (SELECT pg_sleep(0.001), repeat('x', 10000) FROM"
                    " generate_series(1, 60000)) TO STDOUT"
                ) as copy:
                    next(iter(copy))
                    connection.cancel_safe(timeout=20)
                    for _ in copy:
                        pass

            return [attempt(stopped), seen(connection.execute("SELECT 1"))]

    route.same(script)
