"""The store's questions about the policies of workspaces and sources."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from policies.document import Policy
from proxy.store.database import Database
from proxy.store.queries import policies
from proxy.store.records import PolicyVersion, Source, Workspace


class Policies:
    """What is put, and what was put before; any call raises StoreUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def set_of_workspace(
        self,
        workspace: Workspace,
        policy: Policy | None,
        *,
        actor: str = "",
        if_unchanged: bool = False,
    ) -> None:
        """Put a workspace's policy, or take it away. Raises NotFound.

        ``if_unchanged``: only while it has the policy that ``workspace`` says, else Conflict.
        """
        put = policies.Put(policy, actor, self._clock(), if_unchanged)
        await self._database.write(
            lambda connection: policies.set_of_workspace(connection, workspace, put)
        )

    async def set_of_source(
        self,
        source: Source,
        policy: Policy | None,
        *,
        actor: str = "",
        if_unchanged: bool = False,
    ) -> None:
        """Put a source's policy, or take it away; as ``set_of_workspace``."""
        put = policies.Put(policy, actor, self._clock(), if_unchanged)
        await self._database.write(
            lambda connection: policies.set_of_source(connection, source, put)
        )

    async def history(self, workspace: Workspace, source: Source | None) -> list[PolicyVersion]:
        """What was put before and is now, the newest first; bounded by ``policies.KEPT``."""
        return await self._database.read(
            lambda connection: policies.history(
                connection, workspace.id, "" if source is None else source.id
            )
        )
