"""A proxy for each file of tests, and a server of its own that it may break.

After each test on such a proxy its descriptors and tasks are as many as before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.conftest import PostgresFactory
from tests.faults.office import Office
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.waiting import wait_until


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


@pytest.fixture(scope="session")
def rests() -> dict[ProxyServer, dict[str, float]]:
    """By proxy, what it holds when nobody uses it."""
    return {}


@pytest.fixture(autouse=True)
def nothing_is_left_behind(
    request: pytest.FixtureRequest, rests: dict[ProxyServer, dict[str, float]]
) -> Iterator[None]:
    """Wait after each fault until the proxy holds no more than when it was at rest.

    A proxy that is one test's own ends with it, and is not asked.
    """
    asked = [name for name in _SHARED if name in request.fixturenames]
    if not asked:
        yield
        return
    proxy: ProxyServer = request.getfixturevalue(asked[0])
    if proxy not in rests:
        rests[proxy] = _rest(proxy, request.getfixturevalue("postgres"))
    before, process = rests[proxy], proxy.pid
    yield
    assert proxy.pid == process, "a test that ends the proxy must have one of its own"

    def is_as_before() -> bool:
        held = _held(proxy)
        return all(held[name] <= count for name, count in before.items())

    try:
        wait_until(is_as_before)
    except TimeoutError:
        pytest.fail(f"the proxy holds {_held(proxy)}, and held {before} before")


_SHARED = ("module_proxy", "cutting_proxy", "proxy")
# One beat a second counts the tasks.
_BEATS = "event_loop_lag_seconds_count"


def _held(proxy: ProxyServer) -> dict[str, float]:
    return {"tasks": proxy.metrics()["tasks"], "descriptors": float(_descriptors(proxy))}


def _descriptors(proxy: ProxyServer) -> int:
    """All but those of the store's pool, which may grow to its bound at any time."""
    store = urlsplit(proxy.store_url)
    file = "/" + store.path.lstrip("/")
    port = f":{store.port or 0:04X}"
    connections = {
        f"socket:[{fields[9]}]"
        for line in Path(f"/proc/{proxy.pid}/net/tcp").read_text().splitlines()[1:]
        if (fields := line.split())[2].endswith(port)
    }
    count = 0
    for descriptor in Path(f"/proc/{proxy.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            target = os.readlink(descriptor)
            count += not target.startswith(file) and target not in connections
    return count


def _rest(proxy: ProxyServer, postgres: PostgresServer) -> dict[str, float]:
    """Once it has had a session: that makes what stays, threads and connections of the store."""
    with Office(proxy, postgres, f"first-{uuid4().hex[:8]}").session() as client:
        client.query("SELECT 1")
    proxy.wait_until_quiet()
    beats = proxy.metrics()[_BEATS]
    wait_until(lambda: proxy.metrics()[_BEATS] > beats + 1, what="the tasks to be counted")
    return _held(proxy)
