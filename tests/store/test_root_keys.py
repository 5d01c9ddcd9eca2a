from __future__ import annotations

from collections.abc import Sequence

import pytest

from proxy.store import Conflict, Source, Store, Workspace
from proxy.store.records import Resealed, SealedCredential
from proxy.store.sources import (
    draft_source,
    open_credential,
    reseal_credential,
    seal_credential,
)
from tests.store.stores import a_workspace
from vault import Secret, UnsealError, Vault

SECRET = Secret(b"a password of the database")
OTHER = Secret(b"another one")


def a_draft(workspace: Workspace, name: str = "orders") -> Source:
    return draft_source(
        workspace,
        name,
        engine="postgresql",
        host="db.example",
        port=5432,
        database="orders",
        username="app",
    )


async def a_source(
    store: Store, vault: Vault, workspace: Workspace, name: str = "orders"
) -> Source:
    draft = a_draft(workspace, name)
    sealed = seal_credential(vault, workspace, draft, SECRET)
    return await store.add_source(draft, SealedCredential(password=sealed))


async def renewed(store: Store, vault: Vault, workspace: Workspace) -> Workspace:
    """The workspace with one more root key, which is its newest."""
    newer = vault.new_root_key(workspace.id, version=workspace.root_key.version + 1)
    await store.root_keys.add(newer)
    found = await store.workspace_of(workspace.id)
    assert [root.version for root in found.root_keys] == [2, 1]
    return found


async def changes(store: Store, vault: Vault, workspace: Workspace) -> Sequence[Resealed]:
    found = [
        reseal_credential(vault, workspace, source, "password")
        for source in await store.list_sources(workspace)
    ]
    return [change for change in found if change is not None]


async def test_what_is_sealed_anew_opens_and_the_earlier_key_is_gone(store: Store, vault: Vault):
    before = await a_workspace(store, vault)
    for name in ("orders", "stock"):
        await a_source(store, vault, before, name)
    workspace = await renewed(store, vault, before)
    found = await changes(store, vault, workspace)
    assert await store.root_keys.reseal(workspace.id, found) == 2
    # Both keys are there yet: whoever has read something earlier can open it.
    assert await changes(store, vault, workspace) == []
    assert await store.root_keys.destroy_earlier(workspace.root_key) == (1,)
    after = await store.workspace_of(workspace.id)
    assert [root.version for root in after.root_keys] == [2]
    for source in await store.list_sources(after):
        assert open_credential(vault, after, source) == SECRET
        with pytest.raises(UnsealError):
            open_credential(vault, before, source)


async def test_a_key_that_something_is_sealed_under_is_not_destroyed(store: Store, vault: Vault):
    before = await a_workspace(store, vault)
    await a_source(store, vault, before)
    workspace = await renewed(store, vault, before)
    with pytest.raises(Conflict, match="sealed under an earlier root key"):
        await store.root_keys.destroy_earlier(workspace.root_key)
    # Of another workspace it is no concern.
    other = await a_workspace(store, vault, "other")
    await a_source(store, vault, other)
    kept = await store.workspace_of(workspace.id)
    assert [root.version for root in kept.root_keys] == [2, 1]
    assert await store.root_keys.destroy_earlier(other.root_key) == ()


async def test_nothing_is_stored_that_was_sealed_under_a_destroyed_key(store: Store, vault: Vault):
    before = await a_workspace(store, vault)
    source = await a_source(store, vault, before)
    late = SealedCredential(password=seal_credential(vault, before, source, OTHER))
    draft = a_draft(before, "new")
    new = SealedCredential(password=seal_credential(vault, before, draft, OTHER))
    workspace = await renewed(store, vault, before)
    await store.root_keys.reseal(workspace.id, await changes(store, vault, workspace))
    await store.root_keys.destroy_earlier(workspace.root_key)
    with pytest.raises(Conflict, match="root key was renewed meanwhile"):
        await store.rotate_credential(source, late)
    with pytest.raises(Conflict, match="root key was renewed meanwhile"):
        await store.add_source(draft, new)
    (stored,) = await store.list_sources(workspace)
    assert open_credential(vault, workspace, stored) == SECRET


async def test_what_was_changed_meanwhile_stays_as_it_is(store: Store, vault: Vault):
    before = await a_workspace(store, vault)
    source = await a_source(store, vault, before)
    workspace = await renewed(store, vault, before)
    found = await changes(store, vault, workspace)
    newer = SealedCredential(password=seal_credential(vault, workspace, source, OTHER))
    await store.rotate_credential(source, newer)
    assert await store.root_keys.reseal(workspace.id, found) == 0
    (stored,) = await store.list_sources(workspace)
    assert open_credential(vault, workspace, stored) == OTHER


async def test_a_version_is_made_once_and_only_the_newest_stays(store: Store, vault: Vault):
    before = await a_workspace(store, vault)
    workspace = await renewed(store, vault, before)
    with pytest.raises(Conflict, match="newer root key already"):
        await store.root_keys.add(vault.new_root_key(workspace.id, version=2))
    with pytest.raises(Conflict, match="another root key"):
        await store.root_keys.destroy_earlier(before.root_key)
