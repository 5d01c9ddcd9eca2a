"""Staff accounts, their recovery codes and sessions. Knows no password, code or token."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, case, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store.errors import AlreadyExists, Conflict, LimitReached, NotFound, StoreCorrupt
from proxy.store.people import Proof, StaffAccount, StaffState
from proxy.store.queries import api_keys as keys
from proxy.store.queries.support import end_of_staff
from proxy.store.records import ApiKey, ApiRole, SealedField
from proxy.store.schema import api_keys, recovery_codes, staff
from vault import UnsealError, WrappedRootKey

ACCOUNT_LIMIT = 1_000
"""Accounts, disabled ones too: a name in the audit log stays one person's for ever."""
SESSION_LIMIT = 10
"""Live sessions of an account; one more ends the oldest."""


async def create(connection: AsyncConnection, account: StaffAccount) -> None:
    """Insert an account. Raises AlreadyExists, LimitReached."""
    count = await connection.scalar(select(func.count()).select_from(staff))
    if (count or 0) >= ACCOUNT_LIMIT:
        raise LimitReached(f"there are {ACCOUNT_LIMIT} staff accounts, which is all there may be")
    try:
        await connection.execute(
            insert(staff).values(
                id=account.id,
                name=account.name,
                root_key=account.root_key.to_bytes(),
                created_by=account.created_by,
                created_at=account.created_at,
                totp_step=account.totp_step,
                **_changeable(account),
            )
        )
    except IntegrityError:
        raise AlreadyExists(
            "a staff account of this name exists, or has existed: names are not given out again"
        ) from None


async def find(connection: AsyncConnection, staff_id: str) -> StaffAccount | None:
    """The account of that id."""
    return await _one(connection, staff.c.id == staff_id)


async def by_name(connection: AsyncConnection, name: str) -> StaffAccount | None:
    """The account of that name."""
    return await _one(connection, staff.c.name == name)


async def by_invitation(
    connection: AsyncConnection, digest: bytes, now: datetime
) -> StaffAccount | None:
    """The account that a live invitation is for."""
    return await _one(
        connection,
        staff.c.invitation == digest,
        staff.c.invited_until > now,
        staff.c.state == StaffState.INVITED.value,
    )


async def every(connection: AsyncConnection) -> list[StaffAccount]:
    """All accounts, by name."""
    rows = await connection.execute(select(staff).order_by(staff.c.name))
    return [_account(row) for row in rows]


async def change(
    connection: AsyncConnection,
    before: StaffAccount,
    after: StaffAccount,
    recovery: Iterable[bytes] | None,
    now: datetime,
    *,
    ends_sessions: bool,
    ends_grants: str,
) -> None:
    """Put ``after`` in the place of ``before``. Raises Conflict where it has changed since.

    ``recovery``: the digests of the codes that there are from now on; None: as before.
    ``ends_grants``: who ends what workspaces have granted to the person; "": it stays.
    """
    result = await connection.execute(
        update(staff)
        .where(staff.c.id == before.id, staff.c.version == before.version)
        .values(
            **_changeable(after),
            # A login moves it on without another version: never back to a code that was used.
            totp_step=case(
                (staff.c.totp_step > after.totp_step, staff.c.totp_step), else_=after.totp_step
            ),
        )
    )
    if result.rowcount != 1:
        raise Conflict("the account was changed meanwhile; read it again")
    if recovery is not None:
        await connection.execute(
            delete(recovery_codes).where(recovery_codes.c.staff_id == before.id)
        )
        rows = [{"staff_id": before.id, "digest": digest} for digest in recovery]
        if rows:
            await connection.execute(insert(recovery_codes), rows)
    if ends_sessions:
        await connection.execute(
            update(api_keys)
            .where(api_keys.c.staff_id == before.id, api_keys.c.revoked_at.is_(None))
            .values(revoked_at=now)
        )
    if ends_grants:
        await end_of_staff(connection, before.id, now, ends_grants)


async def replace_root_key(
    connection: AsyncConnection, old: WrappedRootKey, new: WrappedRootKey
) -> None:
    """Put a rewrapped root key in the place of the same one. Raises Conflict."""
    result = await connection.execute(
        update(staff)
        .where(staff.c.id == old.workspace_id, staff.c.root_key == old.to_bytes())
        .values(root_key=new.to_bytes())
    )
    if result.rowcount != 1:
        raise Conflict("the account's root key was changed meanwhile; read it again")


async def spend(connection: AsyncConnection, account: StaffAccount, proof: Proof) -> bool:
    """Use a second factor up; False where it was used before, or the account has changed.

    Locks the account's row until the transaction ends.
    """
    row = (
        await connection.execute(
            select(staff.c.version, staff.c.state, staff.c.totp_step)
            .where(staff.c.id == account.id)
            .with_for_update()
        )
    ).first()
    is_same = row is not None and row.version == account.version
    if row is None or not is_same or row.state != StaffState.ACTIVE.value:
        return False
    if proof.step is not None:
        if proof.step <= row.totp_step:
            return False
        await connection.execute(
            update(staff).where(staff.c.id == account.id).values(totp_step=proof.step)
        )
        return True
    result = await connection.execute(
        delete(recovery_codes).where(
            recovery_codes.c.staff_id == account.id, recovery_codes.c.digest == proof.recovery
        )
    )
    return bool(result.rowcount == 1)


async def open_session(connection: AsyncConnection, session: ApiKey) -> None:
    """Insert a session whose proof was spent; ended ones are forgotten, too many end."""
    now = session.created_at
    await keys.make_room(connection, now, (api_keys.c.staff_id == session.staff_id, SESSION_LIMIT))
    await connection.execute(insert(api_keys).values(keys.columns(session)))
    await connection.execute(
        update(staff).where(staff.c.id == session.staff_id).values(last_login_at=now)
    )


async def sessions(connection: AsyncConnection, staff_id: str) -> list[ApiKey]:
    """An account's sessions, the newest first; those that ended are there until the next login."""
    rows = await connection.execute(
        select(api_keys)
        .where(api_keys.c.staff_id == staff_id)
        .order_by(api_keys.c.created_at.desc(), api_keys.c.id)
    )
    return [keys.key_of(row) for row in rows]


async def end_session(
    connection: AsyncConnection, staff_id: str, session_id: str, now: datetime
) -> ApiKey:
    """End a session; one that was ended keeps its time. Raises NotFound."""
    chosen = (api_keys.c.id == session_id, api_keys.c.staff_id == staff_id)
    await connection.execute(
        update(api_keys).where(*chosen, api_keys.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    row = (await connection.execute(select(api_keys).where(*chosen))).first()
    if row is None:
        raise NotFound("there is no such session")
    return keys.key_of(row)


async def recovery_digests(connection: AsyncConnection, staff_id: str) -> frozenset[bytes]:
    """The digests of the codes that are left; of an account that is not there, none."""
    rows = await connection.scalars(
        select(recovery_codes.c.digest).where(recovery_codes.c.staff_id == staff_id)
    )
    return frozenset(rows)


async def _one(connection: AsyncConnection, *where: Any) -> StaffAccount | None:
    row = (await connection.execute(select(staff).where(*where))).first()
    return None if row is None else _account(row)


def _changeable(account: StaffAccount) -> dict[str, Any]:
    """What changes with a version; the last login is a login's own to write, a root key the
    rotation's.
    """
    return {
        "role": account.role.value,
        "state": account.state.value,
        "version": account.version,
        "password": account.password,
        "totp": None if account.totp is None else account.totp.sealed,
        "totp_version": 0 if account.totp is None else account.totp.version,
        "totp_highest": account.totp_highest,
        "invitation": account.invitation,
        "invited_until": account.invited_until,
    }


def _account(row: Row[Any]) -> StaffAccount:
    try:
        root_key = WrappedRootKey.from_bytes(row.root_key)
    except UnsealError:
        raise StoreCorrupt("the store holds a root key that cannot be read") from None
    if root_key.workspace_id != row.id:
        raise StoreCorrupt("the store holds a staff account without a root key of its own")
    return StaffAccount(
        id=row.id,
        name=row.name,
        role=ApiRole(row.role),
        state=StaffState(row.state),
        root_key=root_key,
        created_by=row.created_by,
        created_at=row.created_at,
        version=row.version,
        password=row.password,
        totp=None if row.totp is None else SealedField(row.totp_version, row.totp),
        totp_highest=row.totp_highest,
        totp_step=row.totp_step,
        invitation=row.invitation,
        invited_until=row.invited_until,
        last_login_at=row.last_login_at,
    )
