"""A policy's refusal stands in its statement's place, and the session goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from policies.document import policy_from
from protocols.errors import Reason
from tests.conformance.driver import TABLE, Driver, Session, Told
from tests.conformance.fixtures import new_name
from tests.conformance.office import Office
from tests.servers.proxy import ProxyServer
from tests.servers.waiting import wait_until

WRITE = f"DELETE FROM {TABLE}"


@pytest.fixture(scope="module")
def office(shared_proxy: ProxyServer, driver: Driver) -> Office:
    """A workspace that may change rows, and delete none."""
    office = Office(shared_proxy, driver, new_name())
    document = {"version": 1, "access": "read-write", "statements": {"deny": ["delete"]}}
    office.govern(policy_from(document))

    def holds() -> bool:
        with office.session() as session:
            session.send("CREATE TABLE never (a int)")
            answer = session.answer()
            return isinstance(answer, Told) and "policy" in answer.text

    wait_until(holds, what="the policy to hold")
    return office


@pytest.fixture
def session(office: Office) -> Iterator[Session]:
    with office.session() as session:
        yield session
        # Whatever was refused changed nothing, and the session goes on.
        assert session.rows(f"SELECT note FROM {TABLE} ORDER BY id") == ["one", "two"]


def is_refused(office: Office, answer: object) -> None:
    assert isinstance(answer, Told), answer
    assert answer.code == office.code(Reason.NOT_PERMITTED)
    assert answer.text.startswith("refused by policy: ")


def test_it_names_its_rule_and_is_recorded(office: Office, session: Session):
    before = office.proxy.metrics().get("policy_refusals_total{part=statements}", 0)
    told = session.error(f"{WRITE} WHERE note = 'by rule'")
    is_refused(office, told)
    assert "(statements.deny)" in told.text
    record = office.record_of("by rule")
    assert (record["action_id"], record["unmapped"]["outcome"]) == (2, "refused")
    assert record["status_code"] == told.sqlstate
    assert record["unmapped"]["rule"] == "statements.deny"
    assert office.proxy.metrics()["policy_refusals_total{part=statements}"] == before + 1


def test_in_a_transaction(office: Office, session: Session):
    session.rows("BEGIN")
    session.rows(f"UPDATE {TABLE} SET note = 'changed' WHERE id = 1")
    is_refused(office, session.error(WRITE))
    # Whether the transaction has failed is the engine's own way; it is still open.
    assert office.sessions()[0]["state"] == "idle in transaction"
    assert session.rows("ROLLBACK") == []


def test_among_statements_sent_together(office: Office, session: Session):
    session.send("SELECT 'first'", WRITE, "SELECT 'third'", WRITE, "SELECT 'fifth'")
    assert session.answer() == ["first"]
    is_refused(office, session.answer())
    assert session.answer() == ["third"]
    is_refused(office, session.answer())
    assert session.answer() == ["fifth"]


@pytest.mark.parametrize(
    "text",
    [f"SELECT 'a'; {WRITE}", f"{WRITE}; SELECT 'a'", f"SELECT 'a'; {WRITE}; SELECT 'b'"],
    ids=["last", "first", "between"],
)
def test_several_statements_in_a_text_are_refused_whole(
    office: Office, session: Session, text: str
):
    is_refused(office, session.error(text))


def test_what_cannot_be_read_is_refused(office: Office, session: Session):
    is_refused(office, session.error("SELEC 'not SQL'"))


def test_a_long_text_whose_end_is_not_kept_is_refused(office: Office, session: Session):
    is_refused(office, session.error(f"SELECT '{'x' * 100_000}'"))
