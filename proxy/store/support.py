"""The store's questions about the access that workspaces grant to the support."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from protocols.verifiers import TokenVerifier
from proxy.store import validate
from proxy.store.database import Database
from proxy.store.errors import InvalidSetting
from proxy.store.people import GRANT_MINUTES, REASON_LIMIT, PreApproval, SupportGrant
from proxy.store.queries import support
from proxy.store.records import Token


class Support:
    """Requests, grants, their tokens; any call raises StoreUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def ask(self, grant: SupportGrant, *, believed: str | None = None) -> SupportGrant:
        """Ask now; where the workspace has approved beforehand, the answer is a live grant.

        ``believed``: who is believed to have approved for it; of anybody else it does not count.
        Raises NotFound, LimitReached, InvalidSetting.
        """
        validate.check_text(grant.reason, "reason", REASON_LIMIT)
        if not 1 <= grant.minutes <= GRANT_MINUTES:
            raise InvalidSetting("minutes", f"use a number from 1 to {GRANT_MINUTES}")
        asked = replace(grant, asked_at=self._clock())
        return await self._database.write(
            lambda connection: support.ask(connection, asked, believed)
        )

    async def find(self, grant_id: str) -> SupportGrant | None:
        """The request or grant of that id."""
        return await self._database.read(lambda connection: support.find(connection, grant_id))

    async def of_workspace(self, workspace_id: str) -> list[SupportGrant]:
        """A workspace's, the newest first."""
        return await self._database.read(
            lambda connection: support.of_workspace(connection, workspace_id)
        )

    async def of_staff(self, staff_id: str) -> list[SupportGrant]:
        """A person's, the newest first."""
        return await self._database.read(lambda connection: support.of_staff(connection, staff_id))

    async def live(self, workspace_id: str, staff_id: str) -> SupportGrant | None:
        """The grant by which a person may look into a workspace now."""
        now = self._clock()
        return await self._database.read(
            lambda connection: support.live(connection, workspace_id, staff_id, now)
        )

    async def decide(self, grant: SupportGrant, by: str, *, is_approved: bool) -> SupportGrant:
        """Approve or deny a request. Raises Conflict."""
        now = self._clock()
        return await self._database.write(
            lambda connection: support.decide(connection, grant, now, by, is_approved=is_approved)
        )

    async def end(self, grant: SupportGrant, by: str) -> SupportGrant:
        """End a grant, or withdraw a request; its tokens are revoked with it. Raises NotFound."""
        now = self._clock()
        return await self._database.write(
            lambda connection: support.end(connection, grant, now, by)
        )

    async def claim_expired(self) -> list[SupportGrant]:
        """Grants whose time is over, for the caller alone to record, and soon."""
        now = self._clock()
        is_any = await self._database.read(
            lambda connection: support.is_any_expired(connection, now)
        )
        # Mostly there are none, and nothing is written.
        if not is_any:
            return []
        return await self._database.write(lambda connection: support.claim_expired(connection, now))

    async def expiry_recorded(self, grant: SupportGrant) -> None:
        """The end by time of a grant that was claimed is on record."""
        now = self._clock()
        await self._database.write(
            lambda connection: support.expiry_recorded(connection, grant, now)
        )

    async def add_token(self, grant: SupportGrant, label: str, verifier: TokenVerifier) -> Token:
        """Store a token that ends with the grant. Raises Conflict, LimitReached."""
        now = self._clock()
        token = Token(
            id=verifier.token_id,
            workspace_id=grant.workspace_id,
            label=label,
            verifier=verifier,
            created_at=now,
            expires_at=grant.expires_at,
            revoked_at=None,
            last_used_at=None,
        )
        await self._database.write(
            lambda connection: support.add_token(connection, grant, token, now)
        )
        return token

    async def pre_approval(self, workspace_id: str) -> PreApproval:
        """What a workspace grants without being asked."""
        return await self._database.read(
            lambda connection: support.pre_approval(connection, workspace_id)
        )

    async def set_pre_approval(self, workspace_id: str, wanted: PreApproval) -> None:
        """Say what it grants without being asked. Raises NotFound, InvalidSetting."""
        if not 0 <= wanted.minutes <= GRANT_MINUTES:
            raise InvalidSetting("minutes", f"use a number from 0 to {GRANT_MINUTES}")
        await self._database.write(
            lambda connection: support.set_pre_approval(connection, workspace_id, wanted)
        )
