"""One town for all the tests of runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.admin.process import AdminProcess, run
from tests.content.town import Town, TwoListeners
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.sql import SqlServer
from tests.store.stores import new_postgresql_url


@pytest.fixture(scope="session")
def town(
    server_folder: Path,
    certificates: Certificates,
    postgres: PostgresServer,
    postgres18: PostgresServer,
    mariadb: SqlServer,
) -> Iterator[Town]:
    """A proxy over a store on PostgreSQL; it must have logged no error of its own at the end.

    The sources' PostgreSQL is another: no source may be the proxy's own store.
    """
    proxy = TwoListeners(
        server_folder / "town",
        certificates,
        store={"url": new_postgresql_url(postgres)},
        admin={
            "port": 0,
            "tls_certificate": str(certificates.certificate("server")),
            "tls_key": str(certificates.key("server")),
            # Tests look again and again until something has happened.
            "calls_per_key": 1_000_000,
            "calls_per_address": 1_000_000,
        },
    )
    proxy.start()
    yield Town(proxy, postgres18, mariadb)
    errors = [line for line in proxy.log_text().splitlines() if '"level": "error"' in line]
    proxy.remove()
    assert errors == []


@pytest.fixture(scope="session")
def admin(town: Town) -> Iterator[AdminProcess]:
    """The endpoints beside the town's proxy."""
    made = AdminProcess(town.proxy)
    yield made
    assert made.stop() == 0


@pytest.fixture(scope="session")
def operator(town: Town) -> str:
    """An operator's key to them."""
    key: str = run(town.proxy, "admin", "key", "create", "--role", "operator")["key"]
    return key
