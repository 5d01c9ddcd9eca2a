"""What is changed in the store cuts the sessions it must cut, and no others, within a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policies.document import policy_from
from protocols.errors import Reason
from proxy.store import SealedCredential, Store, Workspace, seal_credential
from tests.conformance.conftest import WITHIN
from tests.conformance.driver import Driver, Session
from tests.conformance.fixtures import new_name
from tests.conformance.office import SOURCE, Office
from tests.conftest import PostgresFactory
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import MD5
from tests.servers.waiting import wait_until
from vault import Secret


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def cutting_proxy(
    request: pytest.FixtureRequest, driver: Driver, server_folder: Path, certificates: Certificates
) -> Iterator[ProxyServer]:
    """A proxy on a store of either kind."""
    settings = {}
    server: PostgresServer | None = None
    if request.param == "postgresql":
        make: PostgresFactory = request.getfixturevalue("postgres_factory")
        server = make()
        # Ports of its own apart, as an operator would have it: see MD5 in pg_hba.conf.
        settings["store"] = {"url": server.url(MD5)}
    proxy = ProxyServer(
        server_folder / f"revocation-{driver.name}-{request.param}",
        certificates,
        listener=dict(driver.listener),
        **settings,
    ).start()
    yield proxy
    proxy.remove()
    if server is not None:
        server.remove()


@pytest.fixture
def office(cutting_proxy: ProxyServer, driver: Driver) -> Office:
    return Office(cutting_proxy, driver, new_name())


def is_cut(office: Office, session: Session, text: str) -> None:
    told = session.ended()
    assert (told.code, told.text) == (office.code(Reason.SESSION_ENDED), text)


NO_LONGER = "the workspace or its token may no longer use this session"


def test_a_revoked_token_cuts_its_sessions_and_no_others(office: Office):
    first, second = office.token, office.proxy.create_token(office.name)
    with office.session() as session:
        office.token = second
        wait_until(office.can_log_in, what="the second token to be known")
        with office.session() as other:
            office.proxy.revoke_token(office.name, first)
            session.wait_at_most(WITHIN)
            is_cut(office, session, NO_LONGER)
            assert other.value("SELECT 'on'") == "on"
    assert office.refusal(token=first).code == office.code(Reason.AUTHENTICATION_FAILED)


def test_a_suspended_workspace_loses_its_sessions_and_logins(office: Office, session: Session):
    office.proxy.suspend(office.name)
    is_cut(office, session, NO_LONGER)
    assert office.refusal().code == office.code(Reason.NOT_PERMITTED)
    office.proxy.resume(office.name)
    wait_until(office.can_log_in, what="the workspace to be let in again")


def test_a_removed_source_cuts_its_sessions_and_not_those_of_another(
    office: Office, session: Session
):
    office.add_source("ledger")
    with office.session("ledger") as other:
        office.proxy.remove_source(office.name, SOURCE)
        is_cut(office, session, "the data source was removed")
        assert other.value("SELECT 'on'") == "on"
    assert office.refusal().code == office.code(Reason.UNKNOWN_SOURCE)


def test_a_moved_source_cuts_its_sessions(office: Office, session: Session):
    async def move(store: Store, workspace: Workspace) -> None:
        stored = await store.source(workspace, SOURCE)
        edited = replace(stored, host="localhost")
        secret = Secret(b"given-again")
        sealed = SealedCredential(seal_credential(office.proxy.vault, workspace, edited, secret))
        await store.edit_source(edited, sealed)

    office.change(move)
    is_cut(office, session, "the data source was moved")


def test_a_source_with_another_database_cuts_its_sessions(office: Office, session: Session):
    async def move(store: Store, workspace: Workspace) -> None:
        stored = await store.source(workspace, SOURCE)
        await store.edit_source(replace(stored, database="elsewhere"), None)

    office.change(move)
    is_cut(office, session, "the data source was moved")


def test_another_policy_cuts_the_sessions_under_the_one_before(office: Office, session: Session):
    office.govern(policy_from({"version": 1, "access": "read-write"}))
    told = session.ended()
    assert told.code == office.code(Reason.SESSION_ENDED)
    assert "policy" in told.text


def test_a_running_statement_of_a_cut_session_is_stopped_at_the_server(
    office: Office, session: Session
):
    session_id = office.id_of(session)
    office.run_for_long(session, office.name)
    office.proxy.suspend(office.name)
    is_cut(office, session, NO_LONGER)
    office.wait_until_not_running(office.name)
    *_, last = office.records_of_session(session_id)
    assert last["unmapped"]["outcome"] == "interrupted"


def test_a_rotated_password_cuts_nothing_and_is_used_from_now_on(office: Office, session: Session):
    other = Office(office.proxy, office.driver, new_name())
    with other.session() as marker:
        office.rotate("the-new-password")
        # Changes come in order: once this one has been seen, so has the rotation.
        other.proxy.suspend(other.name)
        marker.wait_at_most(WITHIN)
        is_cut(other, marker, NO_LONGER)
    assert session.value("SELECT 'on'") == "on"
    # The server does not know the new password.
    assert office.refusal().code == office.code(Reason.SOURCE_REFUSED)


def test_a_token_that_expires_cuts_its_sessions(office: Office):
    soon = office.token_until(datetime.now(UTC) + timedelta(seconds=4))
    lasting, office.token = office.token, soon
    with office.session() as session:
        is_cut(office, session, "the token of this session has expired")
    assert office.refusal().code == office.code(Reason.AUTHENTICATION_FAILED)
    office.token = lasting
    office.session().close()
