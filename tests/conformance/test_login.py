"""Who gets in, who does not, and what each is told."""

from __future__ import annotations

import pytest

from policies.document import policy_from
from protocols.errors import Reason
from tests.conformance.conftest import OfficeFactory
from tests.conformance.fixtures import new_name
from tests.conformance.office import SOURCE, Office
from tests.hostile.stage import CREDENTIAL_USED, LOGON, of_type
from tests.servers.waiting import wait_until


@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "tls"])
def test_a_token_opens_a_session(office: Office, tls: bool):
    with office.session(tls=tls) as session:
        assert session.value("SELECT 'welcome'") == "welcome"
        (shown,) = office.sessions()
        assert (shown["number"], shown["source"]) == (session.number, SOURCE)
        assert (shown["tls"], shown["state"]) == (tls, "idle")


@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "tls"])
def test_a_wrong_token_and_an_unknown_workspace_are_told_alike(office: Office, tls: bool):
    revoked = office.proxy.create_token(office.name)
    office.proxy.revoke_token(office.name, revoked)
    other = office.proxy.create_workspace(new_name())
    nobody = new_name()
    answers = {
        (told.code, told.text.replace(office.name, "...").replace(nobody, "..."))
        for told in (
            office.refusal(token="acp_wrong", tls=tls),
            office.refusal(token=office.token[:-1], tls=tls),
            office.refusal(token=other, tls=tls),
            office.refusal(token=revoked, tls=tls),
            office.refusal(token="acp_wrong", source="missing", tls=tls),
            office.refusal(workspace=nobody, tls=tls),
            office.refusal(workspace=nobody, source="missing", tls=tls),
        )
    }
    wanted = office.code(Reason.AUTHENTICATION_FAILED)
    assert answers == {(wanted, 'password authentication failed for user "..."')}


def test_a_failed_login_is_recorded_and_uses_no_credential(office: Office):
    before = office.driver.logins()
    assert office.refusal(token="acp_wrong").code == office.code(Reason.AUTHENTICATION_FAILED)
    assert office.refusal(source="missing").code == office.code(Reason.UNKNOWN_SOURCE)
    assert office.driver.logins() == before
    records = [
        record
        for record in office.proxy.audit_events()
        if office.name in (record.get("user", {}).get("name"), _workspace_of(record))
    ]
    assert [r["status"] for r in of_type(records, LOGON)] == ["Failure", "Success"]
    assert of_type(records, CREDENTIAL_USED) == []


def _workspace_of(record: dict[str, object]) -> object:
    unmapped = record.get("unmapped")
    return unmapped.get("workspace") if isinstance(unmapped, dict) else None


def test_an_unknown_source_is_told_to_who_has_proved_a_token(office: Office):
    told = office.refusal(source="missing")
    assert told.code == office.code(Reason.UNKNOWN_SOURCE)
    # The same for one that is another workspace's.
    assert told.text == "the data source does not exist, or this workspace may not use it"


def test_a_source_of_another_workspace_is_one_that_is_not_there(office: Office):
    other = Office(office.proxy, office.driver, new_name())
    other.add_source("theirs")
    theirs = office.refusal(source="theirs")
    missing = office.refusal(source="missing")
    assert (theirs.code, theirs.text) == (missing.code, missing.text)


def test_a_suspended_workspace_is_told_so_and_a_wrong_token_is_not(office: Office):
    office.proxy.suspend(office.name)
    wait_until(lambda: not office.can_log_in(), what="the proxy to know")
    assert office.refusal().code == office.code(Reason.NOT_PERMITTED)
    assert "suspended" in office.refusal().text
    wrong = office.refusal(token="acp_wrong")
    assert wrong.code == office.code(Reason.AUTHENTICATION_FAILED)
    office.proxy.resume(office.name)
    wait_until(office.can_log_in, what="the proxy to know again")


def test_a_data_source_that_refuses_the_credential_is_explained(office: Office):
    office.rotate("another-password")
    wait_until(lambda: not office.can_log_in(), what="the proxy to use the new password")
    told = office.refusal()
    assert told.code == office.code(Reason.SOURCE_REFUSED)
    assert "refused the stored credential" in told.text
    office.rotate(office.driver.account.password)
    wait_until(office.can_log_in, what="the proxy to use the right password again")


def test_plaintext_is_refused_where_tls_is_required(start_office: OfficeFactory):
    office = start_office(listener={"plaintext": "never"})
    told = office.refusal()
    assert told.code == office.code(Reason.TLS_REQUIRED)
    assert told.text == "this proxy accepts only encrypted connections"
    # Before anything is asked: also of who has no token at all.
    assert office.refusal(token="acp_wrong").code == told.code
    with office.session(tls=True) as session:
        assert session.value("SELECT 'encrypted'") == "encrypted"


def test_a_policy_may_require_tls(office: Office):
    office.govern(policy_from({"version": 1, "access": "full", "client": {"require_tls": True}}))
    wait_until(lambda: not office.can_log_in(), what="the policy to hold")
    told = office.refusal()
    assert told.code == office.code(Reason.TLS_REQUIRED)
    assert told.text == "refused by policy: this workspace's clients must use TLS"
    with office.session(tls=True) as session:
        assert session.value("SELECT 'encrypted'") == "encrypted"


def test_a_client_from_a_network_that_the_policy_does_not_name_is_refused(office: Office):
    def allow(network: str) -> None:
        client = {"networks": [network]}
        office.govern(policy_from({"version": 1, "access": "full", "client": client}))

    allow("10.20.0.0/16")
    wait_until(lambda: not office.can_log_in(), what="the policy to hold")
    told = office.refusal()
    assert told.code == office.code(Reason.NOT_PERMITTED)
    assert "client.networks" in told.text
    allow("127.0.0.0/8")
    wait_until(office.can_log_in, what="the other policy to hold")
