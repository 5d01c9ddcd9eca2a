"""How long a statement may take, on a real PostgreSQL."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from typing import Any

import psycopg
import pytest

from policies.document import Policy, policy_from
from tests.enforcement.conftest import Bureau
from tests.faults.office import fatal
from tests.hostile.raw import SYNC, bind, execute, fields_of, parse, query
from tests.servers.waiting import wait_until

SENTENCE = "refused by policy: the statement ran for more than 1 second (limits.statement_seconds)"


def limited(access: str = "full", **limits: int) -> Policy:
    found = {"version": 1, "access": access, "limits": {"statement_seconds": 1, **limits}}
    return policy_from(found)


def stopped(session: psycopg.Connection[Any], sql: str, **how: Any) -> str:
    with pytest.raises(psycopg.errors.QueryCanceled) as raised:
        session.execute(sql, **how)
    return str(raised.value.diag.message_primary)


# Judged, with its answers counted, and neither.
@pytest.mark.parametrize(
    "policy",
    [limited(), limited(result_rows=10), limited("read-only")],
    ids=["alone", "metered", "judged"],
)
def test_a_statement_that_runs_too_long_is_stopped_by_the_rule_that_says_so(
    bureau: Bureau, policy: Policy
) -> None:
    office = bureau.office(policy)
    before = office.proxy.metrics().get("policy_refusals_total{part=limits}", 0)
    with office.connect() as session:
        for prepare in (None, True):
            sql = "SELECT count(*) FROM generate_series(1, 1000000000) AS long"
            assert stopped(session, sql, prepare=prepare) == SENTENCE
            assert session.execute("SELECT 1").fetchone() == (1,)
        session.execute("SELECT count(*) FROM generate_series(1, 10) AS short")
    records = [
        record
        for record in office.proxy.audit_events()
        if "AS long" in record.get("query_info", {}).get("query_string", "")
        and record["metadata"]["tenant_uid"] == office.source.workspace_id
        and record["unmapped"]["outcome"] != "prepared"
    ]
    assert len(records) == 2
    for record in records:
        assert record["status_code"] == "57014"
        assert record["unmapped"]["rule"] == "limits.statement_seconds"
    assert office.proxy.metrics()["policy_refusals_total{part=limits}"] == before + 2


def test_a_transaction_is_failed_and_can_be_rolled_back(bureau: Bureau) -> None:
    with bureau.office(limited()).connect() as session:
        session.execute("BEGIN")
        assert stopped(session, "SELECT pg_sleep(30)") == SENTENCE
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            session.execute("SELECT 1")
        session.execute("ROLLBACK")
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_in_a_pipeline_each_statement_has_its_own_time(bureau: Bureau) -> None:
    # Together longer than one may take, and each so much shorter that a busy machine may be slow.
    office = bureau.office(limited(statement_seconds=3))
    with closing(office.session()) as session:
        short = b"".join(
            parse("", f"SELECT {n}, pg_sleep(1)") + bind("", "") + execute() + SYNC
            for n in range(4)
        )
        session.send(short)
        for _ in range(4):
            assert b"D" in [code for code, _ in session.until(b"Z")]


def test_in_a_pipeline_the_one_that_runs_too_long_fails_in_its_place(bureau: Bureau) -> None:
    office = bureau.office(limited())
    with office.connect() as session:
        with session.pipeline() as pipeline:
            first = session.execute("SELECT 1")
            pipeline.sync()
            second = session.execute("SELECT pg_sleep(30)")
            with pytest.raises(psycopg.errors.QueryCanceled) as raised:
                pipeline.sync()
            third = session.execute("SELECT 3")
            pipeline.sync()
        assert raised.value.diag.message_primary == SENTENCE
        assert first.fetchone() == (1,)
        assert second.description is None
        assert third.fetchone() == (3,)


def test_what_stands_before_it_in_its_pipeline_is_told_as_what_it_was(bureau: Bureau) -> None:
    office = bureau.office(limited())
    with closing(office.session()) as session:
        texts = ("SELECT 'before it'", "SELECT pg_sleep(30), 'too long'", "SELECT 'behind it'")
        for text in texts:
            session.send(parse("", text) + bind("", "") + execute())
        session.send(SYNC)
        answers = session.until(b"Z")
        (error,) = [fields_of(body) for code, body in answers if code == b"E"]
        assert (error["C"], error["M"]) == ("57014", SENTENCE)
    for text, outcome, rule in (
        ("before it", "succeeded", None),
        ("too long", "failed", "limits.statement_seconds"),
        ("behind it", "skipped", None),
    ):
        told = office.record_of(text)["unmapped"]
        assert (told["outcome"], told.get("rule")) == (outcome, rule)


def test_a_users_own_cancel_is_the_servers_to_tell(bureau: Bureau) -> None:
    office = bureau.office(limited(sessions=5, statement_seconds=60))
    with office.connect() as session:

        def is_running() -> bool:
            sql = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s"
            found = bureau.server.execute(sql + " AND pid <> pg_backend_pid()", ("%of its own%",))
            return found != []

        def cancel() -> None:
            # One that comes before its statement stops nothing.
            wait_until(is_running, what="the statement to run")
            session.cancel_safe()

        thread = threading.Thread(target=cancel)
        thread.start()
        assert "user request" in stopped(session, "SELECT pg_sleep(60), 'of its own'")
        thread.join()


def test_the_sessions_own_time_limit_is_the_servers_to_tell(bureau: Bureau) -> None:
    with bureau.office(limited(statement_seconds=60)).connect() as session:
        session.execute("SET statement_timeout = 100")
        assert "statement timeout" in stopped(session, "SELECT pg_sleep(30)")


# A cancel that arrives between two of a block's statements is not that block's to catch: while
# the proxy asks again and again, one block now and then let one through. Three never do.
STUBBORN = "PERFORM pg_sleep(5);"
for _ in range(3):
    STUBBORN = f"LOOP BEGIN {STUBBORN} EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;"


def test_what_will_not_be_stopped_loses_its_session(bureau: Bureau) -> None:
    office = bureau.office(limited())
    with closing(office.session()) as session:
        session.send(query(f"DO $$ BEGIN {STUBBORN} END $$ /* stubborn */"))
        refused = fatal(session)
        assert refused.code == "57014"
        assert "does not stop it (limits.statement_seconds)" in refused.text
    assert office.record_of("stubborn")["unmapped"]["outcome"] == "interrupted"
    office.proxy.audit_events(
        lambda records: any("statement_timeout" in json.dumps(record) for record in records)
    )
    bureau.server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%stubborn%'"
        " AND pid <> pg_backend_pid()"
    )
