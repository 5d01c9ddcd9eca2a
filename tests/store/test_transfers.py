from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.store import NotFound, Store, Workspace, new_id
from proxy.store.contents import Transfer
from proxy.store.queries.transfers import KEPT
from tests.store.stores import SettableClock, a_workspace
from vault import Vault


def a_transfer(workspace: Workspace, clock: SettableClock) -> Transfer:
    return Transfer(
        id=new_id()[:16],
        workspace_id=workspace.id,
        direction="import",
        source="orders",
        table="public.orders",
        started_by="ada",
        started_at=clock(),
        told_at=clock(),
    )


async def test_how_far_it_is_is_kept(store: Store, vault: Vault, clock: SettableClock):
    workspace = await a_workspace(store, vault)
    begun = a_transfer(workspace, clock)
    await store.transfers.begin(begun)
    assert await store.transfers.get(workspace, begun.id) == begun
    clock.advance(seconds=2)
    later = replace(begun, rows=2**40, bytes=2**50, bad=3, status="failed", told_at=clock())
    await store.transfers.tell(later)
    assert await store.transfers.of(workspace) == [later]


async def test_it_is_its_workspaces_alone_and_goes_with_it(
    store: Store, vault: Vault, clock: SettableClock
):
    workspace, other = await a_workspace(store, vault), await a_workspace(store, vault, "sales")
    begun = a_transfer(workspace, clock)
    await store.transfers.begin(begun)
    assert await store.transfers.of(other) == []
    with pytest.raises(NotFound):
        await store.transfers.get(other, begun.id)
    await store.delete_workspace(workspace)
    await store.transfers.tell(begun)
    assert await store.transfers.of(workspace) == []


async def test_the_newest_are_kept_of_each_workspace(
    store: Store, vault: Vault, clock: SettableClock
):
    workspace, other = await a_workspace(store, vault), await a_workspace(store, vault, "sales")
    await store.transfers.begin(a_transfer(other, clock))
    made = []
    for _ in range(KEPT + 3):
        clock.advance(seconds=1)
        made.append(a_transfer(workspace, clock))
        await store.transfers.begin(made[-1])
    assert await store.transfers.of(workspace) == made[:2:-1]
    await store.transfers.tell(made[0])
    assert len(await store.transfers.of(workspace)) == KEPT
    assert len(await store.transfers.of(other)) == 1
