import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

import proxy.store.migrations
from proxy.store import Store, StoreUnusable
from proxy.store.database import Database
from proxy.store.location import locate
from proxy.store.schema import HEAD, metadata
from tests.store.stores import a_workspace, opened, run_sql
from vault import Vault


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found: list[object] = compare_metadata(context, metadata)
    return found


async def test_the_migrations_build_the_schema(url: str, store: Store):
    database = Database(locate(url), 5)
    try:
        differences = await database.read(lambda connection: connection.run_sync(_differences))
    finally:
        await database.close()
    assert differences == []


def test_head_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", str(Path(proxy.store.migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


async def test_an_opened_store_keeps_what_it_holds(url: str, vault: Vault):
    async with opened(url) as store:
        workspace = await a_workspace(store, vault)
        instance_id = store.instance_id
    async with opened(url) as store:
        assert store.instance_id == instance_id
        assert await store.workspace("finance") == workspace


async def test_several_proxies_may_open_a_new_store_at_once(url: str):
    stores = await asyncio.gather(*(Store.open(url) for _ in range(4)))
    await asyncio.gather(*(store.close() for store in stores))
    assert len({store.instance_id for store in stores}) == 1


async def test_a_store_of_a_newer_version_is_refused(url: str):
    async with opened(url):
        pass
    await run_sql(url, "UPDATE alembic_version SET version_num = 'v9999'")
    with pytest.raises(StoreUnusable, match="a newer version of the proxy"):
        await Store.open(url)


async def test_a_file_that_is_no_database_is_refused_in_one_sentence(tmp_path: Path):
    path = tmp_path / "store.db"
    path.write_bytes(b"this is a text, not a database, and it is longer than a header" * 50)
    path.chmod(0o600)
    with pytest.raises(Exception, match=r"^the store's database cannot be reached or used$"):
        await Store.open(f"sqlite:///{path}")
