"""Each scenario once for every protocol: see ``driver``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.driver import Driver, Session
from tests.conformance.fixtures import driver, faultless, new_name, office
from tests.conformance.office import Office
from tests.servers.certificates import Certificates
from tests.servers.fixtures import ProxyFactory
from tests.servers.proxy import ProxyServer

__all__ = ["driver", "office"]  # fixtures, seen by pytest where they are named here

OfficeFactory = Callable[..., Office]

# A change reaches the proxy within a second; the rest is for a busy machine.
WITHIN = 40.0


@pytest.fixture(scope="session")
def shared_proxy(
    server_folder: Path, certificates: Certificates, driver: Driver
) -> Iterator[ProxyServer]:
    """A proxy of the protocol; it must have logged no error of its own at the end."""
    folder = server_folder / f"conformance-{driver.name}"
    with faultless(folder, certificates, driver) as proxy:
        yield proxy


@pytest.fixture
def session(office: Office) -> Iterator[Session]:
    """A session of that workspace which has run a statement."""
    with office.session() as session:
        assert session.value("SELECT 'begun'") == "begun"
        session.wait_at_most(WITHIN)
        yield session


@pytest.fixture
def start_office(start_proxy: ProxyFactory, driver: Driver) -> OfficeFactory:
    """A workspace at a proxy of the test's own: ``start_office(limits={...}, listener={...})``."""

    def start(**sections: dict[str, Any]) -> Office:
        listener = dict(driver.listener) | sections.pop("listener", {})
        return Office(start_proxy(listener=listener, **sections), driver, new_name())

    return start
