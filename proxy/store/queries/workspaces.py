"""Workspaces and their root keys. Knows no key's meaning: they come and go wrapped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store.errors import AlreadyExists, Conflict, NotFound, StoreCorrupt
from proxy.store.queries.changes import append
from proxy.store.queries.policy_text import parsed
from proxy.store.records import ChangeKind, DeletionReceipt, Workspace, WorkspaceState
from proxy.store.schema import (
    api_keys,
    credentials,
    identity_providers,
    oidc_logins,
    root_keys,
    sources,
    tokens,
    workspaces,
)
from vault import UnsealError, WrappedRootKey


async def create(connection: AsyncConnection, workspace: Workspace) -> None:
    """Insert a workspace with its root keys. Raises AlreadyExists."""
    try:
        await connection.execute(
            insert(workspaces).values(
                id=workspace.id,
                name=workspace.name,
                state=workspace.state,
                scram_salt=workspace.scram_salt,
                scram_iterations=workspace.scram_iterations,
                created_at=workspace.created_at,
            )
        )
    except IntegrityError:
        raise AlreadyExists(f"a workspace named {workspace.name} already exists") from None
    for root in workspace.root_keys:
        await connection.execute(_insert_root_key(root))
    await append(connection, ChangeKind.WORKSPACE, workspace.id, workspace.id, workspace.created_at)


async def find(connection: AsyncConnection, name: str) -> Workspace | None:
    """The workspace of that name, with its root keys: two index look-ups."""
    return await _found(connection, workspaces.c.name == name)


async def by_id(connection: AsyncConnection, workspace_id: str) -> Workspace | None:
    """The workspace of that id, with its root keys."""
    return await _found(connection, workspaces.c.id == workspace_id)


async def _found(connection: AsyncConnection, is_it: ColumnElement[bool]) -> Workspace | None:
    row = (await connection.execute(select(workspaces).where(is_it))).first()
    # Asked for an unknown name too: it must not be told by the time it takes.
    keys = await connection.execute(
        select(root_keys.c.wrapped)
        .where(root_keys.c.workspace_id == (row.id if row is not None else ""))
        .order_by(root_keys.c.version.desc())
    )
    return None if row is None else _workspace(row, [key.wrapped for key in keys])


async def all_of_them(connection: AsyncConnection) -> list[Workspace]:
    """Every workspace, by name."""
    keys: defaultdict[str, list[bytes]] = defaultdict(list)
    for key in await connection.execute(select(root_keys).order_by(root_keys.c.version.desc())):
        keys[key.workspace_id].append(key.wrapped)
    rows = await connection.execute(select(workspaces).order_by(workspaces.c.name))
    return [_workspace(row, keys[row.id]) for row in rows]


async def page(connection: AsyncConnection, after: str, limit: int) -> list[Workspace]:
    """At most ``limit`` workspaces by name, those behind ``after``."""
    rows = (
        await connection.execute(
            select(workspaces)
            .where(workspaces.c.name > after)
            .order_by(workspaces.c.name)
            .limit(limit)
        )
    ).all()
    keys: defaultdict[str, list[bytes]] = defaultdict(list)
    for key in await connection.execute(
        select(root_keys)
        .where(root_keys.c.workspace_id.in_([row.id for row in rows]))
        .order_by(root_keys.c.version.desc())
    ):
        keys[key.workspace_id].append(key.wrapped)
    return [_workspace(row, keys[row.id]) for row in rows]


async def rename(
    connection: AsyncConnection, workspace: Workspace, name: str, now: datetime
) -> None:
    """Give it another name, if it is as it was read. Raises NotFound, Conflict, AlreadyExists."""
    await lock(connection, workspace.id)
    chosen = (
        workspaces.c.id == workspace.id,
        workspaces.c.name == workspace.name,
        workspaces.c.state == workspace.state,
    )
    try:
        result = await connection.execute(update(workspaces).where(*chosen).values(name=name))
    except IntegrityError:
        raise AlreadyExists(f"a workspace named {name} already exists") from None
    if result.rowcount != 1:
        raise Conflict("the workspace was changed meanwhile; read it again")
    await append(connection, ChangeKind.WORKSPACE, workspace.id, workspace.id, now)


async def lock(connection: AsyncConnection, workspace_id: str) -> None:
    """Hold the workspace for the rest of the transaction, so that counts in it hold too.

    Raises NotFound. SQLite's whole database is held already by BEGIN IMMEDIATE.
    """
    found = await connection.scalar(
        select(workspaces.c.id).where(workspaces.c.id == workspace_id).with_for_update()
    )
    if found is None:
        raise NotFound("there is no such workspace")


async def set_state(
    connection: AsyncConnection, workspace_id: str, state: WorkspaceState, now: datetime
) -> None:
    """Suspend or resume; nothing happens where it is so already. Raises NotFound."""
    await lock(connection, workspace_id)
    result = await connection.execute(
        update(workspaces)
        .where(workspaces.c.id == workspace_id, workspaces.c.state != state)
        .values(state=state)
    )
    if state == "suspended":
        await end_logins(connection, workspace_id, now)
    if result.rowcount:
        await append(connection, ChangeKind.WORKSPACE, workspace_id, workspace_id, now)


async def end_logins(connection: AsyncConnection, workspace_id: str, now: datetime) -> None:
    """End what a workspace's identity provider has begun: sessions, and logins under way."""
    providers = select(identity_providers.c.id).where(
        identity_providers.c.workspace_id == workspace_id
    )
    await connection.execute(delete(oidc_logins).where(oidc_logins.c.provider_id.in_(providers)))
    await connection.execute(
        update(api_keys)
        .where(api_keys.c.provider_id.in_(providers), api_keys.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )


async def replace_root_key(
    connection: AsyncConnection, old: WrappedRootKey, new: WrappedRootKey, now: datetime
) -> None:
    """Put a rewrapped root key in the place of the same version. Raises Conflict."""
    result = await connection.execute(
        update(root_keys)
        .where(
            root_keys.c.workspace_id == old.workspace_id,
            root_keys.c.version == old.version,
            root_keys.c.wrapped == old.to_bytes(),
        )
        .values(wrapped=new.to_bytes())
    )
    if result.rowcount != 1:
        raise Conflict("the root key was changed meanwhile; read it again")
    await append(connection, ChangeKind.ROOT_KEY, new.workspace_id, new.workspace_id, now)


async def destroy(
    connection: AsyncConnection, workspace: Workspace, now: datetime, *, if_unchanged: bool = False
) -> DeletionReceipt:
    """Delete a workspace, first of all its root keys. Raises NotFound.

    ``if_unchanged``: only with the name and state that it was read with, else Conflict.
    """
    await lock(connection, workspace.id)
    if if_unchanged:
        columns = select(workspaces.c.name, workspaces.c.state)
        found = (await connection.execute(columns.where(workspaces.c.id == workspace.id))).one()
        if tuple(found) != (workspace.name, workspace.state):
            raise Conflict("the workspace was changed meanwhile; read it again")
    versions = await connection.scalars(
        delete(root_keys)
        .where(root_keys.c.workspace_id == workspace.id)
        .returning(root_keys.c.version)
    )
    version_list = sorted(versions)
    token_ids = await connection.scalars(
        delete(tokens).where(tokens.c.workspace_id == workspace.id).returning(tokens.c.id)
    )
    token_list = sorted(token_ids)
    credential_count = await connection.scalar(
        select(func.count())
        .select_from(credentials.join(sources))
        .where(sources.c.workspace_id == workspace.id)
    )
    # Credentials and their versions go with their source.
    source_ids = await connection.scalars(
        delete(sources).where(sources.c.workspace_id == workspace.id).returning(sources.c.id)
    )
    source_list = sorted(source_ids)
    # Before the identity provider that some of them are sessions of, which they hold.
    await connection.execute(delete(api_keys).where(api_keys.c.workspace_id == workspace.id))
    await connection.execute(delete(workspaces).where(workspaces.c.id == workspace.id))
    await append(connection, ChangeKind.WORKSPACE, workspace.id, workspace.id, now)
    return DeletionReceipt(
        workspace_id=workspace.id,
        workspace_name=workspace.name,
        deleted_at=now,
        root_key_versions=tuple(version_list),
        token_ids=tuple(token_list),
        source_ids=tuple(source_list),
        credential_count=credential_count or 0,
    )


def _insert_root_key(root: WrappedRootKey) -> Any:
    return insert(root_keys).values(
        workspace_id=root.workspace_id, version=root.version, wrapped=root.to_bytes()
    )


def _workspace(row: Row[Any], wrapped: Sequence[bytes]) -> Workspace:
    try:
        roots = tuple(WrappedRootKey.from_bytes(data) for data in wrapped)
    except UnsealError:
        raise StoreCorrupt("the store holds a root key that cannot be read") from None
    if not roots or any(root.workspace_id != row.id for root in roots):
        raise StoreCorrupt("the store holds a workspace without a root key of its own")
    return Workspace(
        id=row.id,
        name=row.name,
        state=row.state,
        scram_salt=row.scram_salt,
        scram_iterations=row.scram_iterations,
        root_keys=roots,
        created_at=row.created_at,
        policy=parsed(row.policy),
    )
