"""The end of support grants by their time, put on record: by a running proxy, and once.

Nobody has to look for it, and several proxies and workers may watch one store. Who claims an
end in the store first records it, durably, and then says so there. Where it dies in between,
another one does it again after a minute: a record may be there twice, never missing. What ended
while no proxy ran is recorded when one does, with the time at which it ended.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from proxy.administration.support import grant_event
from proxy.administration.trail import Trail, TrailError
from proxy.audit.events import DELETE
from proxy.audit.ocsf import PRODUCT
from proxy.standing import tell
from proxy.store import Store, StoreError

log = structlog.get_logger("support")

PACE_SECONDS: Final = 5.0
"""Between two looks, each one read of an index: how late a record may be."""


async def record_expired(store: Store, trail: Trail) -> int:
    """Record what has ended by its time and is not on record; how many. Raises StoreError,
    TrailError: what is left is another look's.
    """
    claimed = await store.support.claim_expired()
    for grant in claimed:
        await trail.record(grant_event(PRODUCT["name"], DELETE, grant, "expired"))
        await store.support.expiry_recorded(grant)
    return len(claimed)


class ExpiryWatch:
    """Looks again and again, until it is stopped."""

    def __init__(self, store: Store, trail: Trail, *, pace: float = PACE_SECONDS) -> None:
        self._store = store
        self._trail = trail
        self._pace = pace
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look for the first time, and go on."""
        self._task = asyncio.create_task(self._follow(), name="support grants: record their ends")

    async def stop(self) -> None:
        """Look no more, once what was claimed is on record."""
        self._stop.set()
        if self._task is not None:
            await self._task

    async def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                await record_expired(self._store, self._trail)
            except (StoreError, TrailError) as error:
                log.warning("the end of support grants could not be recorded", reason=str(error))
            except Exception as error:  # noqa: BLE001
                # A bug of ours is told, and must not end the watch for as long as the proxy runs.
                tell("the end of support grants was not recorded", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace):
                    await self._stop.wait()
