"""Every test that asks for ``route`` runs for each way of TLS on both legs."""

from __future__ import annotations

import pytest

from proxy.store import PoolSettings, TlsSettings
from tests.drivers.routes import Direct, Route, Through
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer

WORKSPACE = "drivers"
CLIENT_MODES = {"plain": "disable", "tls": "require"}
SOURCES = {
    "plain": "over-plaintext",
    "verified": "over-verified-tls",
    "pooled": "pooled",
    "shared": "shared",
}
ALL_ROUTES = [f"{client}-to-{source}" for client in CLIENT_MODES for source in SOURCES]
OWN_ROUTES = [name for name in ALL_ROUTES if not name.endswith("-to-shared")]
# Both states of both legs, in half of the time: for what is slow. Of a pool's connection
# a test is seldom the first client.
FEW_ROUTES = ["plain-to-verified", "tls-to-pooled", "tls-to-shared"]


@pytest.fixture(scope="session")
def workspace_token(proxy: ProxyServer, postgres: PostgresServer) -> str:
    """A token of the workspace that holds one source for each way to the server."""
    token = proxy.create_workspace(WORKSPACE)
    proxy.add_source(WORKSPACE, SOURCES["plain"], postgres, tls=TlsSettings(mode="disable"))
    proxy.add_source(
        WORKSPACE,
        SOURCES["pooled"],
        postgres,
        tls=TlsSettings(mode="disable"),
        pooling=PoolSettings("session"),
    )
    proxy.add_source(
        WORKSPACE, SOURCES["shared"], postgres, pooling=PoolSettings("transaction", maximum=20)
    )
    if postgres.certificates is not None:
        proxy.add_source(WORKSPACE, SOURCES["verified"], postgres)
    return token


def make_route(proxy: ProxyServer, postgres: PostgresServer, token: str, name: str) -> Route:
    """The same server, asked directly and by way ``name`` through the proxy."""
    client, source = name.split("-to-")
    return Route(
        Direct(postgres),
        Through(proxy, WORKSPACE, token, SOURCES[source], sslmode=CLIENT_MODES[client]),
        postgres,
    )


@pytest.fixture(params=FEW_ROUTES)
def route(
    request: pytest.FixtureRequest,
    proxy: ProxyServer,
    postgres: PostgresServer,
    workspace_token: str,
) -> Route:
    """A server, direct and through the proxy; override the ways with ``parametrize``."""
    return make_route(proxy, postgres, workspace_token, request.param)
