"""Two proxies that have lived: one on SQLite, one whose store has a password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.canary.postgres_town import STORE_PASSWORD, PostgresTown, furnish
from tests.canary.town import Town
from tests.conftest import PostgresFactory
from tests.hostile.fake_server import FakeServer
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="session")
def aviary(postgres_factory: PostgresFactory) -> Iterator[PostgresServer]:
    """A server whose passwords are canaries."""
    server = postgres_factory()
    furnish(server)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def echo() -> Iterator[FakeServer]:
    """A server that says what it was told."""
    with FakeServer() as server:
        yield server


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def town(
    request: pytest.FixtureRequest,
    server_folder: Path,
    certificates: Certificates,
    postgres_factory: PostgresFactory,
    aviary: PostgresServer,
    echo: FakeServer,
) -> Iterator[Town]:
    """A proxy that has gone every path."""
    url = None
    if request.param == "postgresql":
        # A server apart: no source may be the proxy's own store.
        server = postgres_factory()
        furnish(server)
        place = f"{server.host}:{server.port}/{server.database}"
        url = f"postgresql://canary_store:{quote(STORE_PASSWORD, safe='')}@{place}"
    made = PostgresTown(
        server_folder / f"canary-{request.param}", certificates, aviary, echo, store_url=url
    )
    made.live()
    yield made
    made.proxy.remove()
