"""CSV files on their way. A workspace's newest are kept."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store.contents import Transfer
from proxy.store.schema import transfers

KEPT: Final = 100
"""Of a workspace: as many as can be on their way at once, since each has a token."""


async def begin(connection: AsyncConnection, transfer: Transfer) -> None:
    """Keep one that begins; the oldest are forgotten."""
    in_workspace = transfers.c.workspace_id == transfer.workspace_id
    oldest = (
        select(transfers.c.id)
        .where(in_workspace)
        .order_by(transfers.c.started_at.desc(), transfers.c.id)
        .offset(KEPT - 1)
    )
    await connection.execute(delete(transfers).where(transfers.c.id.in_(oldest)))
    await connection.execute(
        insert(transfers).values(
            id=transfer.id,
            workspace_id=transfer.workspace_id,
            direction=transfer.direction,
            source=transfer.source,
            table_name=transfer.table,
            started_by=transfer.started_by,
            started_at=transfer.started_at,
            **_how_far(transfer),
        )
    )


async def tell(connection: AsyncConnection, transfer: Transfer) -> None:
    """How far it is. One that is forgotten stays so."""
    await connection.execute(
        update(transfers).where(transfers.c.id == transfer.id).values(**_how_far(transfer))
    )


async def of_workspace(connection: AsyncConnection, workspace_id: str) -> list[Transfer]:
    """The newest first."""
    chosen = select(transfers).where(transfers.c.workspace_id == workspace_id)
    newest = chosen.order_by(transfers.c.started_at.desc(), transfers.c.id).limit(KEPT)
    return [_transfer(row) for row in (await connection.execute(newest)).all()]


async def find(connection: AsyncConnection, workspace_id: str, transfer_id: str) -> Transfer | None:
    """One of a workspace."""
    chosen = select(transfers).where(
        transfers.c.id == transfer_id, transfers.c.workspace_id == workspace_id
    )
    row = (await connection.execute(chosen)).first()
    return None if row is None else _transfer(row)


def _how_far(transfer: Transfer) -> dict[str, Any]:
    names = ("status", "rows", "bytes", "bad", "told_at")
    return {name: getattr(transfer, name) for name in names}


def _transfer(row: Row[Any]) -> Transfer:
    # By its mapping: a row has methods of its own, and one is named as a column is.
    found = dict(row._mapping)
    return Transfer(table=found.pop("table_name"), **found)
