"""Limits, hours, networks and TLS of a policy, on real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pymysql
import pytest
from pymysql.constants import COMMAND
from pymysql.cursors import SSCursor

from policies.document import DAYS, policy_from
from tests.mysql.conftest import Route
from tests.mysql.test_read_only import connect, direct, govern, put, ungoverned
from tests.servers.waiting import wait_past_midnight, wait_until

__all__ = ["ungoverned"]

SEQUENCE = "SELECT n FROM policy_numbers ORDER BY n LIMIT {}"


@pytest.fixture
def counted(ungoverned: Route) -> Iterator[Route]:
    """The route's source has no policy after the test."""
    yield ungoverned
    put(ungoverned, None, of_source=True)


def limit(route: Route, **limits: int) -> None:
    """Reading alone, within these limits, at this source: each route counts for itself."""
    govern(route, policy_from({"version": 1, "limits": limits}), of_source=True)


def number_of(raised: pytest.ExceptionInfo[pymysql.MySQLError]) -> int:
    number: int = raised.value.args[0]
    return number


def test_a_result_is_cut_at_its_row_and_the_session_goes_on(counted: Route) -> None:
    limit(counted, result_rows=10)
    with closing(connect(counted)) as session:
        with session.cursor() as cursor:
            cursor.execute(SEQUENCE.format(10))
            assert len(cursor.fetchall()) == 10
            with pytest.raises(pymysql.MySQLError, match=r"10 rows \(limits\.result_rows\)") as cut:
                cursor.execute(SEQUENCE.format(11))
            assert number_of(cut) == 1226
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
        seen: list[Any] = []
        with session.cursor(SSCursor) as cursor:
            cursor.execute(SEQUENCE.format(20))
            with pytest.raises(pymysql.MySQLError, match="was cut"):
                seen.extend(cursor)
        assert seen == [(number,) for number in range(1, 11)]


FULL = 0xFFFFFF
"""Bytes of a packet that says that its message goes on in another."""


def measure(route: Route, access: str, most: int) -> None:
    """Statements of so many bytes at most, once that holds."""
    limits = {"statement_bytes": most}
    policy = policy_from({"version": 1, "access": access, "limits": limits})
    put(route, policy, of_source=True)
    # Long enough for either limit, and unlike DO allowed by both kinds of access.
    text = "SELECT '%s'" % ("x" * min(most, FULL))

    def holds() -> bool:
        try:
            with closing(connect(route)) as session, session.cursor() as cursor:
                cursor.execute(text)
        except pymysql.MySQLError as error:
            return "limits.statement_bytes" in str(error)
        return False

    wait_until(holds, what="the proxy to have read the change")


# Where texts are judged, and where nothing else is asked of them.
@pytest.mark.parametrize("access", ["read-only", "full"])
def test_a_statement_longer_than_allowed_is_refused(counted: Route, access: str) -> None:
    measure(counted, access, 100)
    with closing(connect(counted)) as session, session.cursor() as cursor:
        cursor.execute("SELECT '%s'" % ("1" * 91))
        for padding in (92, 100_000):
            text = "SELECT '%s'" % ("1" * padding)
            for command in (COMMAND.COM_QUERY, COMMAND.COM_STMT_PREPARE):
                session._execute_command(command, text)
                with pytest.raises(pymysql.MySQLError, match=r"at most 100 bytes") as raised:
                    session._read_packet()
                assert number_of(raised) == 1227
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def test_a_text_of_several_packets_is_never_within_a_limit(counted: Route) -> None:
    """How long it is shows when its first packet has long gone on."""
    measure(counted, "full", 100 * FULL)
    with closing(connect(counted)) as session, session.cursor() as cursor:
        cursor.execute("SELECT length('%s')" % ("x" * 200_000))
        assert cursor.fetchone() == (200_000,)
        for length in (FULL - 1, FULL + 100):
            with pytest.raises(pymysql.MySQLError, match=r"limits\.statement_bytes"):
                cursor.execute("SELECT '%s'" % ("x" * (length - 9)))
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def repeat(times: int, work: Callable[[], object]) -> None:
    for _ in range(times):
        work()


def running(route: Route, text: str) -> bool:
    with closing(direct(route.server)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM information_schema.processlist"
            " WHERE info LIKE %s AND id <> connection_id()",
            (f"%{text}%",),
        )
        row: Any = cursor.fetchone()
        return bool(row[0])


def test_what_goes_on_and_on_is_stopped_at_the_server(counted: Route) -> None:
    limit(counted, result_bytes=100_000)
    with closing(connect(counted)) as session, session.cursor() as cursor:
        with pytest.raises(pymysql.MySQLError, match=r"limits\.result_bytes"):
            cursor.execute(
                "SELECT a.n AS endless FROM policy_numbers a, policy_numbers b, policy_numbers c"
            )
        wait_until(lambda: not running(counted, "endless"), what="the server to stop")
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


LONG = (
    "SELECT sum(a.n + b.n + c.n + d.n) FROM policy_numbers a, policy_numbers b,"
    " policy_numbers c, policy_numbers d"
)
TOO_LONG = r"ran for more than 1 second \(limits\.statement_seconds\)"


# Alone, and with its answers counted.
@pytest.mark.parametrize("others", [{}, {"result_rows": 100}], ids=["alone", "metered"])
def test_a_statement_that_runs_too_long_is_stopped_by_the_rule_that_says_so(
    counted: Route, others: dict[str, int]
) -> None:
    limit(counted, statement_seconds=1, **others)
    with closing(connect(counted)) as session, session.cursor() as cursor:
        with pytest.raises(pymysql.MySQLError, match=TOO_LONG) as raised:
            cursor.execute(LONG)
        assert number_of(raised) == 1317
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
        counted.proxy.audit_events(lambda records: any(is_stopped(record) for record in records))


def is_stopped(record: Any) -> bool:
    unmapped = record.get("unmapped", {})
    return (
        "d.n) FROM policy_numbers" in record.get("query_info", {}).get("query_string", "")
        and record.get("status_code") == "70100"
        and unmapped.get("outcome") == "failed"
        and unmapped.get("rule") == "limits.statement_seconds"
    )


def test_in_the_middle_of_its_rows_a_statement_is_stopped_too(counted: Route) -> None:
    limit(counted, statement_seconds=1)
    with closing(connect(counted)) as session:
        seen: list[Any] = []
        with session.cursor(SSCursor) as cursor:
            cursor.execute(
                "SELECT a.n FROM policy_numbers a, policy_numbers b, policy_numbers c"
                " /* rows and rows */"
            )
            with pytest.raises(pymysql.MySQLError, match=TOO_LONG):
                repeat(10**9, lambda: seen.append(cursor.fetchone()))
        assert len(seen) > 1000
        with session.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)


def test_commands_sent_ahead_have_each_its_own_time(counted: Route) -> None:
    limit(counted, statement_seconds=1)
    with closing(connect(counted)) as session:
        for text in (LONG, "SELECT 2"):
            session._execute_command(COMMAND.COM_QUERY, text)
            session._next_seq_id = 1
            session._result = None
        with pytest.raises(pymysql.MySQLError, match=TOO_LONG):
            session._read_query_result()
        session._next_seq_id = 1
        session._read_query_result()
        assert session._result.rows == ((2,),)


def test_a_minute_has_so_many_statements(counted: Route) -> None:
    limit(counted, statements_per_minute=50)
    with closing(connect(counted)) as session, session.cursor() as cursor:
        with pytest.raises(pymysql.MySQLError, match=r"limits\.statements_per_minute") as raised:
            repeat(60, lambda: cursor.execute("SELECT 1"))
        assert number_of(raised) == 1226
        session.rollback()


def test_the_days_rows_are_those_of_all_sessions(counted: Route) -> None:
    wait_past_midnight()
    limit(counted, rows_per_day=1000)
    with closing(connect(counted)) as one, closing(connect(counted)) as other:
        with one.cursor() as cursor:
            cursor.execute(SEQUENCE.format(600))
        with other.cursor() as cursor, pytest.raises(pymysql.MySQLError, match="end of the day's"):
            cursor.execute(SEQUENCE.format(600))
        with one.cursor() as cursor, pytest.raises(pymysql.MySQLError, match="used up"):
            cursor.execute("SELECT 1")


def test_sessions_of_a_minute_are_counted(counted: Route) -> None:
    limit(counted, sessions_per_minute=20)
    with pytest.raises(pymysql.MySQLError, match=r"limits\.sessions_per_minute") as raised:
        repeat(30, lambda: connect(counted).close())
    assert number_of(raised) == 1040


def test_a_session_that_idles_beyond_its_policy_ends(counted: Route) -> None:
    limit(counted, idle_seconds=1)
    with closing(connect(counted)) as session:

        def is_over() -> bool:
            return bool(session._sock.recv(1) == b"")

        session._sock.settimeout(45)
        wait_until(is_over, what="the session to end")


OVERLONG = (
    "SELECT sum(a.n + b.n + c.n + d.n) AS overlong FROM policy_numbers a, policy_numbers b,"
    " policy_numbers c, policy_numbers d"
)


@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "busy"])
def test_a_session_ends_at_its_policys_longest_duration(counted: Route, is_busy: bool) -> None:
    # Long enough for a login and a statement on a busy machine.
    limit(counted, session_seconds=4)
    with closing(connect(counted)) as session, session.cursor() as cursor:
        cursor.execute("SELECT 1")
        # What a server says unasked has number 0.
        session._next_seq_id = 0
        wait = partial(cursor.execute, OVERLONG) if is_busy else session._read_packet
        with pytest.raises(pymysql.MySQLError, match="has reached its longest") as raised:
            wait()
        assert number_of(raised) == 4031
    wait_until(lambda: not running(counted, "overlong"), what="the server to stop")
    # Each session has its own time.
    with closing(connect(counted)) as another, another.cursor() as cursor:
        cursor.execute("SELECT 2")
        assert cursor.fetchone() == (2,)


def is_refused(route: Route, said: str, how: dict[str, Any]) -> bool:
    try:
        connect(route, **how).close()
    except pymysql.MySQLError as error:
        return said in str(error)
    return False


def test_hours_networks_and_tls_are_asked_at_the_login(counted: Route) -> None:
    past = datetime.now(UTC) - timedelta(hours=2)
    hour = {
        "days": [DAYS[past.weekday()]],
        "start": past.strftime("%H:%M"),
        "until": (past + timedelta(minutes=1)).strftime("%H:%M"),
    }
    clear: dict[str, Any] = {"ssl": None, "ssl_disabled": True}
    for client, said, how in (
        ({"hours": [hour]}, "client.hours", {}),
        ({"networks": ["198.51.100.0/24"]}, "client.networks", {}),
        ({"require_tls": True}, "must use TLS", clear),
    ):
        policy = policy_from({"version": 1, "access": "full", "client": client})
        put(counted, policy, of_source=True)
        wait_until(partial(is_refused, counted, said, how), what=said)
