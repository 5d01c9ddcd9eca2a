"""Appends to the change feed. Knows no reader of it; see ``proxy/store/feed.py``."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store.feed import CHANNEL, encode
from proxy.store.records import Change, ChangeKind
from proxy.store.schema import changes

KEPT = 10_000
"""Changes kept for readers: minutes of the busiest day; a later reader starts over."""
TRIM_EVERY = 1_000


async def append(
    connection: AsyncConnection,
    kind: ChangeKind,
    workspace_id: str,
    object_id: str,
    at: datetime,
) -> None:
    """Add a change, which readers see when the transaction commits, and only then."""
    result = await connection.execute(
        insert(changes).values(
            kind=kind.value, workspace_id=workspace_id, object_id=object_id, at=at
        )
    )
    key = result.inserted_primary_key
    assert key is not None
    seq: int = key[0]
    if connection.dialect.name == "postgresql":
        payload = encode(seq, Change(kind, workspace_id, object_id))
        await connection.execute(select(func.pg_notify(CHANNEL, payload)))
    if seq % TRIM_EVERY == 0:
        await connection.execute(delete(changes).where(changes.c.seq <= seq - KEPT))
