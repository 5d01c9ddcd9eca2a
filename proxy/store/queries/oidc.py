"""Identity providers, logins under way with them, and the sessions of who has logged in.

Knows no secret: providers' come sealed, logins' and sessions' as digests.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store.errors import Conflict, NotFound
from proxy.store.identity import LOGIN_LIFETIME, OIDC, IdentityProvider, PendingLogin
from proxy.store.queries import api_keys as keys
from proxy.store.queries.root_keys import require_live
from proxy.store.queries.workspaces import end_logins, lock
from proxy.store.records import ApiKey, SealedField
from proxy.store.schema import api_keys, identity_providers, oidc_logins, pre_approvals, workspaces

PENDING_LIMIT = 1_000
"""Logins under way of a workspace; one more takes the oldest one's place."""
PENDING_OF_NETWORK = 10
"""Of these, begun from one network: one more takes the place of its own oldest."""
SESSION_LIMIT = 200
"""Live sessions of a workspace's administrators; one more ends the oldest."""
SESSIONS_OF_SUBJECT = 10
"""Of these, one person's."""


async def of_workspace(connection: AsyncConnection, workspace_id: str) -> IdentityProvider | None:
    """The workspace's provider."""
    row = (
        await connection.execute(
            select(identity_providers).where(identity_providers.c.workspace_id == workspace_id)
        )
    ).first()
    return None if row is None else _provider(row)


async def put(
    connection: AsyncConnection, provider: IdentityProvider, before: IdentityProvider | None
) -> None:
    """Put a provider in the place of ``before``; what that one began is over.

    Raises Conflict where it is not what is there, NotFound.
    """
    await _check_same(connection, provider.workspace_id, before)
    await require_live(connection, provider.workspace_id, provider.secret.sealed)
    if before is None:
        await connection.execute(
            insert(identity_providers).values(
                id=provider.id, workspace_id=provider.workspace_id, **_settings(provider)
            )
        )
        return
    await end_logins(connection, provider.workspace_id, provider.set_at)
    await _disown(connection, provider.workspace_id)
    await connection.execute(
        update(identity_providers)
        .where(identity_providers.c.id == provider.id)
        .values(**_settings(provider))
    )


async def remove(connection: AsyncConnection, provider: IdentityProvider) -> None:
    """Remove it with all that it began. Raises Conflict where it was changed, NotFound."""
    await _check_same(connection, provider.workspace_id, provider)
    await _disown(connection, provider.workspace_id)
    await connection.execute(delete(api_keys).where(api_keys.c.provider_id == provider.id))
    await connection.execute(
        delete(identity_providers).where(identity_providers.c.id == provider.id)
    )


async def _disown(connection: AsyncConnection, workspace_id: str) -> None:
    """What an administrator of the provider before has approved beforehand goes back to nobody:
    who had set that one up is not known any more.
    """
    await connection.execute(
        update(pre_approvals)
        .where(
            pre_approvals.c.workspace_id == workspace_id,
            pre_approvals.c.set_by.startswith(OIDC, autoescape=True),
        )
        .values(set_by="")
    )


async def _check_same(
    connection: AsyncConnection, workspace_id: str, before: IdentityProvider | None
) -> None:
    await lock(connection, workspace_id)
    current = await of_workspace(connection, workspace_id)
    if (current is None) != (before is None) or (
        current is not None
        and before is not None
        and (current.id, current.version) != (before.id, before.version)
    ):
        raise Conflict("the identity provider was changed meanwhile; read it again")


async def begin(
    connection: AsyncConnection, login: PendingLogin, provider: IdentityProvider
) -> bool:
    """Keep a login that begins; False where its provider is no longer as it was read."""
    if not await _is_current(connection, provider.workspace_id, login):
        return False
    mine = oidc_logins.c.provider_id == login.provider_id
    over = login.begun_at - LOGIN_LIFETIME
    await connection.execute(delete(oidc_logins).where(mine, oidc_logins.c.begun_at <= over))
    its_network = (mine, oidc_logins.c.network == login.network)
    await _make_room(connection, its_network, PENDING_OF_NETWORK)
    await _make_room(connection, (mine,), PENDING_LIMIT)
    await connection.execute(
        insert(oidc_logins).values(
            digest=login.digest,
            provider_id=login.provider_id,
            provider_version=login.provider_version,
            redirect_uri=login.redirect_uri,
            network=login.network,
            begun_at=login.begun_at,
        )
    )
    return True


async def _make_room(connection: AsyncConnection, where: tuple[Any, ...], most: int) -> None:
    kept = (
        select(oidc_logins.c.digest)
        .where(*where)
        .order_by(oidc_logins.c.begun_at.desc(), oidc_logins.c.digest)
        .limit(most - 1)
    )
    await connection.execute(delete(oidc_logins).where(*where, oidc_logins.c.digest.not_in(kept)))


async def spend(
    connection: AsyncConnection, digest: bytes
) -> tuple[PendingLogin, IdentityProvider] | None:
    """Take a login away, for its one use: one caller gets it."""
    row = (
        await connection.execute(
            delete(oidc_logins).where(oidc_logins.c.digest == digest).returning(*oidc_logins.c)
        )
    ).first()
    if row is None:
        return None
    login = PendingLogin(
        digest=row.digest,
        provider_id=row.provider_id,
        provider_version=row.provider_version,
        redirect_uri=row.redirect_uri,
        network=row.network,
        begun_at=row.begun_at,
    )
    found = (
        await connection.execute(
            select(identity_providers).where(identity_providers.c.id == login.provider_id)
        )
    ).first()
    # Removed in this very moment.
    return None if found is None else (login, _provider(found))


async def open_session(connection: AsyncConnection, login: PendingLogin, session: ApiKey) -> bool:
    """Insert a session; ended ones are forgotten, too many end.

    False where the provider was changed since the login began, or the workspace is suspended.
    """
    if not await _is_current(connection, session.workspace_id or "", login):
        return False
    mine = api_keys.c.provider_id == session.provider_id
    await keys.make_room(
        connection,
        session.created_at,
        (and_(mine, api_keys.c.subject == session.subject), SESSIONS_OF_SUBJECT),
        (mine, SESSION_LIMIT),
    )
    await connection.execute(insert(api_keys).values(keys.columns(session)))
    return True


async def _is_current(connection: AsyncConnection, workspace_id: str, login: PendingLogin) -> bool:
    """Whether the login may go on. Holds the workspace for the rest of the transaction."""
    try:
        await lock(connection, workspace_id)
    except NotFound:
        return False
    row = (
        await connection.execute(
            select(identity_providers.c.version, workspaces.c.state)
            .join(workspaces)
            .where(identity_providers.c.id == login.provider_id)
        )
    ).first()
    return row is not None and tuple(row) == (login.provider_version, "active")


async def sessions(connection: AsyncConnection, workspace_id: str) -> list[ApiKey]:
    """The administrators' sessions, the newest first; ended ones until the next login."""
    rows = await connection.execute(
        select(api_keys)
        .where(api_keys.c.workspace_id == workspace_id, api_keys.c.provider_id.is_not(None))
        .order_by(api_keys.c.created_at.desc(), api_keys.c.id)
    )
    return [keys.key_of(row) for row in rows]


async def end_session(
    connection: AsyncConnection, workspace_id: str, session_id: str, now: datetime
) -> ApiKey:
    """End a session; one that was ended keeps its time. Raises NotFound."""
    chosen = (
        api_keys.c.id == session_id,
        api_keys.c.workspace_id == workspace_id,
        api_keys.c.provider_id.is_not(None),
    )
    await connection.execute(
        update(api_keys).where(*chosen, api_keys.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    row = (await connection.execute(select(api_keys).where(*chosen))).first()
    if row is None:
        raise NotFound("there is no such session")
    return keys.key_of(row)


def _settings(provider: IdentityProvider) -> dict[str, Any]:
    return {
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "secret": provider.secret.sealed,
        "secret_version": provider.secret.version,
        "secret_highest": provider.secret_highest,
        "redirect_uris": json.dumps(provider.redirect_uris),
        "scopes": json.dumps(provider.scopes),
        "claim": provider.claim,
        "allowed": json.dumps(provider.allowed),
        "session_minutes": provider.session_minutes,
        "version": provider.version,
        "set_by": provider.set_by,
        "set_at": provider.set_at,
    }


def _provider(row: Row[Any]) -> IdentityProvider:
    return IdentityProvider(
        id=row.id,
        workspace_id=row.workspace_id,
        issuer=row.issuer,
        client_id=row.client_id,
        secret=SealedField(row.secret_version, row.secret),
        secret_highest=row.secret_highest,
        redirect_uris=tuple(json.loads(row.redirect_uris)),
        scopes=tuple(json.loads(row.scopes)),
        claim=row.claim,
        allowed=tuple(json.loads(row.allowed)),
        session_minutes=row.session_minutes,
        set_by=row.set_by,
        set_at=row.set_at,
        version=row.version,
    )
