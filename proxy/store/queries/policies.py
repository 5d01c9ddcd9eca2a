"""Policies of workspaces and sources, in their canonical JSON, with what they were before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from policies.document import Policy
from proxy.store.errors import Conflict, NotFound
from proxy.store.queries.changes import append
from proxy.store.queries.policy_text import parsed, text_of
from proxy.store.queries.workspaces import lock
from proxy.store.records import ChangeKind, PolicyVersion, Source, Workspace
from proxy.store.schema import policy_history, sources, workspaces

KEPT = 100
"""Versions of a policy that are kept: years of a policy that is looked after."""


@dataclass(frozen=True, slots=True)
class Put:
    """A policy that is put, or (None) taken away, by whom and when.

    ``if_unchanged``: only where the one before is still the one that was read.
    """

    policy: Policy | None
    actor: str
    at: datetime
    if_unchanged: bool = False


async def set_of_workspace(connection: AsyncConnection, workspace: Workspace, put: Put) -> None:
    """Put or take away a workspace's policy. Raises NotFound, Conflict."""
    await lock(connection, workspace.id)
    chosen = workspaces.c.id == workspace.id
    await _replace(connection, workspaces, chosen, workspace.policy, put)
    await _remember(connection, workspace.id, "", put)
    await append(connection, ChangeKind.WORKSPACE, workspace.id, workspace.id, put.at)


async def set_of_source(connection: AsyncConnection, source: Source, put: Put) -> None:
    """Put or take away a source's policy. Raises NotFound, Conflict."""
    await lock(connection, source.workspace_id)
    chosen = and_(sources.c.id == source.id, sources.c.workspace_id == source.workspace_id)
    await _replace(connection, sources, chosen, source.policy, put)
    await _remember(connection, source.workspace_id, source.id, put)
    await append(connection, ChangeKind.SOURCE, source.workspace_id, source.id, put.at)


async def history(
    connection: AsyncConnection, workspace_id: str, source_id: str
) -> list[PolicyVersion]:
    """The versions kept, the newest first."""
    rows = await connection.execute(
        select(policy_history)
        .where(*_of(workspace_id, source_id))
        .order_by(policy_history.c.seq.desc())
    )
    return [PolicyVersion(row.seq, parsed(row.document), row.actor, row.at) for row in rows]


async def _replace(
    connection: AsyncConnection, table: Table, chosen: Any, before: Policy | None, put: Put
) -> None:
    stored = (await connection.execute(select(table.c.policy).where(chosen))).first()
    if stored is None:
        raise NotFound("the workspace has no such source")
    if put.if_unchanged and stored.policy != text_of(before):
        raise Conflict("the policy was changed meanwhile; read it again")
    await connection.execute(update(table).where(chosen).values(policy=text_of(put.policy)))


async def _remember(
    connection: AsyncConnection, workspace_id: str, source_id: str, put: Put
) -> None:
    await connection.execute(
        insert(policy_history).values(
            workspace_id=workspace_id,
            source_id=source_id,
            document=text_of(put.policy),
            actor=put.actor,
            at=put.at,
        )
    )
    chosen = _of(workspace_id, source_id)
    oldest = (
        select(policy_history.c.seq)
        .where(*chosen)
        .order_by(policy_history.c.seq.desc())
        .offset(KEPT - 1)
        .limit(1)
    )
    floor = await connection.scalar(oldest)
    if floor is not None:
        await connection.execute(
            delete(policy_history).where(*chosen, policy_history.c.seq < floor)
        )


def _of(workspace_id: str, source_id: str) -> tuple[Any, Any]:
    return (
        policy_history.c.workspace_id == workspace_id,
        policy_history.c.source_id == source_id,
    )
