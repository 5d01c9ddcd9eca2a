"""Real servers and one proxy for each kind of them, shared by the run; every test that asks
for ``route`` runs on MariaDB and on MySQL, each with TLS on both legs and in the clear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proxy.store import (
    Failover,
    PoolSettings,
    SealedCredential,
    Store,
    TlsSettings,
    draft_source,
    seal_credential,
)
from proxy.store.engines import ENGINES
from tests.servers.certificates import Certificates
from tests.servers.mariadb import MachineMariadb, NewMariadb
from tests.servers.mysql import MysqlServer
from tests.servers.proxy import ProxyServer
from tests.servers.sql import SqlServer
from tests.servers.sql_accounts import Account
from vault import Secret

WORKSPACE = "drivers"
POOLED = PoolSettings("session")
POOLED_ACCOUNTS = ("ed25519", "sha2_pinned")
"""They have a pooled source besides, which the routes in the clear take: of a pool's connection
a test is seldom the first client."""
# Of each server the account that drivers use directly: few know ed25519, which is why some
# log in through a proxy that does.
DIRECT = {MachineMariadb: "native", NewMariadb: "native", MysqlServer: "sha2"}


@dataclass(frozen=True)
class Route:
    """The same server, directly and through the proxy. ``is_encrypted``: both legs."""

    proxy: ProxyServer
    server: SqlServer
    source: str
    token: str
    is_encrypted: bool

    @property
    def account(self) -> str:
        """The source's user at the server."""
        return self.source.partition("-")[0]

    @property
    def ca(self) -> str:
        """The authority that signed both servers' certificates."""
        return str(self.proxy.certificates.ca)

    @property
    def kind(self) -> str:
        """The server's name in this folder's tests."""
        return "mariadb" if self.server.is_mariadb else "mysql"

    def direct(self) -> dict[str, Any]:
        """Host, port, user, password and database of the server itself."""
        account = self.server.account(DIRECT[type(self.server)])
        return {
            "host": self.server.host,
            "port": self.server.port,
            "user": account.name,
            "password": account.password,
            "database": self.server.database,
        }

    def through(self, **changes: Any) -> dict[str, Any]:
        """The same words for the proxy."""
        return {
            "host": self.proxy.host,
            "port": self.proxy.port,
            "user": WORKSPACE,
            "password": self.token,
            "database": self.source,
        } | changes


# --- sources -----------------------------------------------------------------------------


def tls_of(server: SqlServer, account: Account) -> TlsSettings:
    """How a source reaches the server for that account."""
    ca, client = server.certificates.ca.read_text(), server.certificates.certificate("client")
    if account.leg == "pinned":
        return TlsSettings(mode="disable", server_key_pem=server.public_key)
    if account.leg == "plain":
        return TlsSettings(mode="disable")
    if account.leg == "certificate":
        return TlsSettings(mode="verify-full", ca_pem=ca, client_cert_pem=client.read_text())
    return TlsSettings(mode="verify-full", ca_pem=ca)


def methods_of(account: Account) -> frozenset[str]:
    """What the source must allow: the default, and what has to be chosen by name."""
    if not account.password:
        return frozenset({"trust"})
    return ENGINES["mysql"].default | {account.method}


def add_source(
    proxy: ProxyServer,
    workspace: str,
    server: SqlServer,
    account: str,
    *,
    name: str | None = None,
    username: str | None = None,
    password: str | None = None,
    tls: TlsSettings | None = None,
    methods: frozenset[str] | None = None,
    compression: str = "",
    pooling: PoolSettings | None = None,
    failover: Failover | None = None,
) -> None:
    """A source named after the account; what else is given stands in for what it says.

    Where its leg is compressed, the algorithm is a part of its name.
    """
    entry = server.account(account)
    tls = tls or tls_of(server, entry)

    async def work(store: Store) -> None:
        found = await store.workspace(workspace)
        draft = draft_source(
            found,
            name or (f"{account}-{compression}" if compression else account),
            engine="mysql",
            host=server.host,
            port=server.port,
            database=server.database,
            username=username or account,
            tls=tls,
            auth_methods=methods or methods_of(entry),
            compression=compression,
            pooling=pooling or PoolSettings(),
            failover=failover or Failover(),
        )
        secrets: dict[str, Any] = {}
        if password or entry.password:
            secret = Secret((password or entry.password).encode())
            secrets["password"] = seal_credential(proxy.vault, found, draft, secret)
        if tls.client_cert_pem is not None:
            key = Secret(server.certificates.key("client").read_bytes())
            secrets["client_key"] = seal_credential(proxy.vault, found, draft, key, "client_key")
        await store.add_source(draft, SealedCredential(**secrets) if secrets else None)

    proxy.with_store(work)


# --- proxies -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Entrance:
    """A proxy, and a token of its workspace ``drivers``, which has a source per account."""

    proxy: ProxyServer
    server: SqlServer
    token: str

    def route(self, account: str, *, is_encrypted: bool) -> Route:
        """To one of the server's accounts."""
        return Route(self.proxy, self.server, account, self.token, is_encrypted)


Enter = Callable[[str], Entrance]


@pytest.fixture(scope="session")
def enter(
    request: pytest.FixtureRequest, server_folder: Path, certificates: Certificates
) -> Iterator[Enter]:
    """The entrance to the server of that fixture's name, made at the first call.

    No proxy may have logged an error of its own at the end.
    """
    made: dict[str, Entrance] = {}

    def entrance(name: str) -> Entrance:
        if name not in made:
            server: SqlServer = request.getfixturevalue(name)
            listener: dict[str, Any] = {
                "protocol": "mysql",
                "local_infile": True,
                "compression": ["zlib", "zstd"],
            }
            if server.is_mariadb:
                # The version of a server that no driver asks for what MariaDB lacks.
                listener["server_version"] = "5.7.44-accode-proxy"
            proxy = ProxyServer(server_folder / f"{name}-proxy", certificates, listener=listener)
            made[name] = Entrance(proxy.start(), server, proxy.create_workspace(WORKSPACE))
            for account in server.accounts:
                add_source(proxy, WORKSPACE, server, account.name)
                if account.name in POOLED_ACCOUNTS:
                    add_source(
                        proxy,
                        WORKSPACE,
                        server,
                        account.name,
                        name=f"{account.name}-pooled",
                        pooling=POOLED,
                    )
        return made[name]

    yield entrance
    errors = []
    for one in made.values():
        lines = one.proxy.log_text().splitlines()
        errors += [line for line in lines if '"level": "error"' in line]
        one.proxy.remove()
    assert errors == []


# Server, account, and whether both legs are encrypted.
ROUTES = {
    "mariadb-native": ("mariadb", "native", True),
    "mariadb-ed25519": ("mariadb", "ed25519", False),
    "mysql-sha2": ("mysql", "sha2", True),
    "mysql-pinned": ("mysql", "sha2_pinned", False),
}


@pytest.fixture(params=list(ROUTES))
def route(request: pytest.FixtureRequest, enter: Enter) -> Route:
    """Each server, encrypted on both legs with one account and in the clear with another."""
    name, account, is_encrypted = ROUTES[request.param]
    source = f"{account}-pooled" if account in POOLED_ACCOUNTS else account
    return enter(name).route(source, is_encrypted=is_encrypted)
