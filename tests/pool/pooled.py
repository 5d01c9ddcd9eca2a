"""A workspace whose source is pooled, and how its pool is seen from outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from proxy.store import PoolSettings, SealedCredential, Store, Workspace, seal_credential
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.tenant import Tenant
from tests.servers.waiting import wait_until
from vault import Secret

SOURCE = "orders"
POOLED = PoolSettings(mode="session")


class Pooled(Tenant, ABC):
    """A workspace and its token; its source ``orders`` is pooled, whatever its protocol."""

    @abstractmethod
    def can_connect(self, **login: Any) -> bool:
        """Whether a session opens; ``login`` is over what ``connect`` says."""

    def catch_up(self) -> None:
        """Until the proxy has seen every change so far, which empties pools when it is seen."""
        assert self.can_connect()
        self.hear()
        self.settle()

    def hear(self) -> None:
        """The same while others use the pools.

        The proxy has the workspace's tokens in memory: a newer one works only when the news of
        it has come, and changes come in their order.
        """
        token = self.proxy.create_token(self.name)
        wait_until(lambda: self.can_connect(password=token), what="the proxy to see the changes")

    def versions_used(self, source_id: str) -> list[int]:
        """Which versions of the credential have opened connections, in their order."""
        return [
            record["unmapped"]["credential_version"]
            for record in self.proxy.audit_events()
            if record.get("message") == "Credential use"
            and record["dst_endpoint"]["uid"] == source_id
        ]

    def settle(self) -> None:
        """Until every session is over, and its connection idle or closed."""

        def is_settled() -> bool:
            samples = self.proxy.metrics()
            return (
                not any(
                    samples[f"pool_connections{{state={state}}}"]
                    for state in ("active", "resetting")
                )
                and not samples["sessions{state=open}"]
            )

        wait_until(is_settled, what="the pools to settle")

    def rotate(self, password: str) -> None:
        """``source rotate``: the proxy's side alone."""

        async def work(store: Store, workspace: Workspace) -> None:
            stored = await store.source(workspace, SOURCE)
            secret = Secret(password.encode())
            sealed = seal_credential(self.proxy.vault, workspace, stored, secret)
            await store.rotate_credential(stored, SealedCredential(sealed))

        self.change(work)

    def closes(self, cause: str) -> int:
        """How many connections were closed for this cause."""
        return int(self.proxy.metrics()[f"pool_closes_total{{cause={cause}}}"])

    def requests(self, outcome: str) -> int:
        """How many sessions got a kept connection (hit), a new one (miss), or none (refused)."""
        return int(self.proxy.metrics()[f"pool_requests_total{{outcome={outcome}}}"])


class PooledSource(Pooled):
    """A workspace, its token, and its pooled source ``orders``."""

    def __init__(
        self, proxy: ProxyServer, server: PostgresServer, name: str, **source: Any
    ) -> None:
        super().__init__(proxy, name)
        self.server = server
        pooling = source.pop("pooling", POOLED)
        self.source = proxy.add_source(name, SOURCE, server, pooling=pooling, **source)
        self.catch_up()

    def can_connect(self, **login: Any) -> bool:
        """Whether a session opens."""
        with suppress(psycopg.OperationalError):
            self.connect(**login).close()
            return True
        return False

    @contextmanager
    def session(self, **params: Any) -> Iterator[psycopg.Connection[Any]]:
        """The same, closed as it is: the driver's own block would commit first."""
        connection = self.connect(**params)
        try:
            yield connection
        finally:
            connection.close()

    def connect(self, source: str = SOURCE, **params: Any) -> psycopg.Connection[Any]:
        """A session through libpq, in autocommit."""
        dsn = self.proxy.dsn(self.name, self.token, source, **params)
        return psycopg.connect(dsn, autocommit=True)
