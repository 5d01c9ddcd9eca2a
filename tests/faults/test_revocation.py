"""What is changed in the store cuts the sessions it must cut, within a bounded wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from proxy.store import SealedCredential, Store, Workspace, seal_credential
from tests.conftest import PostgresFactory
from tests.faults.office import SOURCE, Office, fatal
from tests.hostile.raw import RawClient
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import MD5
from vault import Secret

# A change reaches the proxy within a second; the rest is for a busy machine.
WITHIN = 4.0


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def cutting_proxy(
    request: pytest.FixtureRequest, server_folder: Path, certificates: Certificates
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
        server_folder / f"revocation-{request.param}", certificates, **settings
    ).start()
    yield proxy
    proxy.remove()
    if server is not None:
        server.remove()


@pytest.fixture
def office(cutting_proxy: ProxyServer, postgres: PostgresServer) -> Office:
    return Office(cutting_proxy, postgres, f"w{uuid4().hex[:12]}")


@pytest.fixture
def session(office: Office) -> Iterator[RawClient]:
    with office.session() as client:
        assert client.value("SELECT 1") == "1"
        client.socket.settimeout(WITHIN)
        yield client


def test_a_revoked_token_cuts_its_sessions_and_no_others(office: Office):
    first, second = office.token, office.proxy.create_token(office.name)
    with office.session() as session:
        office.token = second
        with office.session() as other:
            office.proxy.revoke_token(office.name, first)
            session.socket.settimeout(WITHIN)
            assert fatal(session).code == "57P01"
            assert other.value("SELECT 1") == "1"
    office.token = first
    assert office.refusal().code == "28P01"


def test_a_suspended_workspace_loses_its_sessions_and_logins(office: Office, session: RawClient):
    office.proxy.suspend(office.name)
    refused = fatal(session)
    assert refused.code == "57P01"
    assert refused.text == "the workspace or its token may no longer use this session"
    assert office.refusal().code == "42501"
    office.proxy.resume(office.name)


def test_a_removed_source_cuts_its_sessions_and_not_those_of_another(
    office: Office, session: RawClient, postgres: PostgresServer
):
    office.proxy.add_source(office.name, "ledger", postgres)
    with office.session("ledger") as other:
        office.proxy.remove_source(office.name, SOURCE)
        refused = fatal(session)
        assert (refused.code, refused.text) == ("57P01", "the data source was removed")
        assert other.value("SELECT 1") == "1"
    assert office.refusal().code == "3D000"


def test_a_moved_source_cuts_its_sessions(office: Office, session: RawClient):
    async def move(store: Store, workspace: Workspace) -> None:
        stored = await store.source(workspace, SOURCE)
        edited = replace(stored, host="localhost")
        secret = Secret(b"given-again")
        sealed = SealedCredential(seal_credential(office.proxy.vault, workspace, edited, secret))
        await store.edit_source(edited, sealed)

    office.change(move)
    refused = fatal(session)
    assert (refused.code, refused.text) == ("57P01", "the data source was moved")


def test_a_running_statement_of_a_cut_session_is_stopped_at_the_server(
    office: Office, session: RawClient
):
    sleep = f"SELECT pg_sleep(60), '{office.name}'"
    session.send(b"Q" + (len(sleep) + 5).to_bytes(4, "big") + sleep.encode() + b"\0")
    office.wait_until_running(office.name)
    office.proxy.suspend(office.name)
    assert fatal(session).code == "57P01"
    office.wait_until_not_running(office.name)


def test_a_rotated_password_cuts_nothing(office: Office, session: RawClient):
    async def rotate(store: Store, workspace: Workspace) -> None:
        stored = await store.source(workspace, SOURCE)
        secret = Secret(b"the-new-password")
        sealed = SealedCredential(seal_credential(office.proxy.vault, workspace, stored, secret))
        await store.rotate_credential(stored, sealed)

    other = Office(office.proxy, office.server, f"{office.name}-other")
    with other.session() as marker:
        office.change(rotate)
        # Changes come in order: once this one has been seen, so has the rotation.
        office.proxy.suspend(other.name)
        marker.socket.settimeout(WITHIN)
        assert fatal(marker).code == "57P01"
    assert session.value("SELECT 1") == "1"
    # The new password is used from now on; the server does not know it.
    assert office.refusal().code == "08004"


def test_a_token_that_expires_cuts_its_sessions(office: Office):
    lasting, office.token = (
        office.token,
        office.token_until(datetime.now(UTC) + timedelta(seconds=1.5)),
    )
    with office.session() as client:
        refused = fatal(client)
        assert (refused.code, refused.text) == ("57P01", "the token of this session has expired")
    assert office.refusal().code == "28P01"
    office.token = lasting
    office.session().close()
