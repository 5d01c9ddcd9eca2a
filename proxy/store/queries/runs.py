"""Runs: asked for, claimed by one runner, ended once. Each change of a status names the
status and the runner that it expects, so that of two who try one succeeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store.contents import Run, RunStatus
from proxy.store.errors import LimitReached, NotFound
from proxy.store.queries.workspaces import lock
from proxy.store.schema import documents, runs, workspaces

QUEUE_LIMIT = 1_000
"""Runs of a workspace that may wait."""
KEPT_LIMIT = 1_000
"""Ended runs kept of a workspace: the audit log keeps the story of the older ones."""


async def create(connection: AsyncConnection, run: Run) -> None:
    """Queue a run and forget the oldest ended ones. Raises NotFound, LimitReached."""
    await lock(connection, run.workspace_id)
    in_workspace = runs.c.workspace_id == run.workspace_id
    total, waiting = (
        await connection.execute(
            select(func.count(), func.count().filter(runs.c.status == "queued")).where(in_workspace)
        )
    ).one()
    if waiting >= QUEUE_LIMIT:
        raise LimitReached(f"{QUEUE_LIMIT} runs of the workspace wait already")
    if total >= KEPT_LIMIT + QUEUE_LIMIT:
        oldest = (
            select(runs.c.id)
            .where(in_workspace, runs.c.ended_at.is_not(None))
            .order_by(runs.c.queued_at)
            .limit(total - KEPT_LIMIT - QUEUE_LIMIT + 1)
        )
        await connection.execute(delete(runs).where(runs.c.id.in_(oldest)))
    await connection.execute(
        insert(runs).values(
            id=run.id,
            workspace_id=run.workspace_id,
            document_id=run.document_id,
            version=run.version,
            status=run.status,
            trigger=run.trigger,
            triggered_by=run.triggered_by,
            parameters=run.parameters,
            due_at=run.due_at,
            queued_at=run.queued_at,
        )
    )


async def queued(connection: AsyncConnection, at_once: int, limit: int) -> list[Run]:
    """Runs that may begin, the longest waiting first.

    Of each active workspace as many as it has places left of ``at_once``: one with a long
    queue holds up no other.
    """
    running = runs.alias("running")
    taken = (
        select(func.count())
        .where(
            running.c.workspace_id == runs.c.workspace_id,
            running.c.status == "running",
            running.c.ended_at.is_(None),
        )
        .scalar_subquery()
    )
    place = func.row_number().over(
        partition_by=runs.c.workspace_id, order_by=(runs.c.queued_at, runs.c.id)
    )
    waiting = (
        select(runs.c.id, (place + taken).label("place"))
        .join(workspaces, workspaces.c.id == runs.c.workspace_id)
        .where(runs.c.status == "queued", runs.c.ended_at.is_(None), workspaces.c.state == "active")
        .subquery()
    )
    rows = await connection.execute(
        _select()
        .join(waiting, waiting.c.id == runs.c.id)
        .where(waiting.c.place <= at_once)
        .order_by(runs.c.queued_at, runs.c.id)
        .limit(limit)
    )
    return [_run(row) for row in rows]


async def claim(
    connection: AsyncConnection,
    run: Run,
    runner: str,
    now: datetime,
    lease_until: datetime,
    at_once: int,
) -> bool:
    """Take a queued run, unless another has, or its workspace runs ``at_once`` already."""
    try:
        await lock(connection, run.workspace_id)
    except NotFound:
        return False
    running = await connection.scalar(
        select(func.count()).where(
            runs.c.workspace_id == run.workspace_id, runs.c.status == "running"
        )
    )
    if (running or 0) >= at_once:
        return False
    result = await connection.execute(
        update(runs)
        .where(runs.c.id == run.id, runs.c.status == "queued")
        .values(status="running", runner=runner, started_at=now, lease_until=lease_until)
    )
    return bool(result.rowcount)


async def renew(connection: AsyncConnection, runner: str, lease_until: datetime) -> None:
    """Say that a runner still works on all that it has claimed."""
    await connection.execute(
        update(runs)
        .where(runs.c.runner == runner, runs.c.status == "running", runs.c.ended_at.is_(None))
        .values(lease_until=lease_until)
    )


async def held(connection: AsyncConnection, runner: str) -> dict[str, str | None]:
    """What a runner has claimed and not ended: who asked to cancel it, by its id."""
    rows = await connection.execute(
        select(runs.c.id, runs.c.cancel_asked_by).where(
            runs.c.runner == runner, runs.c.status == "running", runs.c.ended_at.is_(None)
        )
    )
    return {row.id: row.cancel_asked_by for row in rows}


async def end(
    connection: AsyncConnection,
    run_id: str,
    runner: str,
    status: RunStatus,
    now: datetime,
    error: str,
    steps: str,
) -> bool:
    """End a run that this runner holds; False where it was taken from it meanwhile."""
    result = await connection.execute(
        update(runs)
        .where(runs.c.id == run_id, runs.c.runner == runner, runs.c.status == "running")
        .values(status=status, ended_at=now, error=error, steps=steps)
    )
    return bool(result.rowcount)


async def overdue(connection: AsyncConnection, now: datetime, limit: int) -> list[Run]:
    """Runs whose runners have not spoken in time."""
    rows = await connection.execute(
        _select()
        .where(runs.c.status == "running", runs.c.ended_at.is_(None), runs.c.lease_until < now)
        .limit(limit)
    )
    return [_run(row) for row in rows]


async def mark_lost(
    connection: AsyncConnection, found: Sequence[Run], now: datetime, error: str
) -> list[Run]:
    """End those that are still overdue; each is told to one caller."""
    lost = []
    for run in found:
        result = await connection.execute(
            update(runs)
            .where(runs.c.id == run.id, runs.c.status == "running", runs.c.lease_until < now)
            .values(status="lost", ended_at=now, error=error)
        )
        if result.rowcount:
            lost.append(run)
    return lost


async def ask_to_cancel(
    connection: AsyncConnection, workspace_id: str, run_id: str, who: str, now: datetime
) -> Run:
    """Cancel a run that waits; ask the runner of one that runs. Raises NotFound."""
    chosen = (runs.c.id == run_id, runs.c.workspace_id == workspace_id)
    await connection.execute(
        update(runs)
        .where(*chosen, runs.c.status == "queued")
        .values(status="cancelled", ended_at=now, cancel_asked_by=who)
    )
    await connection.execute(
        update(runs)
        .where(*chosen, runs.c.status == "running", runs.c.cancel_asked_by.is_(None))
        .values(cancel_asked_by=who)
    )
    found = await find(connection, workspace_id, run_id)
    if found is None:
        raise NotFound("the workspace has no such run")
    return found


async def find(connection: AsyncConnection, workspace_id: str, run_id: str) -> Run | None:
    """A run of a workspace."""
    row = (
        await connection.execute(
            _select().where(runs.c.id == run_id, runs.c.workspace_id == workspace_id)
        )
    ).first()
    return None if row is None else _run(row)


async def of_workspace(
    connection: AsyncConnection,
    workspace_id: str,
    document_id: str | None,
    limit: int,
    after: tuple[datetime, str] | None = None,
) -> list[Run]:
    """A workspace's runs, or one workflow's, the newest first; those behind ``after``."""
    chosen = _select().where(runs.c.workspace_id == workspace_id)
    if document_id is not None:
        chosen = chosen.where(runs.c.document_id == document_id)
    if after is not None:
        at, run_id = after
        same_moment = and_(runs.c.queued_at == at, runs.c.id > run_id)
        chosen = chosen.where(or_(runs.c.queued_at < at, same_moment))
    rows: Sequence[Row[Any]] = (
        await connection.execute(chosen.order_by(runs.c.queued_at.desc(), runs.c.id).limit(limit))
    ).all()
    return [_run(row) for row in rows]


def _select() -> Select[Any]:
    return select(runs, documents.c.name.label("workflow")).join(
        documents, documents.c.id == runs.c.document_id
    )


def _run(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        workspace_id=row.workspace_id,
        document_id=row.document_id,
        workflow=row.workflow,
        version=row.version,
        status=row.status,
        trigger=row.trigger,
        triggered_by=row.triggered_by,
        parameters=row.parameters,
        queued_at=row.queued_at,
        due_at=row.due_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        runner=row.runner,
        lease_until=row.lease_until,
        cancel_asked_by=row.cancel_asked_by,
        error=row.error,
        steps=row.steps,
    )
