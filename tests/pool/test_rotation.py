"""A rotated credential costs no session, though many come and go while it is rotated."""

from __future__ import annotations

import pytest

from proxy.store import PoolSettings
from tests.pool.load import Load
from tests.pool.pooled import PooledSource
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import SCRAM
from tests.servers.waiting import wait_until

FEW = PoolSettings("session", maximum=4, life_seconds=60.0)


@pytest.mark.parametrize("is_pooled", [True, False])
def test_no_session_fails_while_the_password_changes(
    pool_proxy: ProxyServer, own_postgres: PostgresServer, is_pooled: bool
):
    pooling = FEW if is_pooled else PoolSettings("off")
    name = f"rotation{is_pooled}"
    pooled = PooledSource(pool_proxy, own_postgres, name.lower(), pooling=pooling)

    def visit() -> None:
        with pooled.session() as client:
            client.execute("SELECT 1")

    load = Load(visit)
    with load.running():
        load.wait_for(20)
        for password in ("Second-3b1f", "Third-77aa", SCRAM.password):
            own_postgres.execute(f"ALTER ROLE {SCRAM.name} PASSWORD '{password}'")
            pooled.rotate(password)
            load.wait_for(20)
        # However many were served meanwhile by connections that are kept.
        pooled.hear()
        load.wait_for(40)
    assert load.failures == []
    versions = pooled.versions_used(pooled.source.id)
    # The pool has turned over. One in between is left out where kept connections serve twenty
    # sessions before the news of it has come.
    assert {1, 4} <= set(versions) <= {1, 2, 3, 4}
    assert versions[-1] == 4


def test_what_was_opened_with_the_old_credential_is_not_kept(
    pool_proxy: ProxyServer, own_postgres: PostgresServer
):
    pooled = PooledSource(pool_proxy, own_postgres, "drained", pooling=FEW)
    with pooled.session() as in_use:
        with pooled.session():
            pass
        changed = pooled.closes("changed")
        pooled.rotate(SCRAM.password)
        # The idle one goes at once, the one in use when its session ends.
        wait_until(lambda: pooled.closes("changed") == changed + 1, what="the idle one to go")
        assert in_use.execute("SELECT 1").fetchone() == (1,)
    wait_until(lambda: pooled.closes("changed") == changed + 2, what="the other one to go")
