"""A PostgreSQL behind a proxy, with workspaces that have policies."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from policies.document import Policy
from proxy.store import Store
from tests.conftest import PostgresFactory
from tests.faults.office import Office
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import ADMIN

_OBJECTS = (
    "CREATE TABLE policy_orders (id serial PRIMARY KEY, note text, total numeric,"
    " made timestamptz DEFAULT now())",
    "INSERT INTO policy_orders (note, total) VALUES ('a', 1), ('b', 20)",
    "CREATE TABLE policy_secret (id int, password text)",
    "INSERT INTO policy_secret VALUES (1, 'hidden')",
    "CREATE SEQUENCE policy_numbers",
    "CREATE TYPE policy_enum AS ENUM ('a')",
    "CREATE FUNCTION policy_function() RETURNS int LANGUAGE sql AS"
    " $$ INSERT INTO policy_orders (note) VALUES ('called') RETURNING id $$",
    "CREATE FUNCTION policy_function(int) RETURNS int LANGUAGE sql AS"
    " $$ SELECT policy_function() $$",
    "CREATE PROCEDURE policy_procedure() LANGUAGE sql AS"
    " $$ INSERT INTO policy_orders (note) VALUES ('called') $$",
)


def with_objects(server: PostgresServer) -> Iterator[PostgresServer]:
    """A server with the objects that the statements name; gone at the end."""
    for statement in _OBJECTS:
        server.execute(statement)
    yield server
    server.remove()


@pytest.fixture(scope="module")
def upstream(postgres_factory: PostgresFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL of this file's own."""
    yield from with_objects(postgres_factory())


@pytest.fixture(scope="module")
def proxy(server_folder: Any, certificates: Certificates) -> Iterator[ProxyServer]:
    """A proxy of this folder's own; it must have logged no error of its own at the end."""
    server = ProxyServer(server_folder / "enforcing", certificates).start()
    yield server
    errors = [line for line in server.log_text().splitlines() if '"level": "error"' in line]
    server.remove()
    assert errors == []


class Bureau:
    """Makes workspaces whose source is the PostgreSQL, each with a policy."""

    _numbers = count(1)  # Of all: a proxy may have several servers, one after the other.

    def __init__(self, proxy: ProxyServer, server: PostgresServer) -> None:
        self.proxy = proxy
        self.server = server

    def office(self, policy: Policy | None, narrower: Policy | None = None) -> Office:
        """A workspace with this policy; its source's user is a superuser."""
        office = Office(self.proxy, self.server, f"office{next(self._numbers)}", role=ADMIN)
        self.govern(office, policy, narrower)
        return office

    def govern(self, office: Office, policy: Policy | None, narrower: Policy | None = None) -> None:
        """Give a workspace, and its source, another policy."""

        async def work(store: Store, workspace: Any) -> None:
            await store.policies.set_of_workspace(workspace, policy)
            await store.policies.set_of_source(await store.source(workspace, "orders"), narrower)

        office.change(work)


@pytest.fixture(scope="module")
def bureau(proxy: ProxyServer, upstream: PostgresServer) -> Bureau:
    """Offices at the PostgreSQL."""
    return Bureau(proxy, upstream)
