"""Fixtures for proxies; ``tests/conftest.py`` imports them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.servers.certificates import Certificates
from tests.servers.proxy import ProxyServer

ProxyFactory = Callable[..., ProxyServer]
_NUMBERS = count()


@pytest.fixture(scope="session")
def proxy(server_folder: Path, certificates: Certificates) -> Iterator[ProxyServer]:
    """A proxy shared by the run: make workspaces of your own; do not stop it.

    Whatever tests did to it, it must have logged no error of its own.
    """
    server = ProxyServer(server_folder / "proxy", certificates).start()
    yield server
    errors = [line for line in server.log_text().splitlines() if '"level": "error"' in line]
    server.remove()
    assert not errors, "\n".join(errors)


@pytest.fixture
def start_proxy(server_folder: Path, certificates: Certificates) -> Iterator[ProxyFactory]:
    """Start proxies of one test's own: ``start_proxy(limits={"idle_timeout": 1.0})``."""
    made: list[ProxyServer] = []

    def start(**overrides: dict[str, Any]) -> ProxyServer:
        folder = server_folder / f"own-proxy{next(_NUMBERS)}"
        server = ProxyServer(folder, certificates, **overrides)
        made.append(server)
        return server.start()

    yield start
    for server in made:
        server.remove()
