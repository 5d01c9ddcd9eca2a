"""Two nodes on one PostgreSQL store, once for each protocol: the drivers of ``conformance``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.driver import Driver
from tests.conformance.fixtures import driver
from tests.conftest import PostgresFactory
from tests.nodes.node import Node, two_nodes
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.store.stores import new_postgresql_url

__all__ = ["driver"]  # a fixture, seen by pytest where it is named here


@pytest.fixture(scope="session")
def stores(postgres_factory: PostgresFactory) -> Iterator[PostgresServer]:
    """The server of the stores. It is none of the sources': none may be the store's own."""
    server = postgres_factory()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def nodes(
    server_folder: Path, certificates: Certificates, stores: PostgresServer, driver: Driver
) -> Iterator[tuple[Node, Node]]:
    """Two nodes that no test stops."""
    with two_nodes(
        server_folder / f"nodes-{driver.name}",
        certificates,
        new_postgresql_url(stores),
        listener=dict(driver.listener),
    ) as pair:
        yield pair
