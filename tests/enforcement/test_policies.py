"""What a policy does to a session, from its login to its end, on a real PostgreSQL."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg
import pytest

from policies.document import DAYS, Access, Policy, policy_from
from tests.enforcement.conftest import Bureau
from tests.faults.office import Office, fatal
from tests.hostile.raw import Refused
from tests.servers.waiting import wait_until


def test_a_refusal_names_its_rule_and_the_session_goes_on(bureau: Bureau) -> None:
    office = bureau.office(Policy(version=1))
    with office.connect() as session:
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as raised:
            session.execute("DELETE FROM policy_orders WHERE note = 'rule'")
        assert raised.value.diag.message_primary == (
            "refused by policy: read-only access does not allow to change rows of policy_orders"
            " (access)"
        )
        assert session.execute("SELECT 1").fetchone() == (1,)
    record = office.record_of("note = 'rule'")
    assert record["action_id"] == 2
    assert record["status_code"] == "42501"
    assert record["unmapped"]["outcome"] == "refused"
    assert record["unmapped"]["rule"] == "access"
    assert office.proxy.metrics()["policy_refusals_total{part=access}"] >= 1


def test_a_transaction_survives_a_refusal_as_an_error_and_can_be_rolled_back(
    bureau: Bureau,
) -> None:
    office = bureau.office(Policy(version=1))
    with office.connect() as session:
        session.execute("BEGIN")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("DELETE FROM policy_orders")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            session.execute("SELECT 1")
        session.execute("ROLLBACK")
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_a_refusal_stands_in_its_place_in_a_pipeline(bureau: Bureau) -> None:
    office = bureau.office(Policy(version=1))
    with office.connect() as session:
        with session.pipeline() as pipeline:
            first = session.execute("SELECT 1")
            pipeline.sync()
            second = session.execute("DELETE FROM policy_orders")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                pipeline.sync()
            third = session.execute("SELECT 3")
            pipeline.sync()
        assert first.fetchone() == (1,)
        assert second.description is None
        assert third.fetchone() == (3,)


def test_the_database_session_only_reads_whatever_the_client_asked_for(bureau: Bureau) -> None:
    office = bureau.office(Policy(version=1))
    with office.connect(options="-c default_transaction_read_only=off") as session:
        assert session.execute("SHOW transaction_read_only").fetchone() == ("on",)
        session.execute("RESET ALL")
        assert session.execute("SHOW transaction_read_only").fetchone() == ("on",)
        session.execute("DISCARD ALL")
        assert session.execute("SHOW default_transaction_read_only").fetchone() == ("on",)


def test_an_encoding_in_which_a_text_has_two_readings_is_refused(bureau: Bureau) -> None:
    office = bureau.office(Policy(version=1))
    with pytest.raises(psycopg.OperationalError, match="the client_encoding must be UTF8"):
        office.connect(client_encoding="SJIS")


def test_read_write_to_two_tables(bureau: Bureau) -> None:
    policy = policy_from(
        {
            "version": 1,
            "access": "read-write",
            "tables": {"read": ["public.policy_*"], "write": ["public.policy_orders"]},
        }
    )
    office = bureau.office(policy)
    with office.connect() as session:
        session.execute("BEGIN")
        session.execute("INSERT INTO policy_orders (note) VALUES ('written')")
        session.execute("ROLLBACK")
        for sql, rule in (
            ("UPDATE policy_secret SET password = 'x'", "tables.write"),
            ("SELECT * FROM other.orders", "tables.read"),
            ("SET search_path = other", "tables.schema"),
            ("CREATE TABLE policy_orders2 (a int)", "features.ddl"),
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match=re.escape(rule)):
                session.execute(sql)
        assert session.execute("SHOW search_path").fetchone() == ('"public"',)


def test_a_denied_column_is_not_read_by_any_name(bureau: Bureau) -> None:
    policy = policy_from({"version": 1, "columns": {"deny": ["public.policy_secret.password"]}})
    office = bureau.office(policy)
    with office.connect() as session:
        assert session.execute("SELECT id FROM policy_secret").fetchall() == [(1,)]
        assert session.execute("SELECT count(*) FROM policy_secret").fetchall() == [(1,)]
        for sql in (
            "SELECT password FROM policy_secret",
            "SELECT * FROM policy_secret",
            "SELECT s FROM policy_secret s",
            "SELECT row_to_json(s) FROM policy_secret s",
            "SELECT b FROM policy_secret AS s(a, b)",
            "SELECT 1 FROM policy_secret WHERE password LIKE 'h%'",
            'SELECT "password" FROM "public"."policy_secret"',
            "SELECT id FROM policy_secret ORDER BY PASSWORD",
            "WITH x AS (TABLE policy_secret) SELECT 1 FROM x",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"columns\.deny"):
                session.execute(sql)


def test_the_policy_of_a_source_narrows_and_never_widens(bureau: Bureau) -> None:
    full = Policy(version=1, access=Access.FULL)
    office = bureau.office(Policy(version=1), full)
    with office.connect() as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("DELETE FROM policy_orders")
    narrowed = bureau.office(full, Policy(version=1))
    with narrowed.connect() as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("DELETE FROM policy_orders")


def test_another_policy_ends_the_sessions_under_the_one_before(bureau: Bureau) -> None:
    office = bureau.office(None)
    with closing(office.session()) as session:
        bureau.govern(office, Policy(version=1))
        assert fatal(session).code == "57P01"
    with office.connect() as again:
        assert again.execute("SHOW transaction_read_only").fetchone() == ("on",)


def test_hours_and_networks_are_asked_at_the_login(bureau: Bureau) -> None:
    now = datetime.now(UTC)
    past = now - timedelta(hours=2)
    closed = policy_from(
        {
            "version": 1,
            "access": "full",
            "client": {
                "hours": [
                    {
                        "days": [DAYS[past.weekday()]],
                        "start": past.strftime("%H:%M"),
                        "until": (past + timedelta(minutes=1)).strftime("%H:%M"),
                    }
                ]
            },
        }
    )
    assert "client.hours" in bureau.office(closed).refusal().text
    elsewhere = policy_from(
        {"version": 1, "access": "full", "client": {"networks": ["198.51.100.0/24"]}}
    )
    assert "client.networks" in bureau.office(elsewhere).refusal().text
    here = policy_from({"version": 1, "access": "full", "client": {"networks": ["127.0.0.0/8"]}})
    bureau.office(here).session().close()


def can_log_in(office: Office) -> bool:
    try:
        office.session().close()
    except Refused:
        return False
    return True


def test_a_policy_bounds_the_sessions_of_its_workspace_and_of_its_source(bureau: Bureau) -> None:
    one = policy_from({"version": 1, "access": "full", "limits": {"sessions": 1}})
    for policies in ((one, None), (None, one)):
        office = bureau.office(*policies)
        with closing(office.session()):
            assert office.refusal().code == "53300"
        wait_until(partial(can_log_in, office), what="the place to be free again")


def test_a_session_that_idles_beyond_its_policy_ends(bureau: Bureau) -> None:
    policy = policy_from({"version": 1, "access": "full", "limits": {"idle_seconds": 1}})
    with closing(bureau.office(policy).session()) as session:
        assert fatal(session).code == "57P05"


TOO_LONG = r"at most 30 bytes \(limits\.statement_bytes\)"


# Where texts are judged, where nothing else is asked of them, and where answers are counted.
@pytest.mark.parametrize("access", ["read-only", "full"])
@pytest.mark.parametrize("others", [{}, {"result_rows": 100}], ids=["alone", "metered"])
def test_a_statement_longer_than_allowed_is_refused(
    bureau: Bureau, access: str, others: dict[str, int]
) -> None:
    limits = {"statement_bytes": 30} | others
    policy = policy_from({"version": 1, "access": access, "limits": limits})
    office = bureau.office(policy)
    with office.connect() as session:
        session.execute("SELECT '123456789012345678901'")
        for prepare in (False, True):
            for padding in (22, 100_000):
                text = "SELECT '%s'" % ("1" * padding)
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match=TOO_LONG):
                    session.execute(text, prepare=prepare)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=TOO_LONG):
            session.execute(f"SELECT 'more than thirty bytes of {office.name}'")
        assert session.execute("SELECT %s::text", ["y" * 100]).fetchone() == ("y" * 100,)
    record = office.record_of(f"thirty bytes of {office.name}")
    assert record["unmapped"]["rule"] == "limits.statement_bytes"
    assert record["unmapped"]["outcome"] == "refused"


def test_a_limit_of_length_alone_asks_nothing_else(bureau: Bureau) -> None:
    policy = policy_from({"version": 1, "access": "full", "limits": {"statement_bytes": 200_000}})
    office = bureau.office(policy)
    with office.connect() as session:
        session.execute("SET ROLE NONE")
        # Longer than what the proxy keeps of a text, which where texts are judged is refused.
        long = "SELECT length('%s')" % ("x" * 150_000)
        for prepare in (False, True):
            assert session.execute(long, prepare=prepare).fetchone() == (150_000,)
        session.execute("PREPARE p AS SELECT 7")
        assert session.execute("EXECUTE p").fetchone() == (7,)


def test_a_statement_whose_end_the_proxy_does_not_keep_is_refused(bureau: Bureau) -> None:
    office = bureau.office(Policy(version=1))
    refused = pytest.raises(psycopg.errors.InsufficientPrivilege, match="whole text")
    with office.connect() as session, refused:
        session.execute("SELECT '" + "x" * 100_000 + "'")
