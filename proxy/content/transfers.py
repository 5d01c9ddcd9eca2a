"""How far a CSV file is, kept in the store while it is on its way.

So any node's answer is the same, whichever carries the file. What is kept is a second old.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from proxy.administration.workplace import Desk
from proxy.content.runs import new_run_id
from proxy.standing import stand
from proxy.store import StoreError, Workspace
from proxy.store.contents import Transfer

PACE: Final = 1.0
"""Seconds between two times that it is kept."""
SILENCE: Final = timedelta(seconds=30)
"""Behind it, whoever carries a file that has not ended is gone."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is. ``bad``: lines of an import that were refused so far."""

    rows: int = 0
    bytes: int = 0
    bad: int = 0


@dataclass(slots=True)
class Telling:
    """Keeps how far a transfer is. To be called with each step, which costs next to nothing."""

    transfer: Transfer

    def __call__(self, progress: Progress) -> None:
        """It is so far."""
        self.transfer = replace(
            self.transfer, rows=progress.rows, bytes=progress.bytes, bad=progress.bad
        )


@asynccontextmanager
async def carrying(
    place: Desk,
    workspace: Workspace,
    direction: Literal["export", "import"],
    source: str,
    table: str,
    transfer_id: str | None = None,
    *,
    pace: float = PACE,
) -> AsyncIterator[Telling]:
    """Keep a transfer while it is carried, and how it ended. Raises StoreUnavailable.

    Later a store that is not there stops nothing: this only tells.
    """
    transfers, now = place.store.transfers, place.store.content.now
    began = now()
    telling = Telling(
        Transfer(
            id=transfer_id or new_run_id(),
            workspace_id=workspace.id,
            direction=direction,
            source=source,
            table=table,
            started_by=place.actor,
            started_at=began,
            told_at=began,
        )
    )
    await transfers.begin(telling.transfer)

    async def tell(**status: Any) -> None:
        with suppress(StoreError):
            await transfers.tell(replace(telling.transfer, told_at=now(), **status))

    async def tell_on() -> None:
        await asyncio.sleep(pace)
        await tell()

    standing = stand(tell_on, "how far a CSV file is could not be told")
    task = asyncio.create_task(standing, name=f"transfer {telling.transfer.id}")
    status = "failed"
    try:
        yield telling
        status = "succeeded"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await tell(status=status)


def transfer_value(transfer: Transfer, now: datetime) -> dict[str, Any]:
    """As JSON has it. ``lost``: nobody has told of it for long, so nobody carries it any more."""
    is_lost = transfer.status == "running" and now - transfer.told_at > SILENCE
    seconds = (transfer.told_at - transfer.started_at).total_seconds()
    return {
        "id": transfer.id,
        "direction": transfer.direction,
        "source": transfer.source,
        "table": transfer.table or None,
        "status": "lost" if is_lost else transfer.status,
        "started_by": transfer.started_by,
        "started_at": transfer.started_at,
        "told_at": transfer.told_at,
        "rows": transfer.rows,
        "bytes": transfer.bytes,
        "bad_lines": transfer.bad,
        "bytes_per_second": round(transfer.bytes / seconds) if seconds else 0,
    }
