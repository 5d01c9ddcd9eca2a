"""The store's questions about the people of the platform. Knows no password and no code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store import validate
from proxy.store.database import Database
from proxy.store.errors import InvalidSetting, NotFound
from proxy.store.people import INVITATION_LIFETIME, STAFF_ROLES, Proof, StaffAccount
from proxy.store.queries import staff
from proxy.store.records import SESSION_LIFETIME, ApiKey
from vault import WrappedRootKey


class Staff:
    """Accounts and their sessions; any call raises StoreUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def create(self, account: StaffAccount) -> StaffAccount:
        """Store an invited account; its time is now.

        Raises AlreadyExists, LimitReached, InvalidSetting.
        """
        now = self._clock()
        validate.check_name(account.name)
        _check_role(account)
        stored = replace(account, created_at=now, invited_until=now + INVITATION_LIFETIME)
        await self._database.write(lambda connection: staff.create(connection, stored))
        return stored

    async def find(self, staff_id: str) -> StaffAccount | None:
        """The account of that id."""
        return await self._database.read(lambda connection: staff.find(connection, staff_id))

    async def get(self, staff_id: str) -> StaffAccount:
        """The same. Raises NotFound."""
        found = await self.find(staff_id)
        if found is None:
            raise NotFound("there is no such staff account")
        return found

    async def by_name(self, name: str) -> StaffAccount | None:
        """The account of that name."""
        return await self._database.read(lambda connection: staff.by_name(connection, name))

    async def by_invitation(self, digest: bytes) -> StaffAccount | None:
        """The account that a live invitation of this digest is for."""
        now = self._clock()
        return await self._database.read(
            lambda connection: staff.by_invitation(connection, digest, now)
        )

    async def all(self) -> list[StaffAccount]:
        """Every account, by name."""
        return await self._database.read(staff.every)

    async def change(
        self,
        before: StaffAccount,
        after: StaffAccount,
        *,
        recovery: Iterable[bytes] | None = None,
        ends_sessions: bool = True,
        ends_grants: str = "",
    ) -> StaffAccount:
        """Change an account as it was read. Raises Conflict, InvalidSetting.

        ``recovery``: digests of the recovery codes from now on; None: as before.
        ``ends_grants``: who ends what workspaces have granted to the person; "": it stays. An
        invitation that ``after`` brings anew lasts from now.
        """
        now = self._clock()
        _check_role(after)
        stored = replace(after, version=before.version + 1)
        if after.invitation is not None and after.invitation != before.invitation:
            stored = replace(stored, invited_until=now + INVITATION_LIFETIME)
        codes = None if recovery is None else tuple(recovery)
        await self._database.write(
            lambda connection: staff.change(
                connection,
                before,
                stored,
                codes,
                now,
                ends_sessions=ends_sessions,
                ends_grants=ends_grants,
            )
        )
        return stored

    async def replace_root_key(self, old: WrappedRootKey, new: WrappedRootKey) -> None:
        """Put a rewrapped root key in place of the same one. Raises Conflict."""
        await self._database.write(lambda connection: staff.replace_root_key(connection, old, new))

    async def spend(self, account: StaffAccount, proof: Proof) -> bool:
        """Use a second factor up; False where it was used before or the account has changed."""
        return await self._database.write(
            lambda connection: staff.spend(connection, account, proof)
        )

    async def open_session(
        self, account: StaffAccount, proof: Proof, session: ApiKey
    ) -> ApiKey | None:
        """Use the second factor up and store the session, which begins now; None as above."""
        now = self._clock()
        stored = replace(session, created_at=now, expires_at=now + SESSION_LIFETIME)

        async def work(connection: AsyncConnection) -> bool:
            if not await staff.spend(connection, account, proof):
                return False
            await staff.open_session(connection, stored)
            return True

        return stored if await self._database.write(work) else None

    async def sessions(self, staff_id: str) -> list[ApiKey]:
        """An account's sessions, the newest first."""
        return await self._database.read(lambda connection: staff.sessions(connection, staff_id))

    async def end_session(self, staff_id: str, session_id: str) -> ApiKey:
        """End a session for good. Raises NotFound, also for another account's."""
        now = self._clock()
        return await self._database.write(
            lambda connection: staff.end_session(connection, staff_id, session_id, now)
        )

    async def recovery_digests(self, staff_id: str) -> frozenset[bytes]:
        """The digests of the recovery codes that are left; none for an unknown account."""
        return await self._database.read(
            lambda connection: staff.recovery_digests(connection, staff_id)
        )


def _check_role(account: StaffAccount) -> None:
    if account.role not in STAFF_ROLES:
        raise InvalidSetting("role", "use owner, operator, auditor or support")
