"""Workflows and dashboards, by version. Knows no document's fields."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store.contents import DocumentKind, DocumentVersion, StoredDocument
from proxy.store.errors import Conflict, LimitReached, NotFound
from proxy.store.queries.workspaces import lock
from proxy.store.schema import document_versions, documents, runs, workspaces

LIMIT = 1_000
"""Documents of a kind in a workspace: what one list shows."""
VERSIONS = 200
"""Versions kept of a document; the audit log keeps the story of the older ones."""


async def save(
    connection: AsyncConnection, document: StoredDocument, expected: int | None
) -> StoredDocument:
    """Store a document's next version, or its first.

    ``expected``: the version that it was made from (0: it is new); None: whatever there is.
    Raises Conflict, LimitReached, NotFound.
    """
    await lock(connection, document.workspace_id)
    found = await find(connection, document.workspace_id, document.kind, document.name)
    current = 0 if found is None else found.version
    if expected is not None and expected != current:
        raise Conflict(
            f"a {document.kind} of this name exists already"
            if expected == 0
            else f"the {document.kind} is at version {current}, not {expected}; read it again"
        )
    if found is None:
        await _create(connection, document)
        saved = document
    else:
        saved = _next(document, found)
        await connection.execute(
            update(documents)
            .where(documents.c.id == saved.id)
            .values(version=saved.version, due_at=saved.due_at)
        )
    await connection.execute(
        insert(document_versions).values(
            document_id=saved.id,
            version=saved.version,
            body=saved.body,
            saved_at=saved.saved_at,
            saved_by=saved.saved_by,
        )
    )
    if saved.version > VERSIONS:
        await _forget_versions(connection, saved)
    return saved


async def _create(connection: AsyncConnection, document: StoredDocument) -> None:
    count = await connection.scalar(
        select(func.count())
        .select_from(documents)
        .where(documents.c.workspace_id == document.workspace_id, documents.c.kind == document.kind)
    )
    if (count or 0) >= LIMIT:
        raise LimitReached(f"the workspace has {LIMIT} {document.kind}s, which is all it may have")
    await connection.execute(
        insert(documents).values(
            id=document.id,
            workspace_id=document.workspace_id,
            kind=document.kind,
            name=document.name,
            version=document.version,
            created_at=document.created_at,
            due_at=document.due_at,
        )
    )


def _next(document: StoredDocument, found: StoredDocument) -> StoredDocument:
    return StoredDocument(
        id=found.id,
        workspace_id=found.workspace_id,
        kind=found.kind,
        name=found.name,
        version=found.version + 1,
        body=document.body,
        created_at=found.created_at,
        saved_at=document.saved_at,
        saved_by=document.saved_by,
        due_at=document.due_at,
    )


async def _forget_versions(connection: AsyncConnection, saved: StoredDocument) -> None:
    """Forget the old ones, but none that a run still needs."""
    needed = select(runs.c.version).where(runs.c.document_id == saved.id, runs.c.ended_at.is_(None))
    await connection.execute(
        delete(document_versions).where(
            document_versions.c.document_id == saved.id,
            document_versions.c.version <= saved.version - VERSIONS,
            document_versions.c.version.not_in(needed),
        )
    )


async def find(
    connection: AsyncConnection,
    workspace_id: str,
    kind: DocumentKind,
    name: str,
    version: int | None = None,
) -> StoredDocument | None:
    """A document of that name, at a version or the newest."""
    chosen = _select(version).where(
        documents.c.workspace_id == workspace_id,
        documents.c.kind == kind,
        documents.c.name == name,
    )
    row = (await connection.execute(chosen)).first()
    return None if row is None else _document(row)


async def by_id(
    connection: AsyncConnection, document_id: str, version: int | None = None
) -> StoredDocument | None:
    """The document of that id, at a version or the newest."""
    row = (await connection.execute(_select(version).where(documents.c.id == document_id))).first()
    return None if row is None else _document(row)


async def of_workspace(
    connection: AsyncConnection, workspace_id: str, kind: DocumentKind
) -> list[StoredDocument]:
    """The newest versions of all, by name."""
    rows = await connection.execute(
        _select(None)
        .where(documents.c.workspace_id == workspace_id, documents.c.kind == kind)
        .order_by(documents.c.name)
    )
    return [_document(row) for row in rows]


async def history(connection: AsyncConnection, document_id: str) -> list[DocumentVersion]:
    """The versions that are kept, the newest first."""
    rows = await connection.execute(
        select(
            document_versions.c.version,
            document_versions.c.saved_at,
            document_versions.c.saved_by,
            func.length(document_versions.c.body).label("size"),
        )
        .where(document_versions.c.document_id == document_id)
        .order_by(document_versions.c.version.desc())
    )
    return [DocumentVersion(row.version, row.saved_at, row.saved_by, row.size) for row in rows]


async def remove(connection: AsyncConnection, workspace_id: str, document_id: str) -> None:
    """Delete a document with its versions and runs. Raises NotFound."""
    result = await connection.execute(
        delete(documents).where(
            documents.c.id == document_id, documents.c.workspace_id == workspace_id
        )
    )
    if not result.rowcount:
        raise NotFound("the workspace has no such document")


async def due(connection: AsyncConnection, now: datetime, limit: int) -> list[StoredDocument]:
    """Workflows of active workspaces whose time has come, the longest waiting first."""
    rows = await connection.execute(
        _select(None)
        .join(workspaces, workspaces.c.id == documents.c.workspace_id)
        .where(documents.c.due_at <= now, workspaces.c.state == "active")
        .order_by(documents.c.due_at)
        .limit(limit)
    )
    return [_document(row) for row in rows]


async def move_on(
    connection: AsyncConnection, document: StoredDocument, due_at: datetime | None
) -> bool:
    """Set when a workflow is due next, where nobody else has: of several, one is told True."""
    result = await connection.execute(
        update(documents)
        .where(
            documents.c.id == document.id,
            documents.c.due_at == document.due_at,
            documents.c.version == document.version,
        )
        .values(due_at=due_at)
    )
    return bool(result.rowcount)


def _select(version: int | None) -> Select[Any]:
    wanted = documents.c.version if version is None else version
    return select(documents, document_versions).join(
        document_versions,
        (document_versions.c.document_id == documents.c.id)
        & (document_versions.c.version == wanted),
    )


def _document(row: Row[Any]) -> StoredDocument:
    # Both tables have a version: the one that was asked for is of document_versions.
    columns = row._mapping
    return StoredDocument(
        id=columns[documents.c.id],
        workspace_id=columns[documents.c.workspace_id],
        kind=columns[documents.c.kind],
        name=columns[documents.c.name],
        version=columns[document_versions.c.version],
        body=columns[document_versions.c.body],
        created_at=columns[documents.c.created_at],
        saved_at=columns[document_versions.c.saved_at],
        saved_by=columns[document_versions.c.saved_by],
        due_at=columns[documents.c.due_at],
    )
