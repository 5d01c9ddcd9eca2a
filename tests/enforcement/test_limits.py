"""Limits of statements, answers and sessions, on a real PostgreSQL."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pytest

from policies.document import Policy, policy_from
from tests.enforcement.conftest import Bureau
from tests.faults.office import fatal
from tests.hostile.raw import SYNC, bind, execute, fields_of, first_column, parse, query
from tests.servers.waiting import wait_past_midnight

CUT = psycopg.errors.ConfigurationLimitExceeded


def limited(access: str = "full", **limits: int) -> Policy:
    return policy_from({"version": 1, "access": access, "limits": limits})


def rows_of(session: psycopg.Connection[Any], sql: str) -> list[tuple[Any, ...]]:
    """The rows that come before the end, or the error, of a simple query."""
    wire = session.pgconn
    wire.send_query(sql.encode())
    wire.set_single_row_mode()
    found: list[tuple[Any, ...]] = []
    while (result := wire.get_result()) is not None:
        found += [(result.get_value(at, 0),) for at in range(result.ntuples)]
        if result.error_message:
            assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"53400"
    return found


@pytest.mark.parametrize("access", ["full", "read-only"])
def test_a_result_is_cut_at_its_row_and_the_session_goes_on(bureau: Bureau, access: str) -> None:
    office = bureau.office(limited(access, result_rows=10))
    with office.connect() as session:
        assert len(session.execute("SELECT g FROM generate_series(1, 10) g").fetchall()) == 10
        sql = "SELECT g FROM generate_series(1, 11) g"
        assert rows_of(session, sql) == [(b"%d" % n,) for n in range(1, 11)]
        for prepare in (False, True):
            with pytest.raises(CUT) as raised:
                session.execute("SELECT g FROM generate_series(1, 12) g", prepare=prepare)
            assert raised.value.diag.message_primary == (
                "refused by policy: the result was cut at 10 rows (limits.result_rows)"
            )
        assert session.execute("SELECT 1").fetchone() == (1,)
    record = office.record_of("generate_series(1, 11)")
    assert record["unmapped"]["rule"] == "limits.result_rows"
    assert record["unmapped"]["outcome"] == "failed"
    assert record["status_code"] == "53400"
    assert office.proxy.metrics()["policy_refusals_total{part=limits}"] >= 1


def test_what_goes_on_and_on_is_stopped_at_the_server(bureau: Bureau) -> None:
    office = bureau.office(limited(result_bytes=100_000))
    with office.connect() as session:
        sql = "SELECT repeat('x', 1000), generate_series(1, 100000000) /* endless */"
        with pytest.raises(CUT, match=r"100000 bytes \(limits\.result_bytes\)"):
            session.execute(sql)
        office.wait_until_not_running("endless")
        assert session.execute("SELECT 1").fetchone() == (1,)
        big = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000)) TO STDOUT"
        with session.cursor() as cursor, pytest.raises(CUT), cursor.copy(big) as copy:
            list(copy)
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_a_transaction_is_failed_where_the_server_was_stopped(bureau: Bureau) -> None:
    office = bureau.office(limited(result_rows=10))
    with office.connect() as session:
        session.execute("BEGIN")
        with pytest.raises(CUT):
            session.execute("SELECT generate_series(1, 100000000)")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            session.execute("SELECT 1")
        session.execute("ROLLBACK")
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_a_statement_in_a_pipeline_is_cut_in_its_place(bureau: Bureau) -> None:
    office = bureau.office(limited(result_rows=10))
    with office.connect() as session:
        with session.pipeline() as pipeline:
            first = session.execute("SELECT 1")
            pipeline.sync()
            second = session.execute("SELECT g FROM generate_series(1, 50) g")
            with pytest.raises(CUT):
                pipeline.sync()
            third = session.execute("SELECT 3")
            pipeline.sync()
        assert first.fetchone() == (1,)
        assert second.description is None
        assert third.fetchone() == (3,)


def test_rows_of_a_write_that_are_too_many_end_the_session(bureau: Bureau) -> None:
    office = bureau.office(limited(result_rows=3))
    with office.connect() as session, pytest.raises(psycopg.OperationalError, match="was cut"):
        session.execute(
            "INSERT INTO policy_orders (note) SELECT 'cut' FROM generate_series(1, 9) RETURNING 1"
        )


def test_a_cursor_of_the_protocol_is_one_answer(bureau: Bureau) -> None:
    office = bureau.office(limited(result_rows=10))
    with closing(office.session()) as session:
        session.send(query("BEGIN") + parse("s", "SELECT g FROM generate_series(1, 100) g"))
        session.send(bind("p", "s") + SYNC)
        session.until(b"Z")
        session.until(b"Z")
        seen: list[str] = []
        for _ in range(2):
            session.send(execute("p", 4) + SYNC)
            seen += first_column(session.until(b"Z"))
        session.send(execute("p", 4) + SYNC)
        answers = session.until(b"Z")
        seen += first_column(answers)
        assert seen == [str(number) for number in range(1, 11)]
        (error,) = [fields_of(body) for code, body in answers if code == b"E"]
        assert error["C"] == "53400"


def test_a_minute_has_so_many_statements(bureau: Bureau) -> None:
    office = bureau.office(limited(statements_per_minute=3))
    with office.connect() as one, office.connect() as other:
        for session in (one, other, one):
            session.execute("SELECT 1")
        one.execute("ROLLBACK")
        with pytest.raises(CUT, match=r"limits\.statements_per_minute"):
            other.execute("SELECT 'too many'")
    record = office.record_of("too many")
    assert (record["action_id"], record["status_code"]) == (2, "53400")
    assert record["unmapped"]["rule"] == "limits.statements_per_minute"


def test_a_minute_has_so_many_sessions_of_a_workspace_and_of_a_source(bureau: Bureau) -> None:
    two = limited(sessions_per_minute=2)
    for policies in ((two, None), (None, two)):
        office = bureau.office(*policies)
        for _ in range(2):
            office.session().close()
        refused = office.refusal()
        assert refused.code == "53300"
        assert "limits.sessions_per_minute" in refused.text


def test_the_days_rows_are_those_of_all_sessions(bureau: Bureau) -> None:
    wait_past_midnight()
    office = bureau.office(limited(rows_per_day=25))
    with office.connect() as one, office.connect() as other:
        one.execute("SELECT g FROM generate_series(1, 10) g")
        other.execute("SELECT g FROM generate_series(1, 10) g")
        assert len(rows_of(one, "SELECT g FROM generate_series(1, 10) g")) == 5
        with pytest.raises(CUT, match=r"the day's rows are used up \(limits\.rows_per_day\)"):
            other.execute("SELECT 1")
    narrowed = bureau.office(None, limited(bytes_per_day=1000))
    with narrowed.connect() as session, pytest.raises(CUT, match=r"limits\.bytes_per_day"):
        session.execute("SELECT repeat('x', 2000)")


def test_a_session_ends_at_its_longest_duration(bureau: Bureau) -> None:
    office = bureau.office(limited(session_seconds=1))
    with closing(office.session()) as session:
        assert fatal(session).code == "57P01"
