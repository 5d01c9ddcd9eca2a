"""Every statement that was executed is in the audit log exactly once, in order, as it ended."""

from __future__ import annotations

import pytest

from proxy.audit.verify import verify
from tests.conformance.driver import TABLE, Driver
from tests.conformance.office import Office
from tests.servers.proxy import Record

ROWS = 50_000


def workload(driver: Driver) -> list[tuple[str, str, str, int]]:
    """Statements one by one, and what the log must say: text, kind, outcome, rows."""
    return [
        ("SELECT 'one row'", "select", "succeeded", 1),
        (f"SELECT note FROM {TABLE}", "select", "succeeded", 2),
        (f"SELECT note FROM {TABLE} WHERE id > 2", "select", "succeeded", 0),
        ("SELECT note FROM never_made", "select", "failed", 0),
        ("SELEC", "other", "failed", 0),
        ("BEGIN", "transaction", "succeeded", 0),
        (f"INSERT INTO {TABLE} VALUES (3, 'three'), (4, 'four')", "insert", "succeeded", 2),
        (f"UPDATE {TABLE} SET note = 'changed' WHERE id > 1", "update", "succeeded", 3),
        (f"INSERT INTO {TABLE} VALUES (5, 'five')", "insert", "succeeded", 1),
        (f"DELETE FROM {TABLE} WHERE id > 3", "delete", "succeeded", 2),
        ("ROLLBACK", "transaction", "succeeded", 0),
        # The same text again is executed again.
        ("SELECT 'one row'", "select", "succeeded", 1),
        ("SELECT 'several'; SELECT 'in one text'", "select", "succeeded", 2),
        (driver.series(ROWS), "select", "succeeded", ROWS),
        (f"SELECT '{'long ' * 1000}'", "select", "succeeded", 1),
        ("/* a comment */ SELECT '\N{SNOWMAN} \\ \"'", "select", "succeeded", 1),
    ]


def shown(record: Record) -> tuple[str, str, str, int]:
    unmapped = record["unmapped"]
    text = record["query_info"]["query_string"]
    return (text, unmapped["kind"], unmapped["outcome"], unmapped["rows"])


def test_a_scripted_workload_is_recorded_as_it_ran(office: Office):
    script = workload(office.driver)
    with office.session() as session:
        session_id = office.id_of(session)
        for text, _, _, _ in script:
            session.send(text)
            session.answer()
    records = office.records_of_session(session_id)
    assert [shown(record) for record in records] == script
    assert {r["unmapped"]["via"] for r in records} == {"simple"}
    codes = {
        record["query_info"]["query_string"]: record.get("status_code", "") for record in records
    }
    assert codes["SELECT note FROM never_made"] == office.driver.missing_table
    assert codes["SELEC"] not in ("", office.driver.missing_table)
    with_code = [text for text, code in codes.items() if code]
    assert with_code == ["SELECT note FROM never_made", "SELEC"]
    # Each has a number of its own, without a gap.
    uids = [record["query_info"]["uid"] for record in records]
    first = int(uids[0].rpartition("/")[2])
    assert uids == [f"{session_id}/{number}" for number in range(first, first + len(script))]
    large = records[[text for text, *_ in script].index(office.driver.series(ROWS))]
    assert large["query_info"]["bytes"] > ROWS * 4


def test_every_execution_of_a_prepared_statement_is_recorded_once(office: Office):
    text = f"SELECT note FROM {TABLE} WHERE id = 2"
    with office.session() as session:
        session_id = office.id_of(session)
        assert session.prepare_and_execute(text, 3) == [["two"]] * 3
    records = office.records_of_session(session_id)
    executions = [record for record in records if record["unmapped"]["via"] == "execute"]
    assert [shown(record) for record in executions] == [(text, "select", "succeeded", 1)] * 3
    # A preparation is no execution, whatever else tells of it.
    rest = [record["unmapped"]["outcome"] for record in records if record not in executions]
    assert set(rest) <= {"prepared", "succeeded"}
    assert len(rest) <= 1


def test_statements_sent_together_are_recorded_in_their_order(office: Office):
    texts = [f"SELECT 'number {number}'" for number in range(200)]
    texts[50] = "SELECT note FROM never_made"
    with office.session() as session:
        session_id = office.id_of(session)
        session.send(*texts)
        for _ in texts:
            session.answer()
    records = office.records_of_session(session_id)
    assert [record["query_info"]["query_string"] for record in records] == texts
    outcomes = [record["unmapped"]["outcome"] for record in records]
    assert outcomes.pop(50) == "failed"
    assert set(outcomes) == {"succeeded"}


@pytest.mark.parametrize("end", ["killed", "client gone"])
def test_what_was_interrupted_is_recorded_as_that_and_last(office: Office, end: str):
    with office.session() as session:
        session_id = office.id_of(session)
        session.rows("SELECT 'before'")
        # A server learns that its client has gone when it has something to say.
        office.run_for_long(session, office.name, 60.0 if end == "killed" else 5.0)
        if end == "killed":
            office.control("session.kill", id=session_id)
        else:
            session.close()
        records = office.records_of_session(session_id)
    outcomes = [record["unmapped"]["outcome"] for record in records]
    assert outcomes == ["succeeded", "interrupted"]
    assert office.name in records[1]["query_info"]["query_string"]
    office.wait_until_not_running(office.name)


def test_a_statement_with_a_password_is_recorded_without_it(office: Office):
    name = f"u{office.name}"
    with office.session() as session:
        session_id = office.id_of(session)
        # Whether the account may do that at the server does not matter.
        session.send(f"ALTER USER {name} IDENTIFIED BY 'hunter2 of {name}'")
        session.answer()
        session.send(f"ALTER USER {name} PASSWORD 'hunter2 of {name}'")
        session.answer()
    records = office.records_of_session(session_id)
    assert len(records) == 2
    assert f"hunter2 of {name}" not in office.proxy.audit_text()


def test_the_chain_of_all_this_is_intact(office: Office):
    office.session().close()
    office.proxy.wait_until_quiet()
    found = verify(office.proxy.audit_folder, office.proxy.vault.verification_key())
    assert found.is_intact
