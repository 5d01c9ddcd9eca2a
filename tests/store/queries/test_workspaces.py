import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.store import (
    AlreadyExists,
    Conflict,
    InvalidName,
    InvalidSetting,
    NotFound,
    SealedCredential,
    Store,
    StoreCorrupt,
    draft_source,
    new_id,
    seal_credential,
)
from tests.store.stores import SettableClock, a_token, a_workspace, run_sql
from vault import Secret, Vault


async def test_a_workspace_is_found_as_it_was_created(
    store: Store, vault: Vault, clock: SettableClock
):
    created = await a_workspace(store, vault)
    assert created.state == "active"
    assert created.created_at == clock.now
    assert len(created.scram_salt) == 16
    assert await store.workspace("finance") == created
    assert await store.list_workspaces() == [created]


async def test_workspaces_are_listed_by_name(store: Store, vault: Vault):
    for name in ("b", "a", "c"):
        await a_workspace(store, vault, name)
    assert [workspace.name for workspace in await store.list_workspaces()] == ["a", "b", "c"]


async def test_salts_differ(store: Store, vault: Vault):
    one, two = await a_workspace(store, vault, "a"), await a_workspace(store, vault, "b")
    assert one.scram_salt != two.scram_salt


async def test_4096_iterations_are_the_default(store: Store, vault: Vault):
    workspace = await store.create_workspace("finance", vault.new_root_key(new_id()))
    assert workspace.scram_iterations == 4096


@pytest.mark.parametrize("iterations", [0, -1, 100_001])
async def test_iterations_have_bounds(store: Store, vault: Vault, iterations: int):
    with pytest.raises(InvalidSetting, match="scram_iterations"):
        await store.create_workspace(
            "finance", vault.new_root_key(new_id()), scram_iterations=iterations
        )


async def test_a_name_is_taken_once(store: Store, vault: Vault):
    await a_workspace(store, vault)
    with pytest.raises(AlreadyExists, match="a workspace named finance already exists"):
        await a_workspace(store, vault)


async def test_of_many_at_once_one_gets_the_name(store: Store, vault: Vault):
    results = await asyncio.gather(
        *(a_workspace(store, vault) for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(result, AlreadyExists) for result in results) == 7
    assert len(await store.list_workspaces()) == 1


@pytest.mark.parametrize("name", ["", "A", "-a", "_a", "a b", "a.b", "ä", "a" * 64, "a\n", "a\0"])
async def test_a_name_outside_the_grammar_is_refused(store: Store, vault: Vault, name: str):
    with pytest.raises(InvalidName, match=r"^name: use 1 to 63 of"):
        await a_workspace(store, vault, name)


async def test_an_unknown_workspace_is_not_found(store: Store):
    with pytest.raises(NotFound, match="there is no workspace named nobody"):
        await store.workspace("nobody")
    with pytest.raises(NotFound, match=r"^there is no such workspace$"):
        await store.workspace("no\x1b[31mbody")


async def test_suspending_and_resuming_are_kept(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    assert not (await store.suspend_workspace(workspace)).is_active
    assert (await store.workspace("finance")).state == "suspended"
    assert (await store.resume_workspace(workspace)).is_active
    assert (await store.workspace("finance")).state == "active"


async def test_suspending_what_is_suspended_is_no_change(store: Store, vault: Vault, url: str):
    workspace = await a_workspace(store, vault)
    await store.suspend_workspace(workspace)
    before = await run_sql(url, "SELECT count(*) FROM changes")
    await store.suspend_workspace(workspace)
    assert await run_sql(url, "SELECT count(*) FROM changes") == before


async def test_a_workspace_that_is_gone_is_not_found_by_any_call(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    await store.delete_workspace(workspace)
    for call in (store.suspend_workspace, store.resume_workspace, store.delete_workspace):
        with pytest.raises(NotFound):
            await call(workspace)
    with pytest.raises(NotFound):
        await a_token(store, workspace)


async def test_deletion_gives_a_receipt_of_all_it_destroyed(
    store: Store, vault: Vault, url: str, clock: SettableClock
):
    other = await a_workspace(store, vault, "other")
    kept = await a_token(store, other)
    workspace = await a_workspace(store, vault)
    tokens = [await a_token(store, workspace) for _ in range(3)]
    draft = draft_source(
        workspace,
        "orders",
        engine="postgresql",
        host="db.example",
        port=5432,
        database="orders",
        username="app",
    )
    sealed = SealedCredential(password=seal_credential(vault, workspace, draft, Secret(b"x")))
    source = await store.add_source(draft, sealed)
    clock.advance(hours=1)
    receipt = await store.delete_workspace(workspace)
    assert receipt.workspace_id == workspace.id
    assert receipt.workspace_name == "finance"
    assert receipt.deleted_at == clock.now
    assert receipt.root_key_versions == (1,)
    assert receipt.token_ids == tuple(sorted(token.id for token in tokens))
    assert receipt.source_ids == (source.id,)
    assert receipt.credential_count == 1
    for table in ("root_keys", "tokens", "sources"):
        rows = await run_sql(
            url, f"SELECT count(*) FROM {table} WHERE workspace_id = '{workspace.id}'"
        )
        assert rows == [(0,)], table
    for table in ("credentials", "credential_versions"):
        assert await run_sql(url, f"SELECT count(*) FROM {table}") == [(0,)]
    assert await store.list_tokens(other) == [kept]


async def test_a_deleted_name_may_be_used_again_by_another_workspace(store: Store, vault: Vault):
    first = await a_workspace(store, vault)
    await store.delete_workspace(first)
    second = await a_workspace(store, vault)
    assert second.id != first.id
    assert second.scram_salt != first.scram_salt


async def test_a_deleted_root_key_is_in_no_file_of_a_sqlite_store(vault: Vault, tmp_path: Path):
    def files_with(data: bytes) -> list[str]:
        return [path.name for path in tmp_path.glob("store.db*") if data in path.read_bytes()]

    store = await Store.open(f"sqlite:///{tmp_path}/store.db")
    try:
        workspace = await a_workspace(store, vault)
        wrapped = workspace.root_key.wrapped
        assert files_with(wrapped)
        await store.delete_workspace(workspace)
        assert not files_with(wrapped)
    finally:
        await store.close()


async def test_a_root_key_is_replaced_by_itself_wrapped_anew(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    rewrapped = vault.rewrap(workspace.root_key)
    await store.replace_root_key(workspace.root_key, rewrapped)
    assert (await store.workspace("finance")).root_key == rewrapped


async def test_a_root_key_that_was_replaced_meanwhile_is_a_conflict(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    await store.replace_root_key(workspace.root_key, vault.rewrap(workspace.root_key))
    with pytest.raises(Conflict):
        await store.replace_root_key(workspace.root_key, vault.rewrap(workspace.root_key))


async def test_a_root_key_is_not_replaced_by_another_one(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    with pytest.raises(Conflict):
        await store.replace_root_key(
            workspace.root_key, replace(workspace.root_key, workspace_id=new_id())
        )


@pytest.mark.parametrize(
    "damage",
    ["UPDATE root_keys SET wrapped = {empty}", "DELETE FROM root_keys"],
    ids=["unreadable", "missing"],
)
async def test_a_damaged_root_key_refuses_the_workspace(
    store: Store, vault: Vault, url: str, damage: str
):
    await a_workspace(store, vault)
    await run_sql(url, damage.format(empty="x''" if url.startswith("sqlite") else "''::bytea"))
    with pytest.raises(StoreCorrupt):
        await store.workspace("finance")
    with pytest.raises(StoreCorrupt):
        await store.find_login("finance")


async def test_a_root_key_moved_from_another_workspace_refuses_it(
    store: Store, vault: Vault, url: str
):
    await a_workspace(store, vault, "a")
    await a_workspace(store, vault, "b")
    await run_sql(
        url, "UPDATE root_keys SET wrapped = (SELECT wrapped FROM root_keys ORDER BY 1 LIMIT 1)"
    )
    results = await asyncio.gather(
        store.workspace("a"), store.workspace("b"), return_exceptions=True
    )
    assert sum(isinstance(result, StoreCorrupt) for result in results) == 1


async def test_a_workspace_is_renamed_where_it_is_as_it_was_read(store: Store, vault: Vault):
    finance = await a_workspace(store, vault)
    await a_workspace(store, vault, "sales")
    with pytest.raises(AlreadyExists):
        await store.rename_workspace(finance, "sales")
    with pytest.raises(InvalidName):
        await store.rename_workspace(finance, "Not A Name")
    renamed = await store.rename_workspace(finance, "money")
    assert await store.workspace("money") == renamed
    assert await store.find_workspace("finance") is None
    assert await store.workspace_by_id(finance.id) == renamed
    with pytest.raises(Conflict):
        await store.rename_workspace(finance, "other")
    await store.delete_workspace(renamed)
    with pytest.raises(NotFound):
        await store.rename_workspace(renamed, "other")


async def test_pages_of_workspaces_are_by_name(store: Store, vault: Vault):
    for name in ("c", "a", "b"):
        await a_workspace(store, vault, name)
    assert [one.name for one in await store.page_of_workspaces("", 2)] == ["a", "b"]
    assert [one.name for one in await store.page_of_workspaces("b", 2)] == ["c"]
    assert await store.page_of_workspaces("c", 2) == []
