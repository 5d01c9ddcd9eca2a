"""A rotated credential costs no session, though many come and go while it is rotated."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from proxy.store import PoolSettings, SealedCredential, Store, Workspace, seal_credential
from tests.pool.pooled import SOURCE, PooledSource
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import SCRAM
from tests.servers.waiting import wait_until
from vault import Secret

FEW = PoolSettings("session", maximum=4, life_seconds=60.0)


class Load:
    """Short sessions, one after the other, in a few threads. ``failures`` are what went wrong."""

    def __init__(self, pooled: PooledSource, threads: int = 6) -> None:
        self._pooled = pooled
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        self.served = 0
        self.failures: list[str] = []

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                with self._pooled.session() as client:
                    client.execute("SELECT 1")
                self.served += 1
            except psycopg.Error as error:
                self.failures.append(str(error))

    def wait_for(self, count: int) -> None:
        """Until so many more sessions have been served."""
        wanted = self.served + count
        wait_until(lambda: self.served >= wanted, within=30, what=f"{count} more sessions")

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in self._threads:
                thread.join(30)


def rotate(pooled: PooledSource, password: str) -> None:
    async def work(store: Store, workspace: Workspace) -> None:
        stored = await store.source(workspace, SOURCE)
        sealed = seal_credential(pooled.proxy.vault, workspace, stored, Secret(password.encode()))
        await store.rotate_credential(stored, SealedCredential(sealed))

    pooled.change(work)


@pytest.mark.parametrize("is_pooled", [True, False])
def test_no_session_fails_while_the_password_changes(
    pool_proxy: ProxyServer, own_postgres: PostgresServer, is_pooled: bool
):
    pooling = FEW if is_pooled else PoolSettings("off")
    name = f"rotation{is_pooled}"
    pooled = PooledSource(pool_proxy, own_postgres, name.lower(), pooling=pooling)
    load = Load(pooled)
    with load.running():
        load.wait_for(20)
        for password in ("Second-3b1f", "Third-77aa", SCRAM.password):
            own_postgres.execute(f"ALTER ROLE {SCRAM.name} PASSWORD '{password}'")
            rotate(pooled, password)
            load.wait_for(20)
        load.wait_for(40)
    assert load.failures == []
    versions = [
        record["unmapped"]["credential_version"]
        for record in pooled.proxy.audit_events()
        if record.get("message") == "Credential use"
        and record["dst_endpoint"]["uid"] == pooled.source.id
    ]
    # Each has been used, and none after a newer one by much: the pool has turned over.
    assert set(versions) == {1, 2, 3, 4}
    assert versions[-1] == 4


def test_what_was_opened_with_the_old_credential_is_not_kept(
    pool_proxy: ProxyServer, own_postgres: PostgresServer
):
    pooled = PooledSource(pool_proxy, own_postgres, "drained", pooling=FEW)
    with pooled.session() as in_use:
        with pooled.session():
            pass
        changed = pooled.closes("changed")
        rotate(pooled, SCRAM.password)
        # The idle one goes at once, the one in use when its session ends.
        wait_until(lambda: pooled.closes("changed") == changed + 1, what="the idle one to go")
        assert in_use.execute("SELECT 1").fetchone() == (1,)
    wait_until(lambda: pooled.closes("changed") == changed + 2, what="the other one to go")
