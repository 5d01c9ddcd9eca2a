import asyncio
import gc
import sqlite3
import stat
import traceback
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store import Store, StoreUnavailable, Workspace
from tests.servers import roles
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer
from tests.store.stores import a_token, a_workspace, make_vault, new_postgresql_url, opened
from vault import Vault

SHORT = 1.5
"""A deadline, in seconds, for stores that are expected to miss it."""


def _modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("store.db*")}


async def test_a_sqlite_store_is_closed_to_others_with_its_log(vault: Vault, tmp_path: Path):
    async with opened(f"sqlite:///{tmp_path}/store.db") as store:
        await a_workspace(store, vault)
        modes = _modes(tmp_path)
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


async def test_sqlite_connections_are_set_up_as_promised(tmp_path: Path):
    async with opened(f"sqlite:///{tmp_path}/store.db") as store:
        names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")

        async def read(connection: AsyncConnection) -> list[object]:
            return [(await connection.exec_driver_sql(f"PRAGMA {name}")).scalar() for name in names]

        assert await store._database.read(read) == ["wal", 2, 1, 1]


async def test_many_writers_in_two_processes_worth_of_stores_all_succeed(url: str, vault: Vault):
    async with opened(url) as one, opened(url) as two:
        workspace = await a_workspace(one, vault)
        await asyncio.gather(
            *(a_token(store, workspace) for store in (one, two) for _ in range(20))
        )
        assert len(await one.list_tokens(workspace)) == 40


async def test_a_locked_sqlite_store_is_unavailable_and_recovers(vault: Vault, tmp_path: Path):
    path = tmp_path / "store.db"
    async with opened(f"sqlite:///{path}", timeout=SHORT) as store:
        workspace = await a_workspace(store, vault)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable):
                await a_token(store, workspace)
            # Readers go on: a write-ahead log keeps them apart from the writer.
            assert await store.workspace("finance") == workspace
            other.execute("ROLLBACK")
        await a_token(store, workspace)


async def _all_calls_fail(store: Store, workspace: Workspace) -> None:
    for call in (
        store.workspace("finance"),
        store.find_login("finance"),
        store.list_workspaces(),
        a_token(store, workspace),
        store.check(),
    ):
        with pytest.raises(StoreUnavailable) as caught:
            await call
        shown = "".join(traceback.format_exception(caught.value))
        assert roles.ADMIN.password not in shown
        assert roles.ADMIN.name + ":" not in shown


async def test_a_killed_postgresql_is_unavailable_and_recovers(
    own_postgres: PostgresServer, vault: Vault
):
    async with opened(new_postgresql_url(own_postgres), timeout=SHORT) as store:
        workspace = await a_workspace(store, vault)
        own_postgres.kill()
        await _all_calls_fail(store, workspace)
        own_postgres.start()
        assert await store.workspace("finance") == workspace
        await a_token(store, workspace)


async def test_a_frozen_postgresql_is_unavailable_and_recovers(
    own_postgres: PostgresServer, vault: Vault
):
    async with opened(new_postgresql_url(own_postgres), timeout=SHORT) as store:
        workspace = await a_workspace(store, vault)
        own_postgres.freeze()
        try:
            await _all_calls_fail(store, workspace)
        finally:
            own_postgres.thaw()
        assert await store.workspace("finance") == workspace
        await a_token(store, workspace)


async def test_a_cancelled_call_leaves_the_store_usable(url: str, vault: Vault):
    async with opened(url) as store:
        workspace = await a_workspace(store, vault)
        for _ in range(20):
            task = asyncio.ensure_future(a_token(store, workspace))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        await a_token(store, workspace)
        assert await store.workspace("finance") == workspace


async def test_a_transaction_of_sqlite_waits_for_nothing_but_its_connection(tmp_path: Path):
    async with opened(f"sqlite:///{tmp_path}/store.db") as store:

        async def work(connection: AsyncConnection) -> None:
            await connection.exec_driver_sql("DELETE FROM changes")
            await asyncio.sleep(0)

        with pytest.raises(RuntimeError, match="something else than its connection"):
            await store._database.write(work)
        # It is rolled back, and the next one is not kept from writing.
        await a_workspace(store, make_vault(tmp_path))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://keeper:hunter2@127.0.0.1:{free}/store",
        "postgresql://keeper:hunter2@127.0.0.1:{free}/store?sslmode=nonsense",
        "postgresql://keeper:hunter2@no-such-host.invalid/store",
    ],
)
async def test_a_store_that_cannot_be_reached_says_so_without_its_password(url: str):
    with pytest.raises(StoreUnavailable) as caught:
        await Store.open(url.format(free=free_port()))
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in shown
    assert str(caught.value) == "the store's database cannot be reached or used"


async def test_a_wrong_password_is_not_repeated(postgres: PostgresServer):
    url = new_postgresql_url(postgres).replace(roles.ADMIN.password, "hunter2")
    with pytest.raises(StoreUnavailable) as caught:
        await Store.open(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


async def test_a_closed_store_leaves_no_task_and_no_connection(
    postgres: PostgresServer, vault: Vault
):
    before = asyncio.all_tasks()
    url = new_postgresql_url(postgres)
    async with opened(url) as store:
        await a_workspace(store, vault)
    gc.collect()
    assert asyncio.all_tasks() == before
    database = urlsplit(url).path[1:]
    # The server takes a moment to notice; DROP waits up to five seconds for it.
    postgres.execute(f"DROP DATABASE {database}")
