"""How long a session may stay: idle, idle in a transaction, in all."""

from __future__ import annotations

import pytest

from policies.document import policy_from
from protocols.errors import Reason
from tests.conformance.conftest import OfficeFactory
from tests.conformance.driver import TABLE
from tests.conformance.office import Office


def test_an_idle_session_ends_and_a_running_statement_is_not_idle(start_office: OfficeFactory):
    office = start_office(limits={"idle_timeout": 1.0})
    with office.session() as idle, office.session() as busy:
        # Longer than the limit and the sweep together.
        assert busy.value(office.driver.sleep(2.5, "not idle")) == "not idle"
        told = idle.ended()
        assert told.code == office.code(Reason.IDLE_TIMEOUT)
        assert told.text == "this session was idle for too long"
        assert busy.ended().code == told.code


def test_an_idle_transaction_ends_and_an_idle_session_does_not(start_office: OfficeFactory):
    office = start_office(limits={"transaction_idle_timeout": 1.0})
    with office.session() as idle, office.session() as session:
        session.rows("BEGIN")
        session.rows(f"UPDATE {TABLE} SET note = 'lost' WHERE id = 1")
        told = session.ended()
        assert told.code == office.code(Reason.IDLE_TIMEOUT)
        assert told.text == "this session was idle in a transaction for too long"
        assert idle.value(f"SELECT note FROM {TABLE} WHERE id = 1") == "one"


@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "busy"])
def test_a_session_ends_at_its_longest_duration_whatever_it_does(
    start_office: OfficeFactory, is_busy: bool
):
    office = start_office(limits={"session_timeout": 2.0})
    with office.session() as session:
        if is_busy:
            session.send(office.driver.sleep(60, "too long"))
        told = session.ended()
    assert told.code == office.code(Reason.SESSION_TIMEOUT)
    assert told.text == "this session has reached its longest duration"
    office.wait_until_not_running("too long")


@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "busy"])
def test_a_policys_longest_duration_ends_a_session_and_its_running_statement_is_told(
    office: Office, is_busy: bool
):
    limits = {"session_seconds": 4}
    office.govern(policy_from({"version": 1, "access": "full", "limits": limits}))
    with office.session() as session:
        number = office.id_of(session)
        if is_busy:
            office.run_for_long(session, "beyond its policy")
        told = session.ended()
    assert told.code == office.code(Reason.SESSION_TIMEOUT)
    assert told.text == "this session has reached its longest duration"
    office.wait_until_not_running("beyond its policy")
    records = office.records_of_session(number)
    assert [r["unmapped"]["outcome"] for r in records] == ["interrupted"] * is_busy
    # It is the session's own time, and the workspace may have another one.
    with office.session() as another:
        assert another.value("SELECT 'another'") == "another"
