"""A proxy of two workers, once for each protocol: the drivers are those of ``conformance``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.conformance.driver import Driver
from tests.conformance.mysql import MysqlDriver
from tests.conformance.office import Office
from tests.conformance.postgres import PostgresDriver
from tests.servers.certificates import Certificates
from tests.servers.fixtures import ProxyFactory
from tests.servers.proxy import ProxyServer

DRIVERS: tuple[type[Driver], ...] = (PostgresDriver, MysqlDriver)
WORKERS = 2

OfficeFactory = Callable[..., Office]

ONE_PROTOCOL = pytest.mark.parametrize(
    "driver", [PostgresDriver], indirect=True, ids=lambda driver: driver.name
)
"""For what the supervisor alone does, which knows no protocol."""


@pytest.fixture(scope="session", params=DRIVERS, ids=lambda driver: driver.name)
def driver(request: pytest.FixtureRequest) -> Driver:
    """A protocol and its server."""
    made: Driver = request.param(request.getfixturevalue(request.param.fixture))
    made.furnish()
    return made


@pytest.fixture(scope="session")
def shared_proxy(
    server_folder: Path, certificates: Certificates, driver: Driver
) -> Iterator[ProxyServer]:
    """A proxy of two workers; it must have logged no error of its own at the end."""
    proxy = ProxyServer(
        server_folder / f"workers-{driver.name}",
        certificates,
        listener=dict(driver.listener),
        workers={"count": WORKERS},
    ).start()
    yield proxy
    errors = [line for line in proxy.log_text().splitlines() if '"level": "error"' in line]
    proxy.remove()
    assert errors == []


def new_name() -> str:
    """The name of a workspace that no other test has."""
    return f"w{uuid4().hex[:12]}"


@pytest.fixture
def office(shared_proxy: ProxyServer, driver: Driver) -> Office:
    """A workspace of the test's own at the shared proxy."""
    return Office(shared_proxy, driver, new_name())


@pytest.fixture
def start_office(start_proxy: ProxyFactory, driver: Driver) -> OfficeFactory:
    """A workspace at a proxy of the test's own: ``start_office(limits={...}, workers={...})``."""

    def start(**sections: dict[str, Any]) -> Office:
        listener = dict(driver.listener) | sections.pop("listener", {})
        workers = {"count": WORKERS} | sections.pop("workers", {})
        proxy = start_proxy(listener=listener, workers=workers, **sections)
        return Office(proxy, driver, new_name())

    return start
