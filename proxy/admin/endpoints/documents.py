"""What workflows and dashboards have in common over HTTP: stored documents and their versions.

The six endpoints of a kind are made once, in ``endpoints_of``; what else a kind can do is in a
file of its own.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Protocol

from fastapi import Query, Request, Response
from pydantic import Field

from proxy.admin.call import Admitted, Call
from proxy.admin.endpoint import Endpoint
from proxy.admin.etags import check_if_match, etag_of
from proxy.admin.paging import DEFAULT, page_of
from proxy.admin.problems import Problem
from proxy.admin.shapes import Answer, Body, Cursor, Limit, Name, Page, WorkspaceName
from proxy.content.library import remove_document, save_document
from proxy.content.problems import placed
from proxy.store import Conflict
from proxy.store.contents import DocumentKind, DocumentVersion, StoredDocument

Document = dict[str, Any]
Version = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="An earlier version; else the newest.")
]
DocumentName = Annotated[Name, Field(examples=["nightly"])]


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

    @classmethod
    def of(cls, entry: DocumentVersion) -> VersionAnswer:
        """From the record."""
        return cls(
            version=entry.version,
            saved_at=entry.saved_at,
            saved_by=entry.saved_by,
            characters=entry.bytes,
        )


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


class NewDocument(Protocol):
    """The body by which a document of some kind is made."""

    name: str
    document: Document


def endpoints_of(
    kind: DocumentKind, name_type: Any, body_type: type[NewDocument]
) -> tuple[Endpoint, ...]:
    """List, create, show, save, delete and the history, of one kind of document.

    ``name_type`` and ``body_type`` are what the description has of a document's name in the
    path, and of the body that makes one.
    """

    async def list_documents(
        call: Admitted, workspace: WorkspaceName, limit: Limit = DEFAULT, cursor: Cursor = None
    ) -> Page[StoredAnswer]:
        """By name."""
        found = await call.office.store.content.documents(call.here, kind)
        page, following = page_of(f"{kind}s", found, lambda entry: (0, entry.name), cursor, limit)
        return Page(items=[StoredAnswer.of(entry) for entry in page], next_cursor=following)

    async def create(
        call: Admitted, workspace: WorkspaceName, body: NewDocument, response: Response
    ) -> DocumentAnswer:
        """Its sources must be there; a workflow with a schedule runs from now on."""
        try:
            saved = await _save(call, kind, body.name, body.document, expected=0)
        except Conflict:
            raise Problem(409, "already-exists", f"There is a {kind} of that name.") from None
        response.headers["Location"] = f"/v1/workspaces/{call.here.name}/{kind}s/{saved.name}"
        return _tagged(saved, response)

    async def show(
        call: Admitted,
        workspace: WorkspaceName,
        name: str,
        response: Response,
        version: Version = None,
    ) -> DocumentAnswer:
        """A version, or the newest, which alone has an ETag: no other can be replaced."""
        found = await call.office.store.content.document(call.here, kind, name, version)
        return _tagged(found, response) if version is None else DocumentAnswer.of(found)

    async def save(
        call: Admitted,
        workspace: WorkspaceName,
        name: str,
        body: Changed,
        request: Request,
        response: Response,
    ) -> DocumentAnswer:
        """Earlier versions stay, and runs that were asked for keep theirs."""
        found = await call.office.store.content.document(call.here, kind, name)
        check_if_match(request, tag(found))
        return _tagged(
            await _save(call, kind, name, body.document, expected=found.version), response
        )

    async def delete(
        call: Admitted, workspace: WorkspaceName, name: str, request: Request
    ) -> RemovedDocument:
        """With its versions and runs; what runs is stopped."""
        found = await call.office.store.content.document(call.here, kind, name)
        check_if_match(request, tag(found))
        gone = await remove_document(call.place, call.here, kind, name)
        return RemovedDocument(
            id=gone.id, name=gone.name, version=gone.version, removed_at=call.office.clock()
        )

    async def history(call: Admitted, workspace: WorkspaceName, name: str) -> Versions:
        """The newest first."""
        content = call.office.store.content
        found = await content.history(await content.document(call.here, kind, name))
        return Versions(items=[VersionAnswer.of(entry) for entry in found])

    # What an annotation cannot name, since it differs by the kind.
    create.__annotations__["body"] = body_type
    for function in (show, save, delete, history):
        function.__annotations__["name"] = name_type
    every, word = f"/v1/workspaces/{{workspace}}/{kind}s", kind.capitalize()
    one = f"{every}/{{{kind}}}"
    return (
        Endpoint("GET", every, f"list{word}s", list_documents, f"List {kind}s"),
        Endpoint(
            "POST",
            every,
            f"create{word}",
            create,
            f"Create a {kind}",
            status=201,
            has_body=True,
        ),
        Endpoint("GET", one, f"get{word}", show, f"Show a {kind}"),
        Endpoint(
            "PUT",
            one,
            f"save{word}",
            save,
            f"Save a {kind}'s next version",
            has_body=True,
            is_guarded=True,
        ),
        Endpoint("DELETE", one, f"delete{word}", delete, f"Delete a {kind}", is_guarded=True),
        Endpoint(
            "GET", f"{one}/history", f"get{word}History", history, f"List a {kind}'s versions"
        ),
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
