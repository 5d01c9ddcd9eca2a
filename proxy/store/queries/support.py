"""Support grants, their tokens, and what a workspace grants without being asked.

Whatever depends on a grant being live holds the workspace's lock, so that a token is made
before the grant ends, and ends with it, or is not made.
"""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store.errors import Conflict, LimitReached, NotFound
from proxy.store.people import REQUEST_LIFETIME, PreApproval, SupportGrant
from proxy.store.queries import tokens
from proxy.store.queries.workspaces import lock
from proxy.store.records import Token
from proxy.store.schema import pre_approvals, support_grants, support_tokens

OPEN_LIMIT = 5
"""Requests and grants that one person has open with one workspace."""
CLAIM_LIMIT = 100
"""Ends by time that one process records in a row."""
CLAIM_LEASE = timedelta(minutes=1)
"""Who has claimed an end has recorded it by then, or another does."""
KEPT_LIMIT = 1_000
"""Grants of a workspace, with those that ended: what one list shows."""
TOKEN_LIMIT = 5
"""Tokens under one grant."""

PRE_APPROVED = "the workspace's pre-approval"


async def ask(
    connection: AsyncConnection, grant: SupportGrant, believed: str | None
) -> SupportGrant:
    """Insert a request, granted at once where the workspace has said so beforehand, and it was
    ``believed`` who did. Raises NotFound, LimitReached.
    """
    await lock(connection, grant.workspace_id)
    now = grant.asked_at
    mine = [one for one in await of_staff(connection, grant.staff_id) if one.ended_at is None]
    open_ones = [
        one
        for one in mine
        if one.workspace_id == grant.workspace_id and one.state(now) in ("pending", "live")
    ]
    if len(open_ones) >= OPEN_LIMIT:
        raise LimitReached(f"you have {OPEN_LIMIT} requests and grants open with this workspace")
    beforehand = await pre_approval(connection, grant.workspace_id)
    if beforehand.set_by == believed and beforehand.covers(grant.minutes, grant.with_database):
        grant = _decided(grant, now, PRE_APPROVED, is_approved=True)
    in_workspace = support_grants.c.workspace_id == grant.workspace_id
    kept = (
        select(support_grants.c.id)
        .where(in_workspace)
        .order_by(support_grants.c.asked_at.desc(), support_grants.c.id)
        .limit(KEPT_LIMIT - 1)
    )
    # A grant lasts a shift: what a thousand others came after has ended, or is turned away.
    await connection.execute(
        delete(support_grants).where(
            in_workspace,
            support_grants.c.id.not_in(kept),
            support_grants.c.asked_at < now - _LONGEST,
        )
    )
    count = await connection.scalar(
        select(func.count()).select_from(support_grants).where(in_workspace)
    )
    if (count or 0) >= KEPT_LIMIT:
        raise LimitReached(f"the workspace was asked {KEPT_LIMIT} times within two days")
    await connection.execute(insert(support_grants).values(_columns(grant)))
    return grant


_LONGEST = timedelta(days=2)


async def find(connection: AsyncConnection, grant_id: str) -> SupportGrant | None:
    """The grant of that id."""
    row = (
        await connection.execute(select(support_grants).where(support_grants.c.id == grant_id))
    ).first()
    return None if row is None else _grant(row)


async def of_workspace(connection: AsyncConnection, workspace_id: str) -> list[SupportGrant]:
    """A workspace's, the newest first."""
    return await _several(connection, support_grants.c.workspace_id == workspace_id)


async def of_staff(connection: AsyncConnection, staff_id: str) -> list[SupportGrant]:
    """A person's, the newest first, at most as many as a list shows."""
    return await _several(connection, support_grants.c.staff_id == staff_id)


async def live(
    connection: AsyncConnection, workspace_id: str, staff_id: str, now: datetime
) -> SupportGrant | None:
    """The grant by which a person may look into a workspace now: the one that lasts longest."""
    found = await _several(
        connection,
        support_grants.c.workspace_id == workspace_id,
        support_grants.c.staff_id == staff_id,
        support_grants.c.ended_at.is_(None),
        support_grants.c.expires_at > now,
    )
    lasting = [one for one in found if one.state(now) == "live"]
    return max(lasting, key=lambda one: one.expires_at or now, default=None)


async def decide(
    connection: AsyncConnection, grant: SupportGrant, now: datetime, by: str, *, is_approved: bool
) -> SupportGrant:
    """Approve or deny. Raises Conflict for what is no longer to be decided."""
    after = _decided(grant, now, by, is_approved=is_approved)
    result = await connection.execute(
        update(support_grants)
        .where(
            support_grants.c.id == grant.id,
            support_grants.c.decided_at.is_(None),
            support_grants.c.ended_at.is_(None),
            support_grants.c.asked_at > now - REQUEST_LIFETIME,
        )
        .values(_columns(after))
    )
    if result.rowcount != 1:
        raise Conflict("the request was decided on, withdrawn, or has waited for too long")
    return after


async def end(
    connection: AsyncConnection, grant: SupportGrant, now: datetime, by: str
) -> SupportGrant:
    """End a grant or a request and revoke its tokens; one that ended before stays as it is, also
    by its time.
    """
    await lock(connection, grant.workspace_id)
    is_over = and_(support_grants.c.expires_at.is_not(None), support_grants.c.expires_at <= now)
    await connection.execute(
        update(support_grants)
        .where(support_grants.c.id == grant.id, support_grants.c.ended_at.is_(None), ~is_over)
        .values(ended_at=now, ended_by=by)
    )
    made = await connection.scalars(
        select(support_tokens.c.token_id).where(support_tokens.c.grant_id == grant.id)
    )
    for token_id in sorted(made):
        await tokens.revoke(connection, grant.workspace_id, token_id, now)
    found = await find(connection, grant.id)
    if found is None:
        raise NotFound("there is no such support grant")
    return found


async def claim_expired(connection: AsyncConnection, now: datetime) -> list[SupportGrant]:
    """Grants whose time is over and not on record, and whose claim on that is now the caller's.

    Two callers never have the same one; what was claimed and not recorded can be claimed again
    once ``CLAIM_LEASE`` is over.
    """
    claimed = support_grants.c.expiry_claimed_at
    is_free = (
        *_unrecorded(now),
        or_(claimed.is_(None), claimed <= now - CLAIM_LEASE),
    )
    due = await connection.scalars(
        select(support_grants.c.id)
        .where(*is_free)
        .order_by(support_grants.c.expires_at, support_grants.c.id)
        .limit(CLAIM_LIMIT)
    )
    mine = []
    for grant_id in list(due):
        # Asked again, since another may have had it meanwhile; PostgreSQL waits for that one.
        result = await connection.execute(
            update(support_grants)
            .where(support_grants.c.id == grant_id, *is_free)
            .values(expiry_claimed_at=now)
        )
        if result.rowcount == 1 and (found := await find(connection, grant_id)) is not None:
            mine.append(found)
    return mine


async def is_any_expired(connection: AsyncConnection, now: datetime) -> bool:
    """Whether the time of any grant is over that is not on record."""
    found = select(support_grants.c.id).where(*_unrecorded(now)).limit(1)
    return await connection.scalar(found) is not None


async def expiry_recorded(connection: AsyncConnection, grant: SupportGrant, now: datetime) -> None:
    """A grant's end by time is on record."""
    await connection.execute(
        update(support_grants).where(support_grants.c.id == grant.id).values(expiry_recorded_at=now)
    )


def _unrecorded(now: datetime) -> tuple[ColumnElement[bool], ...]:
    # The first two are what the index holds.
    return (
        support_grants.c.expires_at.is_not(None),
        support_grants.c.expiry_recorded_at.is_(None),
        support_grants.c.expires_at <= now,
        support_grants.c.ended_at.is_(None),
    )


async def end_of_staff(connection: AsyncConnection, staff_id: str, now: datetime, by: str) -> None:
    """End all that a person has, since the account is no longer what it was granted to."""
    found = [one for one in await of_staff(connection, staff_id) if one.ended_at is None]
    # In one order everywhere, so that two changes cannot wait for each other's workspaces.
    for grant in sorted(found, key=lambda one: (one.workspace_id, one.id)):
        if grant.state(now) in ("pending", "live"):
            await end(connection, grant, now, by)


async def add_token(
    connection: AsyncConnection, grant: SupportGrant, token: Token, now: datetime
) -> None:
    """Store a token under a grant that is live. Raises Conflict, LimitReached."""
    await lock(connection, grant.workspace_id)
    current = await find(connection, grant.id)
    if current is None or current.state(now) != "live" or not current.with_database:
        raise Conflict("the grant is not live, or does not take in the data sources")
    count = await connection.scalar(
        select(func.count())
        .select_from(support_tokens)
        .where(support_tokens.c.grant_id == grant.id)
    )
    if (count or 0) >= TOKEN_LIMIT:
        raise LimitReached(f"{TOKEN_LIMIT} tokens were made under this grant, which is all")
    await tokens.create(connection, token)
    await connection.execute(insert(support_tokens).values(token_id=token.id, grant_id=grant.id))


async def pre_approval(connection: AsyncConnection, workspace_id: str) -> PreApproval:
    """What a workspace grants without being asked."""
    row = (
        await connection.execute(
            select(pre_approvals).where(pre_approvals.c.workspace_id == workspace_id)
        )
    ).first()
    if row is None:
        return PreApproval()
    return PreApproval(row.minutes, row.with_database, row.set_by)


async def set_pre_approval(
    connection: AsyncConnection, workspace_id: str, wanted: PreApproval
) -> None:
    """Say so. Raises NotFound."""
    await lock(connection, workspace_id)
    await connection.execute(
        delete(pre_approvals).where(pre_approvals.c.workspace_id == workspace_id)
    )
    await connection.execute(
        insert(pre_approvals).values(
            workspace_id=workspace_id,
            minutes=wanted.minutes,
            with_database=wanted.with_database,
            set_by=wanted.set_by,
        )
    )


async def _several(connection: AsyncConnection, *where: Any) -> list[SupportGrant]:
    rows = await connection.execute(
        select(support_grants)
        .where(*where)
        .order_by(support_grants.c.asked_at.desc(), support_grants.c.id)
        .limit(KEPT_LIMIT)
    )
    return [_grant(row) for row in rows]


def _decided(grant: SupportGrant, now: datetime, by: str, *, is_approved: bool) -> SupportGrant:
    ends = now + timedelta(minutes=grant.minutes) if is_approved else None
    return replace(grant, decided_at=now, decided_by=by, is_approved=is_approved, expires_at=ends)


_FIELDS = tuple(one.name for one in fields(SupportGrant))


def _columns(grant: SupportGrant) -> dict[str, Any]:
    return {name: getattr(grant, name) for name in _FIELDS}


def _grant(row: Row[Any]) -> SupportGrant:
    return SupportGrant(**{name: getattr(row, name) for name in _FIELDS})
