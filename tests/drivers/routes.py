"""The same script direct and through the proxy: what a driver sees must be equal.

A script takes a ``Leg`` and returns a list of plain values: rows, types, errors, notices.
It works in the schema ``driver``, made anew for each run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

from psycopg.conninfo import make_conninfo

from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import SCRAM

SCHEMA = "driver"


class Leg(Protocol):
    """How to reach the server. ``keywords`` are libpq's, without TLS's."""

    sslmode: str

    @property
    def keywords(self) -> dict[str, Any]: ...


class Direct:
    """The server itself."""

    sslmode = "disable"

    def __init__(self, server: PostgresServer) -> None:
        self.keywords: dict[str, Any] = {
            "host": server.host,
            "port": server.port,
            "user": SCRAM.name,
            "password": SCRAM.password,
            "dbname": server.database,
        }


class Through:
    """The proxy, with a workspace's token and a source's name."""

    def __init__(
        self, proxy: ProxyServer, workspace: str, token: str, source: str, *, sslmode: str
    ) -> None:
        self.sslmode = sslmode
        self.proxy = proxy
        self.keywords: dict[str, Any] = {
            "host": proxy.host,
            "port": proxy.port,
            "user": workspace,
            "password": token,
            "dbname": source,
        }


def dsn(leg: Leg, **params: Any) -> str:
    """A libpq connection string."""
    return make_conninfo("", **({**leg.keywords, "sslmode": leg.sslmode} | params))


def url(leg: Leg, scheme: str = "postgresql", **params: str) -> str:
    """A connection URL, without TLS's parameters."""
    k = leg.keywords
    query = f"?{urlencode(params)}" if params else ""
    return f"{scheme}://{k['user']}:{k['password']}@{k['host']}:{k['port']}/{k['dbname']}{query}"


@dataclass(frozen=True, slots=True)
class Route:
    """One server, two legs to it."""

    direct: Leg
    through: Through
    server: PostgresServer

    def renew(self) -> None:
        """An empty schema, whose maker is the role that the scripts run as."""
        self.server.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        self.server.execute(f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {SCRAM.name}")

    def same(self, script: Callable[[Leg], list[Any]]) -> list[Any]:
        """Run the script on both legs; returns what both of them returned."""
        seen = []
        for leg in (self.direct, self.through):
            self.renew()
            seen.append(script(leg))
        return _equal(*seen)

    async def same_async(self, script: Callable[[Leg], Awaitable[list[Any]]]) -> list[Any]:
        """Do the same with a coroutine; the two blocking statements are off the loop."""
        seen = []
        for leg in (self.direct, self.through):
            await asyncio.to_thread(self.renew)
            seen.append(await script(leg))
        return _equal(*seen)


def _equal(direct: list[Any], through: list[Any]) -> list[Any]:
    assert direct, "a script that returns nothing compares nothing"
    for number, (expected, got) in enumerate(zip(direct, through, strict=False)):
        assert got == expected, f"value {number}: {_short(got)} instead of {_short(expected)}"
    assert len(through) == len(direct)
    return through


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 2_000 else f"{text[:1_000]} ... {text[-1_000:]}"
