"""Tokens, as verifiers. Knows no token's text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from protocols.verifiers import TokenVerifier
from proxy.store.errors import AlreadyExists, LimitReached, NotFound
from proxy.store.queries.changes import append
from proxy.store.queries.workspaces import lock
from proxy.store.records import ChangeKind, Token
from proxy.store.schema import tokens

LIVE_LIMIT = 100
"""Live tokens of a workspace: a login is checked against each, at a few microseconds."""

KEPT_LIMIT = 1_000
"""Tokens of a workspace with those that ended: what one list shows. The audit log keeps
the story of the older ones."""


async def create(connection: AsyncConnection, token: Token) -> None:
    """Insert a token and forget the oldest ended ones. Raises NotFound, LimitReached."""
    await lock(connection, token.workspace_id)
    now = token.created_at
    is_ended = or_(tokens.c.revoked_at.is_not(None), tokens.c.expires_at <= now)
    in_workspace = tokens.c.workspace_id == token.workspace_id
    total, ended = (
        await connection.execute(
            select(func.count(), func.count().filter(is_ended)).where(in_workspace)
        )
    ).one()
    if total - ended >= LIVE_LIMIT:
        raise LimitReached(
            f"the workspace has {LIVE_LIMIT} live tokens, which is all it may have; revoke one"
        )
    if total >= KEPT_LIMIT:
        oldest = (
            select(tokens.c.id)
            .where(in_workspace, is_ended)
            .order_by(tokens.c.created_at)
            .limit(total - KEPT_LIMIT + 1)
        )
        await connection.execute(delete(tokens).where(tokens.c.id.in_(oldest)))
    try:
        await connection.execute(
            insert(tokens).values(
                id=token.id,
                workspace_id=token.workspace_id,
                label=token.label,
                stored_key=token.verifier.stored_key,
                server_key=token.verifier.server_key,
                sha256_sha256=token.verifier.sha256_sha256,
                sha1_sha1=token.verifier.sha1_sha1,
                created_at=token.created_at,
                expires_at=token.expires_at,
            )
        )
    except IntegrityError:
        raise AlreadyExists("a token with this id already exists") from None
    await append(connection, ChangeKind.TOKEN, token.workspace_id, token.id, now)


async def of_workspace(connection: AsyncConnection, workspace_id: str) -> list[Token]:
    """All tokens of a workspace, the newest first."""
    rows = await connection.execute(
        select(tokens)
        .where(tokens.c.workspace_id == workspace_id)
        .order_by(tokens.c.created_at.desc(), tokens.c.id)
    )
    return [_token(row) for row in rows]


async def live(connection: AsyncConnection, workspace_id: str, now: datetime) -> list[Token]:
    """The tokens that may log in at ``now``: at most LIVE_LIMIT."""
    rows = await connection.execute(
        select(tokens).where(
            tokens.c.workspace_id == workspace_id,
            tokens.c.revoked_at.is_(None),
            or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now),
        )
    )
    return [_token(row) for row in rows]


async def revoke(
    connection: AsyncConnection, workspace_id: str, token_id: str, now: datetime
) -> Token:
    """Revoke; a token revoked before keeps its time. Raises NotFound."""
    chosen = (tokens.c.id == token_id, tokens.c.workspace_id == workspace_id)
    result = await connection.execute(
        update(tokens).where(*chosen, tokens.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    if result.rowcount:
        await append(connection, ChangeKind.TOKEN, workspace_id, token_id, now)
    row = (await connection.execute(select(tokens).where(*chosen))).first()
    if row is None:
        raise NotFound("the workspace has no such token")
    return _token(row)


async def record_use(connection: AsyncConnection, used_at: Mapping[str, datetime]) -> None:
    """Remember when tokens were last used; never earlier than is known.

    The only writing that is no change: nothing that a login decides depends on it.
    """
    if not used_at:
        return
    at = bindparam("at", type_=tokens.c.last_used_at.type)
    await connection.execute(
        update(tokens)
        .where(
            tokens.c.id == bindparam("token_id"),
            or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at < at),
        )
        .values(last_used_at=at),
        # In one order everywhere, so that two nodes cannot wait for each other's rows.
        [{"token_id": token_id, "at": used_at[token_id]} for token_id in sorted(used_at)],
    )


def _token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        workspace_id=row.workspace_id,
        label=row.label,
        verifier=TokenVerifier(
            row.id, row.stored_key, row.server_key, row.sha256_sha256, row.sha1_sha1
        ),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
