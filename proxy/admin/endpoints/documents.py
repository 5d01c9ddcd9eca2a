"""What workflows and dashboards have in common over HTTP: stored documents and their versions."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import Field

from proxy.admin.call import Call
from proxy.admin.etags import check_if_match, etag_of
from proxy.admin.paging import page_of
from proxy.admin.problems import Problem
from proxy.admin.shapes import Answer, Body, Page
from proxy.content.library import remove_document, save_document
from proxy.content.problems import placed
from proxy.store import Conflict
from proxy.store.contents import DocumentKind, StoredDocument

Document = dict[str, Any]
Version = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="An earlier version; else the newest.")
]
DocumentName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", examples=["nightly"])]


class StoredAnswer(Answer):
    """A stored document without its text. ``due_at``: when a workflow runs next."""

    id: str
    name: str
    version: int
    created_at: datetime
    saved_at: datetime
    saved_by: str
    due_at: datetime | None

    @classmethod
    def of(cls, entry: StoredDocument) -> StoredAnswer:
        """From the record."""
        return cls(**_fields(entry))


class DocumentAnswer(StoredAnswer):
    """A stored document, whole."""

    document: Document

    @classmethod
    def of(cls, entry: StoredDocument) -> DocumentAnswer:
        """From the record."""
        return cls(**_fields(entry), document=json.loads(entry.body))


class VersionAnswer(Answer):
    """One version of a document. ``characters`` of its canonical text."""

    version: int
    saved_at: datetime
    saved_by: str
    characters: int


class Versions(Answer):
    """The versions that are kept, the newest first."""

    items: list[VersionAnswer]


class RemovedDocument(Answer):
    """What was deleted, with its versions and runs."""

    id: str
    name: str
    version: int
    removed_at: datetime


class Changed(Body):
    """A document's next version."""

    document: Document = Field(description="By its JSON Schema under `/v1/schemas`.")


def tag(entry: StoredDocument) -> str:
    """The ETag of a document's newest version."""
    return etag_of("document", entry.id, entry.version)


async def list_documents(
    call: Call, kind: DocumentKind, limit: int, cursor: str | None
) -> Page[StoredAnswer]:
    """A page, by name."""
    found = await call.office.store.content.documents(call.here, kind)
    page, following = page_of(f"{kind}s", found, lambda entry: (0, entry.name), cursor, limit)
    return Page(items=[StoredAnswer.of(entry) for entry in page], next_cursor=following)


async def create(
    call: Call, kind: DocumentKind, name: str, document: Document, response: Response
) -> DocumentAnswer:
    """A new document."""
    try:
        saved = await _save(call, kind, name, document, expected=0)
    except Conflict:
        raise Problem(409, "already-exists", f"There is a {kind} of that name.") from None
    response.headers["Location"] = f"/v1/workspaces/{call.here.name}/{kind}s/{saved.name}"
    return _tagged(saved, response)


async def show(
    call: Call, kind: DocumentKind, name: str, version: int | None, response: Response
) -> DocumentAnswer:
    """A version, or the newest, which alone has an ETag: no other can be replaced."""
    found = await call.office.store.content.document(call.here, kind, name, version)
    return _tagged(found, response) if version is None else DocumentAnswer.of(found)


async def save(
    call: Call,
    kind: DocumentKind,
    name: str,
    document: Document,
    request: Request,
    response: Response,
) -> DocumentAnswer:
    """The next version of what was read."""
    found = await call.office.store.content.document(call.here, kind, name)
    check_if_match(request, tag(found))
    return _tagged(await _save(call, kind, name, document, expected=found.version), response)


async def remove(call: Call, kind: DocumentKind, name: str, request: Request) -> RemovedDocument:
    """With its versions and runs."""
    found = await call.office.store.content.document(call.here, kind, name)
    check_if_match(request, tag(found))
    gone = await remove_document(call.place, call.here, kind, name)
    return RemovedDocument(
        id=gone.id, name=gone.name, version=gone.version, removed_at=call.office.clock()
    )


async def versions(call: Call, kind: DocumentKind, name: str) -> Versions:
    """The newest first."""
    content = call.office.store.content
    found = await content.history(await content.document(call.here, kind, name))
    return Versions(
        items=[
            VersionAnswer(
                version=entry.version,
                saved_at=entry.saved_at,
                saved_by=entry.saved_by,
                characters=entry.bytes,
            )
            for entry in found
        ]
    )


async def _save(
    call: Call, kind: DocumentKind, name: str, document: Document, *, expected: int
) -> StoredDocument:
    text = json.dumps(document, ensure_ascii=False)
    with placed("/document"):
        return await save_document(call.place, call.here, kind, name, text, expected=expected)


def _tagged(entry: StoredDocument, response: Response) -> DocumentAnswer:
    response.headers["ETag"] = tag(entry)
    return DocumentAnswer.of(entry)


def _fields(entry: StoredDocument) -> dict[str, Any]:
    names = ("id", "name", "version", "created_at", "saved_at", "saved_by", "due_at")
    return {name: getattr(entry, name) for name in names}
