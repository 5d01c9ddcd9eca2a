"""A workspace's root key is renewed under a running proxy."""

from __future__ import annotations

import pytest

from proxy.administration.rekeying import rekey_workspace
from proxy.administration.workplace import open_workplace
from proxy.config import load_config
from proxy.store.pooling import PoolSettings
from tests.faults.office import Office
from tests.servers.fixtures import ProxyFactory
from tests.servers.loops import run_to_end
from tests.servers.postgres import PostgresServer

POOLS = [PoolSettings("off"), PoolSettings("session"), PoolSettings("transaction")]


@pytest.mark.parametrize("pooling", POOLS, ids=lambda pooling: pooling.mode)
def test_no_session_notices_that_a_root_key_is_renewed(
    start_proxy: ProxyFactory, postgres: PostgresServer, pooling: PoolSettings
):
    office = Office(start_proxy(), postgres, pooling=pooling)

    config = load_config(office.proxy.config_file, {})

    async def rekey() -> tuple[int, int, tuple[int, ...]]:
        async with open_workplace(config, print) as place:
            workspace = await place.store.workspace(office.name)
            done = await rekey_workspace(place, workspace)
            return done.version, done.resealed, done.destroyed

    with office.session() as before:
        assert before.value("SELECT 1") == "1"
        assert run_to_end(rekey()) == (2, 1, (1,))
        assert before.value("SELECT 2") == "2"
        with office.session() as after:
            assert after.value("SELECT 3") == "3"
        # Nothing else is left to be done: there is a newer key each time.
        assert run_to_end(rekey()) == (3, 1, (2,))
        with office.session() as after:
            assert after.value("SELECT 4") == "4"
        assert before.value("SELECT 5") == "5"
