"""A primary with its standby, and workspaces whose sources name both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.conftest import PostgresFactory
from tests.failover.cluster import Cluster
from tests.servers.certificates import Certificates
from tests.servers.proxy import ProxyServer
from tests.servers.standby import make_standby

CONNECT_SECONDS = 4.0
_NUMBERS = count()


@pytest.fixture(scope="session")
def make_cluster(
    postgres_factory: PostgresFactory, server_folder: Path
) -> Iterator[Callable[[], Cluster]]:
    """Start a primary and a standby that follows it."""
    made: list[Cluster] = []

    def make() -> Cluster:
        primary = postgres_factory()
        standby = make_standby(primary, server_folder / f"standby{next(_NUMBERS)}")
        made.append(Cluster(primary, standby))
        return made[-1]

    yield make
    for cluster in made:
        cluster.standby.remove()
        cluster.primary.remove()


@pytest.fixture(scope="module")
def cluster(make_cluster: Callable[[], Cluster]) -> Cluster:
    """A primary and its standby: leave them as they are."""
    return make_cluster()


@pytest.fixture
def own_cluster(make_cluster: Callable[[], Cluster]) -> Iterator[Cluster]:
    """The same for one test alone, to promote and kill."""
    cluster = make_cluster()
    yield cluster
    cluster.standby.remove()
    cluster.primary.remove()


@pytest.fixture(scope="module")
def office_proxy(server_folder: Path, certificates: Certificates) -> Iterator[ProxyServer]:
    """A proxy that waits four seconds for a data source, all its hosts together."""
    proxy = ProxyServer(
        server_folder / f"failover-proxy{next(_NUMBERS)}",
        certificates,
        limits={"connect_timeout": CONNECT_SECONDS},
        audit={"sync_interval": 0.01},
    )
    try:
        yield proxy.start()
    finally:
        proxy.remove()
