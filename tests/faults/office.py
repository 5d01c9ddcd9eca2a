"""A workspace with a data source behind a real proxy, and what one may do to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

import psycopg

from proxy.control import SocketClient
from proxy.store import Store, Workspace, new_token, verifiers_for
from tests.hostile.raw import RawClient, Refused, fields_of
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer, Record
from tests.servers.roles import SCRAM
from tests.servers.waiting import wait_until

T = TypeVar("T")
SOURCE = "orders"


class Office:
    """A workspace, its token, and its source ``orders`` on a real server."""

    def __init__(
        self, proxy: ProxyServer, server: PostgresServer, name: str = "finance", **source: Any
    ) -> None:
        self.proxy = proxy
        self.server = server
        self.name = name
        self.token = proxy.create_workspace(name)
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

    def control(self, verb: str, **arguments: Any) -> Any:
        """Ask the running proxy over its control socket."""
        return SocketClient(self.proxy.folder / "control.sock").call(verb, arguments)

    def sessions(self) -> list[dict[str, Any]]:
        """``session list`` of this workspace."""
        found: list[dict[str, Any]] = self.control("session.list", workspace=self.name)
        return found

    # --- changes --------------------------------------------------------------------

    def change(self, work: Callable[[Store, Workspace], Coroutine[Any, Any, T]]) -> T:
        """Change the store behind the running proxy."""

        async def run() -> T:
            store = await Store.open(self.proxy.store_url)
            try:
                return await work(store, await store.workspace(self.name))
            finally:
                await store.close()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(run())).result(60)

    def token_until(self, moment: datetime) -> str:
        """One more token, which expires."""

        async def work(store: Store, found: Workspace) -> str:
            text = new_token()
            verifier = verifiers_for(text, found.scram_salt, found.scram_iterations)
            await store.create_token(found, "short", moment, verifier)
            return text

        return self.change(work)

    # --- the audit log --------------------------------------------------------------

    def record_of(self, text: str) -> Record:
        """The record of the one statement whose text contains ``text``, when it is there."""

        def matching(records: list[Record]) -> list[Record]:
            return [r for r in records if text in r.get("query_info", {}).get("query_string", "")]

        (record,) = matching(self.proxy.audit_events(lambda records: bool(matching(records))))
        return record


def fatal(client: RawClient) -> Refused:
    """The FATAL error that ends a session, and nothing behind it; what came before is read."""
    while True:
        code, body = client.receive()
        if code == b"E" and fields_of(body).get("S") == "FATAL":
            assert client.read_to_end() == b""
            return Refused(fields_of(body))
