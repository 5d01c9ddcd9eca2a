"""Calls that name themselves, so that asking again does nothing twice. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from proxy.store.database import Database
from proxy.store.queries import calls
from proxy.store.records import Answered


class Calls:
    """By API key and the call's own name; any call raises StoreUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def claim(self, key_id: str, name: str, fingerprint: bytes) -> Answered | None:
        """Take a name, or what stands under it. Raises LimitReached."""
        now = self._clock()
        return await self._database.write(
            lambda connection: calls.claim(connection, key_id, name, fingerprint, now)
        )

    async def finish(self, key_id: str, name: str, status: int, answer: str) -> None:
        """Keep what was answered; it must hold no secret."""
        await self._database.write(
            lambda connection: calls.finish(connection, key_id, name, status, answer)
        )

    async def forget(self, key_id: str, name: str) -> None:
        """Give a name back: nothing was done under it."""
        await self._database.write(lambda connection: calls.forget(connection, key_id, name))
