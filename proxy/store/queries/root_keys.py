"""A workspace's root keys, and which of them its secrets are sealed under. Opens none."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store.errors import Conflict
from proxy.store.queries.changes import append
from proxy.store.queries.workspaces import lock
from proxy.store.records import ChangeKind, Resealed
from proxy.store.schema import credentials, identity_providers, root_keys, sources
from vault import SealedRecord, WrappedRootKey


async def add(connection: AsyncConnection, root: WrappedRootKey, now: datetime) -> None:
    """Keep a newer root key beside the others. Raises Conflict, NotFound."""
    await lock(connection, root.workspace_id)
    try:
        await connection.execute(
            insert(root_keys).values(
                workspace_id=root.workspace_id, version=root.version, wrapped=root.to_bytes()
            )
        )
    except IntegrityError:
        raise Conflict("the workspace has a newer root key already; read it again") from None
    await append(connection, ChangeKind.ROOT_KEY, root.workspace_id, root.workspace_id, now)


async def reseal(
    connection: AsyncConnection, workspace_id: str, changes: Iterable[Resealed], now: datetime
) -> int:
    """Put secrets in the place of the same ones; how many were still what they had been."""
    await lock(connection, workspace_id)
    count = 0
    for change in changes:
        if change.kind is None:
            statement = (
                update(identity_providers)
                .where(
                    identity_providers.c.id == change.owner_id,
                    identity_providers.c.secret == change.before,
                )
                .values(secret=change.after)
            )
        else:
            statement = (
                update(credentials)
                .where(
                    credentials.c.source_id == change.owner_id,
                    credentials.c.field == change.kind,
                    credentials.c.sealed == change.before,
                )
                .values(sealed=change.after)
            )
        count += (await connection.execute(statement)).rowcount
    await append(connection, ChangeKind.CREDENTIAL, workspace_id, workspace_id, now)
    return count


async def destroy_earlier(
    connection: AsyncConnection, newest: WrappedRootKey, now: datetime
) -> tuple[int, ...]:
    """Delete all root keys but the newest; their versions.

    Raises Conflict where it is not the newest, or something is sealed under an earlier one.
    """
    workspace_id = newest.workspace_id
    await lock(connection, workspace_id)
    rows = await connection.execute(
        select(root_keys.c.version).where(root_keys.c.workspace_id == workspace_id)
    )
    versions = sorted(row.version for row in rows)
    if not versions or versions[-1] != newest.version:
        raise Conflict("the workspace has another root key; read it again")
    # First: who is about to store something under one of them holds it, see ``require_live``.
    await connection.execute(
        delete(root_keys).where(
            root_keys.c.workspace_id == workspace_id, root_keys.c.version < newest.version
        )
    )
    for sealed in await _sealed_in(connection, workspace_id):
        if SealedRecord.from_bytes(sealed).root_key_version != newest.version:
            raise Conflict("something was sealed under an earlier root key meanwhile; run it again")
    await append(connection, ChangeKind.ROOT_KEY, workspace_id, workspace_id, now)
    return tuple(versions[:-1])


async def require_live(connection: AsyncConnection, workspace_id: str, sealed: bytes) -> None:
    """Hold the root key that this is sealed under. Raises Conflict where it is gone."""
    version = SealedRecord.from_bytes(sealed).root_key_version
    found = await connection.scalar(
        select(root_keys.c.version)
        .where(root_keys.c.workspace_id == workspace_id, root_keys.c.version == version)
        .with_for_update(read=True)
    )
    if found is None:
        raise Conflict("the workspace's root key was renewed meanwhile; try again")


async def _sealed_in(connection: AsyncConnection, workspace_id: str) -> list[bytes]:
    of_sources = await connection.scalars(
        select(credentials.c.sealed)
        .join(sources, sources.c.id == credentials.c.source_id)
        .where(sources.c.workspace_id == workspace_id)
    )
    of_providers = await connection.scalars(
        select(identity_providers.c.secret).where(identity_providers.c.workspace_id == workspace_id)
    )
    return [*of_sources, *of_providers]
