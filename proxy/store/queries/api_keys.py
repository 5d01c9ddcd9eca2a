"""API keys, as digests. Knows no key's text."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store.errors import LimitReached, NotFound
from proxy.store.queries.workspaces import lock
from proxy.store.records import SESSION_IDLE, ApiKey, ApiRole
from proxy.store.schema import api_keys

LIVE_LIMIT = 100
"""Live keys of a workspace, and of the platform: more than there are people and programs."""
KEPT_LIMIT = 1_000
"""Keys with those that ended: what one list shows. The audit log keeps the older ones' story."""


async def create(connection: AsyncConnection, key: ApiKey) -> None:
    """Insert a key and forget the oldest ended ones. Raises NotFound, LimitReached."""
    if key.workspace_id is not None:
        await lock(connection, key.workspace_id)
    is_ended = or_(api_keys.c.revoked_at.is_not(None), api_keys.c.expires_at <= key.created_at)
    total, ended = (
        await connection.execute(
            select(func.count(), func.count().filter(is_ended)).where(_reach(key.workspace_id))
        )
    ).one()
    if total - ended >= LIVE_LIMIT:
        raise LimitReached(f"there are {LIVE_LIMIT} live keys, which is all there may be")
    if total >= KEPT_LIMIT:
        oldest = (
            select(api_keys.c.id)
            .where(_reach(key.workspace_id), is_ended)
            .order_by(api_keys.c.created_at)
            .limit(total - KEPT_LIMIT + 1)
        )
        await connection.execute(delete(api_keys).where(api_keys.c.id.in_(oldest)))
    await connection.execute(insert(api_keys).values(columns(key)))


async def make_room(
    connection: AsyncConnection, now: datetime, *bounds: tuple[ColumnElement[bool], int]
) -> None:
    """Of sessions: forget those that ended, and end the oldest of the others where there are as
    many as may be. ``bounds``: which, and how many with the one that comes; the widest last.
    """
    widest, _ = bounds[-1]
    silent = func.coalesce(api_keys.c.last_used_at, api_keys.c.created_at)
    is_ended = or_(
        api_keys.c.revoked_at.is_not(None),
        api_keys.c.expires_at <= now,
        silent <= now - SESSION_IDLE,
    )
    await connection.execute(delete(api_keys).where(widest, is_ended))
    for which, most in bounds:
        kept = (
            select(api_keys.c.id)
            .where(which)
            .order_by(api_keys.c.created_at.desc(), api_keys.c.id)
            .limit(most - 1)
        )
        await connection.execute(delete(api_keys).where(which, api_keys.c.id.not_in(kept)))


async def find(connection: AsyncConnection, key_id: str) -> ApiKey | None:
    """The key of that id: one index look-up."""
    row = (await connection.execute(select(api_keys).where(api_keys.c.id == key_id))).first()
    return None if row is None else key_of(row)


async def of(connection: AsyncConnection, workspace_id: str | None) -> list[ApiKey]:
    """A workspace's keys, or (None) the platform's, ended ones too, the newest first."""
    rows = await connection.execute(
        select(api_keys)
        .where(_reach(workspace_id))
        .order_by(api_keys.c.created_at.desc(), api_keys.c.id)
    )
    return [key_of(row) for row in rows]


async def revoke(
    connection: AsyncConnection, workspace_id: str | None, key_id: str, now: datetime
) -> ApiKey:
    """Revoke; a key revoked before keeps its time. Raises NotFound."""
    chosen = (api_keys.c.id == key_id, _reach(workspace_id))
    await connection.execute(
        update(api_keys).where(*chosen, api_keys.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    row = (await connection.execute(select(api_keys).where(*chosen))).first()
    if row is None:
        raise NotFound("there is no such API key")
    return key_of(row)


async def record_use(connection: AsyncConnection, key_id: str, now: datetime) -> None:
    """Remember when a key was last used."""
    await connection.execute(
        update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=now)
    )


def _reach(workspace_id: str | None) -> Any:
    """A workspace's keys or the platform's. People's sessions are nobody's to list or end here."""
    column = api_keys.c.workspace_id
    if workspace_id is None:
        return and_(column.is_(None), api_keys.c.staff_id.is_(None))
    return and_(column == workspace_id, api_keys.c.provider_id.is_(None))


def columns(key: ApiKey) -> dict[str, Any]:
    """A new key's row."""
    return {
        "id": key.id,
        "workspace_id": key.workspace_id,
        "role": key.role.value,
        "label": key.label,
        "digest": key.digest,
        "created_by": key.created_by,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "staff_id": key.staff_id,
        "address": key.address,
        "provider_id": key.provider_id,
        "subject": key.subject,
    }


def key_of(row: Row[Any]) -> ApiKey:
    """A row's key."""
    return ApiKey(
        id=row.id,
        workspace_id=row.workspace_id,
        role=ApiRole(row.role),
        label=row.label,
        digest=row.digest,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        staff_id=row.staff_id,
        address=row.address,
        provider_id=row.provider_id,
        subject=row.subject,
    )
