"""Root keys of workspaces: a newer one, what is sealed under it, the end of the earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from proxy.store.database import Database
from proxy.store.queries import root_keys
from proxy.store.records import Resealed
from vault import WrappedRootKey


class RootKeys:
    """Each a transaction of its own; any call raises StoreUnavailable, NotFound."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def add(self, root: WrappedRootKey) -> None:
        """Keep a newer one; what is sealed from now on is sealed under it. Raises Conflict."""
        now = self._clock()
        await self._database.write(lambda connection: root_keys.add(connection, root, now))

    async def reseal(self, workspace_id: str, changes: Iterable[Resealed]) -> int:
        """Put these in their places; how many. What has changed meanwhile stays as it is."""
        now = self._clock()
        chosen = tuple(changes)
        return await self._database.write(
            lambda connection: root_keys.reseal(connection, workspace_id, chosen, now)
        )

    async def destroy_earlier(self, newest: WrappedRootKey) -> tuple[int, ...]:
        """Destroy the others; their versions. Raises Conflict where one is still needed.

        SQLite: as in ``Store.delete_workspace``.
        """
        now = self._clock()
        destroyed = await self._database.write(
            lambda connection: root_keys.destroy_earlier(connection, newest, now)
        )
        await self._database.empty_log()
        return destroyed
