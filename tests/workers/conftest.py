"""A proxy of two workers, once for each protocol: the drivers are those of ``conformance``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.driver import Driver
from tests.conformance.fixtures import driver, faultless, new_name, office
from tests.conformance.office import Office
from tests.conformance.postgres import PostgresDriver
from tests.servers.certificates import Certificates
from tests.servers.fixtures import ProxyFactory
from tests.servers.proxy import ProxyServer

__all__ = ["driver", "office"]  # fixtures, seen by pytest where they are named here
WORKERS = 2

OfficeFactory = Callable[..., Office]

ONE_PROTOCOL = pytest.mark.parametrize(
    "driver", [PostgresDriver], indirect=True, ids=lambda driver: driver.name
)
"""For what the supervisor alone does, which knows no protocol."""


@pytest.fixture(scope="session")
def shared_proxy(
    server_folder: Path, certificates: Certificates, driver: Driver
) -> Iterator[ProxyServer]:
    """A proxy of two workers; it must have logged no error of its own at the end."""
    folder = server_folder / f"workers-{driver.name}"
    with faultless(folder, certificates, driver, workers={"count": WORKERS}) as proxy:
        yield proxy


@pytest.fixture
def start_office(start_proxy: ProxyFactory, driver: Driver) -> OfficeFactory:
    """A workspace at a proxy of the test's own: ``start_office(limits={...}, workers={...})``."""

    def start(**sections: dict[str, Any]) -> Office:
        listener = dict(driver.listener) | sections.pop("listener", {})
        workers = {"count": WORKERS} | sections.pop("workers", {})
        proxy = start_proxy(listener=listener, workers=workers, **sections)
        return Office(proxy, driver, new_name())

    return start
