"""The use of a stored credential, over a real server."""

from __future__ import annotations

from proxy.store import SealedCredential, Store, TlsSettings, draft_source, seal_credential
from proxy.store.records import Workspace
from tests.faults.office import Office
from tests.servers.fixtures import ProxyFactory
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Record
from tests.servers.roles import CERT, SCRAM
from vault import Secret


def uses(office: Office, purpose: str) -> list[Record]:
    return [
        record
        for record in office.proxy.audit_events()
        if record.get("message") == "Credential use" and record["unmapped"]["purpose"] == purpose
    ]


def test_every_use_of_a_client_key_is_recorded_also_when_its_context_is_remembered(
    start_proxy: ProxyFactory, postgres: PostgresServer
):
    office = Office(start_proxy(), postgres)
    certificates = office.proxy.certificates

    async def add(store: Store, workspace: object) -> None:
        found = await store.workspace(office.name)
        draft = draft_source(
            found,
            "cert",
            engine="postgresql",
            host=postgres.host,
            port=postgres.port,
            database=postgres.database,
            username=CERT.name,
            tls=TlsSettings(
                ca_pem=certificates.ca.read_text(),
                client_cert_pem=certificates.certificate("client").read_text(),
            ),
            auth_methods=frozenset({"cert"}),
        )
        key = Secret(certificates.key("client").read_bytes())
        sealed = SealedCredential(
            client_key=seal_credential(office.proxy.vault, found, draft, key, "client_key")
        )
        await store.add_source(draft, sealed)

    office.change(add)
    for _ in range(3):
        with office.session("cert") as client:
            assert client.value("SELECT current_user") == CERT.name
    assert len(uses(office, "client_key")) == 3
    assert office.proxy.metrics()["credential_uses_total{outcome=used}"] == 3


def test_every_use_of_a_password_is_recorded(start_proxy: ProxyFactory, postgres: PostgresServer):
    office = Office(start_proxy(), postgres)
    for _ in range(2):
        office.session().close()
    assert len(uses(office, "password")) == 2


def test_a_credential_that_the_source_does_not_accept_is_counted(
    start_proxy: ProxyFactory, postgres: PostgresServer
):
    office = Office(start_proxy(), postgres)

    async def add(store: Store, found: Workspace) -> None:
        draft = draft_source(
            found,
            "stale",
            engine="postgresql",
            host=postgres.host,
            port=postgres.port,
            database=postgres.database,
            username=SCRAM.name,
            tls=TlsSettings(ca_pem=office.proxy.certificates.ca.read_text()),
        )
        sealed = seal_credential(office.proxy.vault, found, draft, Secret(b"of last year"))
        await store.add_source(draft, SealedCredential(sealed))

    office.change(add)
    assert office.refusal(source="stale").code == "08004"
    office.proxy.wait_until_quiet()
    found = office.proxy.metrics()
    assert found["credential_uses_total{outcome=used}"] == 1
    assert found["credential_uses_total{outcome=rejected}"] == 1
