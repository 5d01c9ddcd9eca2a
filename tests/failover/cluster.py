"""A primary and its standby, and a workspace whose source has several hosts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import psycopg

from proxy.store import Endpoint, Failover, PoolSettings
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import DataServer, ProxyServer, Record
from tests.servers.tenant import Tenant

_NUMBERS = count()


@dataclass(frozen=True, slots=True)
class Cluster:
    """Two servers, of which the one follows the other."""

    primary: PostgresServer
    standby: PostgresServer


class Listening(Protocol):
    """Something with a name and a port."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


class Shop(Tenant):
    """A workspace with a source ``orders`` on these hosts, of which one is a real server."""

    def __init__(
        self,
        proxy: ProxyServer,
        server: DataServer,
        hosts: Sequence[Listening],
        target: Any = "any",
        balance: Any = "disable",
        *,
        pooling: PoolSettings | None = None,
        **source: Any,
    ) -> None:
        super().__init__(proxy, f"shop{next(_NUMBERS)}")
        first, *others = hosts
        self.source = proxy.add_source(
            self.name,
            "orders",
            server,
            host=first.host,
            port=first.port,
            pooling=pooling,
            failover=Failover(
                tuple(Endpoint(one.host, one.port) for one in others), target, balance
            ),
            **source,
        )

    def connect(self, **params: Any) -> psycopg.Connection[Any]:
        """A session through libpq, in autocommit."""
        # Otherwise libpq tries each refused login once more, without TLS.
        params = {"sslmode": "require"} | params
        dsn = self.proxy.dsn(self.name, self.token, "orders", **params)
        return psycopg.connect(dsn, autocommit=True)

    def port(self) -> int:
        """Where a new session is."""
        with self.connect() as session:
            return port_of(session)

    def refusal(self) -> str:
        """What a login that must fail is told."""
        try:
            self.connect().close()
        except psycopg.OperationalError as error:
            return str(error)
        raise AssertionError("the login was not refused")

    def records(self, message: str) -> list[Record]:
        """This source's records of that kind."""
        return [
            record
            for record in self.proxy.audit_events()
            if record.get("message") == message
            and record.get("dst_endpoint", {}).get("uid") == self.source.id
        ]


def port_of(session: psycopg.Connection[Any]) -> int:
    """The server's port that a session is on."""
    row = session.execute("SELECT inet_server_port()").fetchone()
    assert row is not None
    return int(row[0])
