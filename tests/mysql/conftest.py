"""One MariaDB and one proxy for the run; every test that asks for ``route`` runs for each
account of the data source, each with its own TLS on both legs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proxy.store import (
    SealedCredential,
    Store,
    TlsSettings,
    draft_source,
    seal_credential,
)
from tests.servers.certificates import Certificates
from tests.servers.mariadb import ACCOUNTS, DATABASE, MariadbServer, is_installed
from tests.servers.proxy import ProxyServer
from vault import Secret

WORKSPACE = "drivers"


@dataclass(frozen=True)
class Route:
    """The same server, directly and through the proxy. ``is_encrypted``: both legs."""

    proxy: ProxyServer
    server: MariadbServer
    account: str
    token: str
    is_encrypted: bool

    @property
    def ca(self) -> str:
        """The authority that signed both servers' certificates."""
        return str(self.proxy.certificates.ca)

    def direct(self) -> dict[str, Any]:
        """Host, port, user, password and database of the server itself.

        Always by mysql_native_password: few drivers know ed25519, which is why some log in
        through a proxy that does.
        """
        return {
            "host": self.server.host,
            "port": self.server.port,
            "user": "native",
            "password": ACCOUNTS["native"][1],
            "database": DATABASE,
        }

    def through(self, **changes: Any) -> dict[str, Any]:
        """The same words for the proxy."""
        return {
            "host": self.proxy.host,
            "port": self.proxy.port,
            "user": WORKSPACE,
            "password": self.token,
            "database": self.account,
        } | changes


@pytest.fixture(scope="session")
def mariadb(server_folder: Path, certificates: Certificates) -> Iterator[MariadbServer]:
    """A MariaDB with TLS, shared by the run."""
    if not is_installed():
        pytest.skip("MariaDB is missing: apt install mariadb-server")
    server = MariadbServer(server_folder / "mariadb", certificates)
    try:
        yield server.start()
    finally:
        server.stop()


def add_source(proxy: ProxyServer, workspace: str, server: MariadbServer, account: str) -> None:
    """A source named after the account; ``native`` over verified TLS, ``ed25519`` without."""
    verified = TlsSettings(mode="verify-ca", ca_pem=server.certificates.ca.read_text())

    async def work(store: Store) -> None:
        found = await store.workspace(workspace)
        draft = draft_source(
            found,
            account,
            engine="mysql",
            host=server.host,
            port=server.port,
            database=DATABASE,
            username=account,
            tls=verified if account == "native" else TlsSettings(mode="disable"),
        )
        secret = Secret(ACCOUNTS[account][1].encode())
        sealed = SealedCredential(seal_credential(proxy.vault, found, draft, secret))
        await store.add_source(draft, sealed)

    proxy.with_store(work)


@pytest.fixture(scope="session")
def mysql_proxy(
    server_folder: Path, certificates: Certificates, mariadb: MariadbServer
) -> Iterator[ProxyServer]:
    """A proxy with a MySQL listener; it must have logged no error of its own at the end."""
    # The version of a server that no driver asks for what MariaDB lacks.
    listener = {"protocol": "mysql", "server_version": "5.7.44-accode-proxy", "local_infile": True}
    server = ProxyServer(server_folder / "mysql-proxy", certificates, listener=listener).start()
    yield server
    errors = [line for line in server.log_text().splitlines() if '"level": "error"' in line]
    server.remove()
    assert errors == []


@pytest.fixture(scope="session")
def workspace_token(mysql_proxy: ProxyServer, mariadb: MariadbServer) -> str:
    """A token of the workspace that has a source for each account."""
    token = mysql_proxy.create_workspace(WORKSPACE)
    for account in ACCOUNTS:
        add_source(mysql_proxy, WORKSPACE, mariadb, account)
    return token


@pytest.fixture(params=list(ACCOUNTS))
def route(
    request: pytest.FixtureRequest,
    mysql_proxy: ProxyServer,
    mariadb: MariadbServer,
    workspace_token: str,
) -> Route:
    """Encrypted on both legs with mysql_native_password; in the clear with ed25519."""
    account: str = request.param
    return Route(mysql_proxy, mariadb, account, workspace_token, account == "native")
