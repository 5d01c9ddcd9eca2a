"""A proxy for each file of tests, and a server of its own that it may break."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import PostgresFactory
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer


@pytest.fixture(scope="module")
def upstream(postgres_factory: PostgresFactory) -> Iterator[PostgresServer]:
    """A server to kill and freeze; each test leaves it running."""
    server = postgres_factory()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def module_proxy(
    request: pytest.FixtureRequest, server_folder: Any, certificates: Any
) -> Iterator[ProxyServer]:
    """A proxy of one file's own; its ``SETTINGS`` are over what tests need."""
    settings: dict[str, dict[str, Any]] = getattr(request.module, "SETTINGS", {})
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_")
    proxy = ProxyServer(
        server_folder / f"faults-{name}",
        certificates,
        **{key: dict(v) for key, v in settings.items()},
    ).start()
    yield proxy
    proxy.remove()
