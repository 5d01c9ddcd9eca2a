from dataclasses import replace

import pytest

from policies.document import Policy, policy_from
from proxy.store import Conflict, NotFound, Store, StoreCorrupt, Workspace, draft_source
from proxy.store.queries import policies
from proxy.store.records import Change, ChangeKind, Source
from tests.store.stores import a_workspace, run_sql
from vault import Vault

READ_ONLY = Policy(version=1)
NARROWER = policy_from({"version": 1, "tables": {"read": ["public.orders"]}})


async def a_source(store: Store, workspace: Workspace) -> Source:
    draft = draft_source(
        workspace,
        "orders",
        engine="postgresql",
        host="db.example.com",
        port=5432,
        database="orders",
        username="app",
        auth_methods=frozenset({"trust"}),
    )
    return await store.add_source(draft, None)


async def test_a_policy_is_found_by_every_login_as_it_was_set(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, workspace)
    assert workspace.policy is None
    assert source.policy is None
    await store.policies.set_of_workspace(workspace, READ_ONLY)
    await store.policies.set_of_source(source, NARROWER)
    record = await store.find_login("finance")
    assert record is not None
    assert record.workspace == replace(workspace, policy=READ_ONLY)
    assert await store.find_source(workspace.id, "orders") == replace(source, policy=NARROWER)
    await store.policies.set_of_workspace(workspace, None)
    await store.policies.set_of_source(source, None)
    assert (await store.workspace("finance")).policy is None
    assert (await store.source(workspace, "orders")).policy is None


async def test_a_change_is_told(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, workspace)
    feed = store.watch()
    try:
        assert (await anext(feed)).kind is ChangeKind.EVERYTHING
        await store.policies.set_of_workspace(workspace, READ_ONLY)
        await store.policies.set_of_source(source, NARROWER)
        found = [await anext(feed), await anext(feed)]
    finally:
        await feed.aclose()
    assert found == [
        Change(ChangeKind.WORKSPACE, workspace.id, workspace.id),
        Change(ChangeKind.SOURCE, workspace.id, source.id),
    ]


async def test_what_is_gone_takes_no_policy(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, workspace)
    await store.delete_workspace(workspace)
    with pytest.raises(NotFound):
        await store.policies.set_of_workspace(workspace, READ_ONLY)
    with pytest.raises(NotFound):
        await store.policies.set_of_source(source, READ_ONLY)


async def test_a_policy_that_cannot_be_read_is_not_taken_for_none(
    store: Store, vault: Vault, url: str
):
    await a_workspace(store, vault)
    await run_sql(url, "UPDATE workspaces SET policy = '{}'")
    with pytest.raises(StoreCorrupt, match="version: missing"):
        await store.workspace("finance")


async def test_what_a_policy_was_is_kept_with_who_put_it(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, workspace)
    await store.policies.set_of_workspace(workspace, READ_ONLY, actor="ada")
    await store.policies.set_of_workspace(workspace, None, actor="grace")
    await store.policies.set_of_source(source, NARROWER, actor="ada")
    kept = await store.policies.history(workspace, None)
    assert [(one.policy, one.actor) for one in kept] == [(None, "grace"), (READ_ONLY, "ada")]
    assert [one.policy for one in await store.policies.history(workspace, source)] == [NARROWER]


async def test_the_history_of_a_policy_is_bounded(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, workspace)
    await store.policies.set_of_source(source, NARROWER)
    for number in range(policies.KEPT + 3):
        await store.policies.set_of_workspace(workspace, READ_ONLY, actor=str(number))
    kept = await store.policies.history(workspace, None)
    assert [one.actor for one in kept[:2]] == [str(policies.KEPT + 2), str(policies.KEPT + 1)]
    assert len(kept) == policies.KEPT
    assert len(await store.policies.history(workspace, source)) == 1


async def test_a_policy_that_was_changed_meanwhile_is_not_replaced(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, workspace)
    await store.policies.set_of_workspace(workspace, READ_ONLY, if_unchanged=True)
    await store.policies.set_of_source(source, READ_ONLY, if_unchanged=True)
    with pytest.raises(Conflict):
        await store.policies.set_of_workspace(workspace, NARROWER, if_unchanged=True)
    with pytest.raises(Conflict):
        await store.policies.set_of_source(source, NARROWER, if_unchanged=True)
    assert (await store.workspace("finance")).policy == READ_ONLY
    assert len(await store.policies.history(workspace, None)) == 1
