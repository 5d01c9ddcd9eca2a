"""CSV files on their way, as any process of the platform sees them."""

from __future__ import annotations

from proxy.store.contents import Transfer
from proxy.store.database import Database
from proxy.store.errors import NotFound
from proxy.store.queries import transfers
from proxy.store.records import Workspace


class Transfers:
    """Any call raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, transfer: Transfer) -> None:
        """Keep one that begins; of each workspace the newest hundred are kept."""
        await self._database.write(lambda connection: transfers.begin(connection, transfer))

    async def tell(self, transfer: Transfer) -> None:
        """Keep how far it is."""
        await self._database.write(lambda connection: transfers.tell(connection, transfer))

    async def of(self, workspace: Workspace) -> list[Transfer]:
        """A workspace's, the newest first."""
        return await self._database.read(
            lambda connection: transfers.of_workspace(connection, workspace.id)
        )

    async def get(self, workspace: Workspace, transfer_id: str) -> Transfer:
        """One of a workspace. Raises NotFound."""
        found = await self._database.read(
            lambda connection: transfers.find(connection, workspace.id, transfer_id)
        )
        if found is None:
            raise NotFound("the workspace has no such transfer")
        return found
