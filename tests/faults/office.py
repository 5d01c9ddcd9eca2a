"""A workspace with a data source behind a real proxy, and what one may do to it."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.hostile.raw import RawClient, Refused, fields_of
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import SCRAM
from tests.servers.tenant import Tenant
from tests.servers.waiting import wait_until

SOURCE = "orders"


class Office(Tenant):
    """A workspace, its token, and its source ``orders`` on a real server."""

    def __init__(
        self, proxy: ProxyServer, server: PostgresServer, name: str = "finance", **source: Any
    ) -> None:
        super().__init__(proxy, name)
        self.server = server
        self.source = proxy.add_source(name, SOURCE, server, **source)

    # --- sessions -------------------------------------------------------------------

    def session(self, source: str = SOURCE, **options: Any) -> RawClient:
        """A session over a bare socket. Raises Refused."""
        client = RawClient(self.proxy.port, **options)
        try:
            return client.log_in(self.name, self.token, source)
        except BaseException:
            client.close()
            raise

    def refusal(self, source: str = SOURCE) -> Refused:
        """The refusal of a login that must fail."""
        try:
            self.session(source).close()
        except Refused as refused:
            return refused
        raise AssertionError("the login was not refused")

    def connect(self, source: str = SOURCE, **params: Any) -> psycopg.Connection[Any]:
        """A session through libpq, in autocommit."""
        dsn = self.proxy.dsn(self.name, self.token, source, **params)
        return psycopg.connect(dsn, autocommit=True)

    def wait_until_running(self, text: str) -> None:
        """Until the server runs a statement that contains ``text``."""
        wait_until(lambda: self.running(text) > 0, what=f"the server to run {text}")

    def wait_until_not_running(self, text: str) -> None:
        """Until the server runs no such statement."""
        wait_until(lambda: self.running(text) == 0, what=f"the server to stop {text}")

    def running(self, text: str) -> int:
        """How many statements that contain ``text`` the server runs now."""
        sql = (
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
            " AND usename = %s AND strpos(query, %s) > 0"
        )
        return int(self.server.execute(sql, (SCRAM.name, text))[0][0])


def fatal(client: RawClient) -> Refused:
    """The FATAL error that ends a session, and nothing behind it; what came before is read."""
    while True:
        code, body = client.receive()
        if code == b"E" and fields_of(body).get("S") == "FATAL":
            assert client.read_to_end() == b""
            return Refused(fields_of(body))
