"""Proxies that have lived: on SQLite, with a store that has a password, and for MySQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.canary.mysql_town import MysqlTown, furnish_mariadb
from tests.canary.postgres_town import STORE_PASSWORD, PostgresTown, furnish
from tests.canary.town import Town
from tests.conftest import PostgresFactory
from tests.hostile.fake_server import FakeServer
from tests.hostile.mysql.fake_server import MysqlPeer
from tests.servers.certificates import Certificates
from tests.servers.mariadb import MachineMariadb, is_installed
from tests.servers.postgres import PostgresServer
from tests.servers.sql import SqlServer


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


@pytest.fixture(scope="session")
def roost(server_folder: Path, certificates: Certificates) -> Iterator[SqlServer]:
    """A MariaDB whose passwords are canaries."""
    if not is_installed():
        pytest.skip("MariaDB is missing: apt install mariadb-server")
    server = MachineMariadb(server_folder / "roost", certificates)
    try:
        furnish_mariadb(server.start())
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def mysql_echo() -> Iterator[FakeServer]:
    """A MySQL server that says what it was told."""
    with FakeServer(MysqlPeer) as server:
        yield server


def _on_sqlite(request: pytest.FixtureRequest, folder: Path, certificates: Certificates) -> Town:
    aviary, echo = request.getfixturevalue("aviary"), request.getfixturevalue("echo")
    return PostgresTown(folder, certificates, aviary, echo)


def _on_postgresql(
    request: pytest.FixtureRequest, folder: Path, certificates: Certificates
) -> Town:
    aviary, echo = request.getfixturevalue("aviary"), request.getfixturevalue("echo")
    # A server apart: no source may be the proxy's own store.
    server = request.getfixturevalue("postgres_factory")()
    furnish(server)
    place = f"{server.host}:{server.port}/{server.database}"
    url = f"postgresql://canary_store:{quote(STORE_PASSWORD, safe='')}@{place}"
    return PostgresTown(folder, certificates, aviary, echo, store_url=url)


def _of_mysql(request: pytest.FixtureRequest, folder: Path, certificates: Certificates) -> Town:
    roost, echo = request.getfixturevalue("roost"), request.getfixturevalue("mysql_echo")
    return MysqlTown(folder, certificates, roost, echo)


TOWNS = {
    "sqlite": _on_sqlite,
    "postgresql": _on_postgresql,
    "mysql": _of_mysql,
}


@pytest.fixture(scope="session", params=list(TOWNS))
def town(
    request: pytest.FixtureRequest, server_folder: Path, certificates: Certificates
) -> Iterator[Town]:
    """A proxy that has gone every path."""
    folder = server_folder / f"canary-{request.param}"
    made = TOWNS[request.param](request, folder, certificates)
    made.live()
    yield made
    made.proxy.remove()
