"""A proxy of the pool's tests, whose metrics count nothing but their sessions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.pool.pooled import PooledSource
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer

_NUMBERS = count()


@pytest.fixture(scope="package")
def pool_proxy(server_folder: Path, certificates: Certificates) -> Iterator[ProxyServer]:
    proxy = ProxyServer(server_folder / "pool-proxy", certificates, audit={"sync_interval": 0.01})
    try:
        yield proxy.start()
    finally:
        proxy.remove()


@pytest.fixture
def pooled(pool_proxy: ProxyServer, postgres: PostgresServer) -> PooledSource:
    """A workspace of the test's own, with a pooled source on a PostgreSQL over TLS."""
    return PooledSource(pool_proxy, postgres, f"pool{next(_NUMBERS)}")
