"""The store's questions about identity providers, and who has logged in with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from proxy.store.database import Database
from proxy.store.identity import IdentityProvider, PendingLogin
from proxy.store.queries import oidc
from proxy.store.records import ApiKey


class Oidc:
    """Providers, logins under way, sessions; any call raises StoreUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def now(self) -> datetime:
        """The store's clock."""
        return self._clock()

    async def of_workspace(self, workspace_id: str) -> IdentityProvider | None:
        """Where the workspace's administrators log in."""
        return await self._database.read(
            lambda connection: oidc.of_workspace(connection, workspace_id)
        )

    async def put(
        self, provider: IdentityProvider, before: IdentityProvider | None
    ) -> IdentityProvider:
        """Put a provider, checked, in the place of ``before`` (None: there is none).

        What the one before has begun is over with it. Raises Conflict, NotFound.
        """
        version = 1 if before is None else before.version + 1
        stored = replace(provider, version=version, set_at=self._clock())
        await self._database.write(lambda connection: oidc.put(connection, stored, before))
        return stored

    async def remove(self, provider: IdentityProvider) -> None:
        """Remove it, as it was read, with all that it has begun. Raises Conflict, NotFound."""
        await self._database.write(lambda connection: oidc.remove(connection, provider))

    async def begin(self, login: PendingLogin, provider: IdentityProvider) -> bool:
        """Keep a login; False where its provider is no longer as it was read."""
        return await self._database.write(
            lambda connection: oidc.begin(connection, login, provider)
        )

    async def spend(self, digest: bytes) -> tuple[PendingLogin, IdentityProvider] | None:
        """Take a login away for its one use, with its provider as it is now."""
        return await self._database.write(lambda connection: oidc.spend(connection, digest))

    async def open_session(
        self, login: PendingLogin, session: ApiKey, lifetime: timedelta
    ) -> ApiKey | None:
        """Store a session, which begins now; None where its provider has changed meanwhile."""
        now = self._clock()
        stored = replace(session, created_at=now, expires_at=now + lifetime)
        is_open = await self._database.write(
            lambda connection: oidc.open_session(connection, login, stored)
        )
        return stored if is_open else None

    async def sessions(self, workspace_id: str) -> list[ApiKey]:
        """The sessions of a workspace's administrators, the newest first."""
        return await self._database.read(lambda connection: oidc.sessions(connection, workspace_id))

    async def end_session(self, workspace_id: str, session_id: str) -> ApiKey:
        """End a session for good. Raises NotFound, also for another workspace's."""
        now = self._clock()
        return await self._database.write(
            lambda connection: oidc.end_session(connection, workspace_id, session_id, now)
        )
