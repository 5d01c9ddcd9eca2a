"""Sources, their sealed credentials, and the highest version of each. Opens none of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store import failover, pooling, tls
from proxy.store.errors import AlreadyExists, Conflict, LimitReached, NotFound
from proxy.store.queries.changes import append
from proxy.store.queries.policy_text import parsed
from proxy.store.queries.root_keys import require_live
from proxy.store.queries.workspaces import lock
from proxy.store.records import (
    CREDENTIAL_FIELDS,
    ChangeKind,
    CredentialField,
    SealedCredential,
    SealedField,
    Source,
)
from proxy.store.schema import credential_versions, credentials, sources

LIMIT = 1_000
"""Sources of a workspace: one for each of a large customer's databases, and one list."""


async def create(connection: AsyncConnection, source: Source, now: datetime) -> None:
    """Insert a source with its credential. Raises NotFound, AlreadyExists, LimitReached."""
    await lock(connection, source.workspace_id)
    count = await connection.scalar(
        select(func.count()).where(sources.c.workspace_id == source.workspace_id)
    )
    if (count or 0) >= LIMIT:
        raise LimitReached(f"the workspace has {LIMIT} sources, which is all it may have")
    try:
        await connection.execute(
            insert(sources).values(
                id=source.id, workspace_id=source.workspace_id, **_columns(source)
            )
        )
    except IntegrityError:
        raise AlreadyExists(f"the workspace already has a source named {source.name}") from None
    if source.credential is not None:
        await _put(connection, source, source.credential)
    await append(connection, ChangeKind.SOURCE, source.workspace_id, source.id, now)


async def find(connection: AsyncConnection, workspace_id: str, name: str) -> Source | None:
    """The workspace's source of that name, with its credential: three index look-ups."""
    chosen = (sources.c.workspace_id == workspace_id, sources.c.name == name)
    found = await _load(connection, chosen)
    return found[0] if found else None


async def of_workspace(connection: AsyncConnection, workspace_id: str) -> list[Source]:
    """All sources of a workspace, by name."""
    return await _load(connection, (sources.c.workspace_id == workspace_id,))


async def first_weak_end(connection: AsyncConnection) -> datetime | None:
    """The earliest end of a weak TLS profile, of all sources; it may be over."""
    # A source without one has null there: see ``tls.to_json``.
    rows = await connection.execute(
        select(sources.c.tls).where(sources.c.tls.not_like('%"expires_at": null%'))
    )
    ends = [tls.from_json(row.tls).expires_at for row in rows]
    return min((end for end in ends if end is not None), default=None)


async def hold(connection: AsyncConnection, workspace_id: str, source_id: str) -> Source:
    """The source as it is now, held for the rest of the transaction. Raises NotFound."""
    await lock(connection, workspace_id)
    found = await _load(
        connection, (sources.c.workspace_id == workspace_id, sources.c.id == source_id)
    )
    if not found:
        raise NotFound("the workspace has no such source")
    return found[0]


async def edit(
    connection: AsyncConnection,
    source: Source,
    given: SealedCredential | None,
    forget: Iterable[CredentialField],
    now: datetime,
) -> None:
    """Write the columns of a source that is held, and put and remove secrets.

    Raises Conflict, AlreadyExists.
    """
    try:
        result = await connection.execute(
            update(sources)
            .where(sources.c.id == source.id, sources.c.version == source.version - 1)
            .values(**_columns(source))
        )
    except IntegrityError:
        raise AlreadyExists(f"the workspace already has a source named {source.name}") from None
    if result.rowcount != 1:
        raise Conflict("the source was changed meanwhile; read it again")
    for name in forget:
        await connection.execute(
            delete(credentials).where(
                credentials.c.source_id == source.id, credentials.c.field == name
            )
        )
    if given is not None:
        await _put(connection, source, given)
    await append(connection, ChangeKind.SOURCE, source.workspace_id, source.id, now)


async def rotate(
    connection: AsyncConnection, source: Source, given: SealedCredential, now: datetime
) -> None:
    """Replace secrets of a source that is held. Raises Conflict."""
    await _put(connection, source, given)
    await append(connection, ChangeKind.CREDENTIAL, source.workspace_id, source.id, now)


async def remove(
    connection: AsyncConnection, source: Source, now: datetime, *, if_unchanged: bool = False
) -> None:
    """Delete a source and its secrets. Raises NotFound.

    ``if_unchanged``: only as it was read, its secrets too, else Conflict.
    """
    workspace_id, source_id = source.workspace_id, source.id
    if if_unchanged and _versions(await hold(connection, workspace_id, source_id)) != _versions(
        source
    ):
        raise Conflict("the source was changed meanwhile; read it again")
    result = await connection.execute(
        delete(sources).where(sources.c.id == source_id, sources.c.workspace_id == workspace_id)
    )
    if not result.rowcount:
        raise NotFound("the workspace has no such source")
    await append(connection, ChangeKind.SOURCE, workspace_id, source_id, now)


def _versions(source: Source) -> tuple[int, int, int]:
    """What an edit or a rotation changes."""
    return source.version, source.password_version, source.client_key_version


async def _put(connection: AsyncConnection, source: Source, given: SealedCredential) -> None:
    for name in CREDENTIAL_FIELDS:
        sealed = given.field(name)
        if sealed is None:
            continue
        await require_live(connection, source.workspace_id, sealed.sealed)
        chosen = (
            credential_versions.c.source_id == source.id,
            credential_versions.c.field == name,
        )
        highest = await connection.scalar(select(credential_versions.c.highest).where(*chosen))
        # Exactly one more: whoever sealed it had read the newest.
        if sealed.version != (highest or 0) + 1:
            raise Conflict("the credential was changed meanwhile; read the source again")
        if highest is None:
            await connection.execute(
                insert(credential_versions).values(
                    source_id=source.id, field=name, highest=sealed.version
                )
            )
        else:
            await connection.execute(
                update(credential_versions).where(*chosen).values(highest=sealed.version)
            )
        await connection.execute(
            delete(credentials).where(
                credentials.c.source_id == source.id, credentials.c.field == name
            )
        )
        await connection.execute(
            insert(credentials).values(
                source_id=source.id, field=name, version=sealed.version, sealed=sealed.sealed
            )
        )


def _columns(source: Source) -> dict[str, Any]:
    return {
        "name": source.name,
        "engine": source.engine,
        "host": source.host,
        "port": source.port,
        "database": source.database,
        "username": source.username,
        "tls": tls.to_json(source.tls),
        "auth_methods": ",".join(sorted(source.auth_methods)),
        "version": source.version,
        "compression": source.compression,
        "pooling": pooling.to_json(source.pooling),
        "failover": failover.to_json(source.failover),
    }


async def _load(connection: AsyncConnection, chosen: tuple[Any, ...]) -> list[Source]:
    rows = (await connection.execute(select(sources).where(*chosen).order_by(sources.c.name))).all()
    if not rows:
        return []
    ids = select(sources.c.id).where(*chosen)
    sealed: defaultdict[str, dict[str, SealedField]] = defaultdict(dict)
    for row in await connection.execute(
        select(credentials).where(credentials.c.source_id.in_(ids))
    ):
        sealed[row.source_id][row.field] = SealedField(row.version, row.sealed)
    highest: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in await connection.execute(
        select(credential_versions).where(credential_versions.c.source_id.in_(ids))
    ):
        highest[row.source_id][row.field] = row.highest
    return [_source(row, sealed[row.id], highest[row.id]) for row in rows]


def _source(row: Row[Any], sealed: dict[str, SealedField], highest: dict[str, int]) -> Source:
    return Source(
        id=row.id,
        workspace_id=row.workspace_id,
        name=row.name,
        engine=row.engine,
        host=row.host,
        port=row.port,
        database=row.database,
        username=row.username,
        tls=tls.from_json(row.tls),
        auth_methods=frozenset(row.auth_methods.split(",")),
        credential=SealedCredential(**sealed) if sealed else None,
        password_version=highest.get("password", 0),
        client_key_version=highest.get("client_key", 0),
        version=row.version,
        policy=parsed(row.policy),
        compression=row.compression,
        pooling=pooling.from_json(row.pooling),
        failover=failover.from_json(row.failover),
    )
