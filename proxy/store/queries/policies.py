"""Policies of workspaces and sources, in their canonical JSON."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from policies.document import Policy, PolicyError, read_policy
from proxy.store.errors import NotFound, StoreCorrupt
from proxy.store.queries.changes import append
from proxy.store.records import ChangeKind, Source, Workspace
from proxy.store.schema import sources, workspaces


async def set_of_workspace(
    connection: AsyncConnection, workspace: Workspace, policy: Policy | None, now: datetime
) -> None:
    """Put or, by None, take away a workspace's policy. Raises NotFound."""
    result = await connection.execute(
        update(workspaces).where(workspaces.c.id == workspace.id).values(policy=_text(policy))
    )
    if not result.rowcount:
        raise NotFound("the workspace is gone")
    await append(connection, ChangeKind.WORKSPACE, workspace.id, workspace.id, now)


async def set_of_source(
    connection: AsyncConnection, source: Source, policy: Policy | None, now: datetime
) -> None:
    """Put or, by None, take away a source's policy. Raises NotFound."""
    result = await connection.execute(
        update(sources)
        .where(sources.c.id == source.id, sources.c.workspace_id == source.workspace_id)
        .values(policy=_text(policy))
    )
    if not result.rowcount:
        raise NotFound("the workspace has no such source")
    await append(connection, ChangeKind.SOURCE, source.workspace_id, source.id, now)


@lru_cache(maxsize=1_024)
def parsed(text: str | None) -> Policy | None:
    """The policy of a row. Raises StoreCorrupt: one that cannot be read must not be none."""
    if text is None:
        return None
    try:
        return read_policy(text, "json")
    except PolicyError as error:
        raise StoreCorrupt(f"the store holds a policy that cannot be read: {error}") from None


def _text(policy: Policy | None) -> str | None:
    return None if policy is None else policy.to_json()
