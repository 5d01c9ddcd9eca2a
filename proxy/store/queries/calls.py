"""Calls that name themselves (Idempotency-Key), and what was answered. Knows no HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store.errors import LimitReached
from proxy.store.records import Answered
from proxy.store.schema import api_keys, idempotent_calls

KEPT = timedelta(hours=24)
"""How long an answer is kept: longer than anybody tries again."""
LIMIT = 1_000
"""Calls of a key within that time, so that no key fills the store."""


async def claim(
    connection: AsyncConnection, key_id: str, name: str, fingerprint: bytes, now: datetime
) -> Answered | None:
    """Take a name, or say what stands under it. Raises LimitReached."""
    # One at a time for each key: two calls of one name must not both find nothing.
    await connection.execute(select(api_keys.c.id).where(api_keys.c.id == key_id).with_for_update())
    mine = idempotent_calls.c.key_id == key_id
    await connection.execute(
        delete(idempotent_calls).where(mine, idempotent_calls.c.created_at < now - KEPT)
    )
    row = (
        await connection.execute(
            select(idempotent_calls).where(mine, idempotent_calls.c.name == name)
        )
    ).first()
    if row is not None:
        return Answered(row.fingerprint, row.status, row.answer)
    count = await connection.scalar(select(func.count()).select_from(idempotent_calls).where(mine))
    if (count or 0) >= LIMIT:
        raise LimitReached(f"this key has named {LIMIT} calls within a day, which is all it may")
    await connection.execute(
        insert(idempotent_calls).values(
            key_id=key_id, name=name, fingerprint=fingerprint, created_at=now
        )
    )
    return None


async def finish(
    connection: AsyncConnection, key_id: str, name: str, status: int, answer: str
) -> None:
    """Keep what was answered."""
    await connection.execute(
        update(idempotent_calls)
        .where(idempotent_calls.c.key_id == key_id, idempotent_calls.c.name == name)
        .values(status=status, answer=answer)
    )


async def forget(connection: AsyncConnection, key_id: str, name: str) -> None:
    """Give a name back: nothing was done."""
    await connection.execute(
        delete(idempotent_calls).where(
            idempotent_calls.c.key_id == key_id, idempotent_calls.c.name == name
        )
    )
