"""What scenarios on every protocol have in common, whatever proxy they run at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.conformance.driver import Driver
from tests.conformance.mysql import MysqlDriver
from tests.conformance.office import Office
from tests.conformance.postgres import PostgresDriver
from tests.servers.certificates import Certificates
from tests.servers.proxy import ProxyServer

DRIVERS: tuple[type[Driver], ...] = (PostgresDriver, MysqlDriver)


@pytest.fixture(scope="session", params=DRIVERS, ids=lambda driver: driver.name)
def driver(request: pytest.FixtureRequest) -> Driver:
    """A protocol and its server."""
    made: Driver = request.param(request.getfixturevalue(request.param.fixture))
    made.furnish()
    return made


@contextmanager
def faultless(
    folder: Path, certificates: Certificates, driver: Driver, **sections: dict[str, Any]
) -> Iterator[ProxyServer]:
    """A proxy of the protocol; it must have logged no error of its own at the end."""
    proxy = ProxyServer(folder, certificates, listener=dict(driver.listener), **sections).start()
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
