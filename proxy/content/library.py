"""Workflows and dashboards: saved, shown, removed. Each change has its audit records."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from proxy.administration.trail import audited
from proxy.administration.workplace import Desk
from proxy.audit.events import CREATE, DELETE, UPDATE, entity_changed
from proxy.audit.ocsf import Event
from proxy.content.dashboard import Dashboard
from proxy.content.document import Document
from proxy.content.naming import workspace_named
from proxy.content.problems import ContentRefused, Problem, pointer
from proxy.content.schedules import next_due
from proxy.content.sqltext import SqlTextError, bind
from proxy.content.workflow import Workflow
from proxy.store import Conflict, NotFound, Store, Workspace, new_id
from proxy.store.contents import DocumentKind, StoredDocument

KINDS: Final[Mapping[DocumentKind, type[Document]]] = {
    "workflow": Workflow,
    "dashboard": Dashboard,
}


async def save_document(
    place: Desk,
    named: str | Workspace,
    kind: DocumentKind,
    name: str,
    data: bytes | str,
    *,
    expected: int | None = None,
) -> StoredDocument:
    """Store a document as its next version. ``expected``: the version it was made from, 0: none.

    Raises ContentRefused with every problem, NotFound, Conflict, LimitReached, InvalidName.
    """
    document = KINDS[kind].read(data)
    workspace = await workspace_named(place.store, named)
    problems = await source_problems(place.store, workspace, document)
    if problems:
        raise ContentRefused(problems)
    try:
        before = await place.store.content.document(workspace, kind, name)
    except NotFound:
        before = None
    found = 0 if before is None else before.version
    if expected is not None and expected != found:
        raise Conflict(f"the {kind} is at version {found}, not {expected}; read it again")
    draft = drafted(
        place.store.content.now(), workspace, kind, name, document, saved_by=place.actor
    )
    event = document_event(
        place,
        CREATE if before is None else UPDATE,
        before or draft,
        {"version": found + 1, "digest": document.digest},
    )
    # What was read is what is replaced: another save in between is a conflict.
    return await audited(
        place.trail, event, lambda: place.store.content.save(draft, found), place.warn
    )


async def remove_document(
    place: Desk, named: str | Workspace, kind: DocumentKind, name: str
) -> StoredDocument:
    """Delete a document with its versions and runs; a run that goes on is stopped.

    Raises NotFound.
    """
    workspace = await workspace_named(place.store, named)
    found = await place.store.content.document(workspace, kind, name)
    event = document_event(place, DELETE, found, {"version": found.version})
    await audited(place.trail, event, lambda: place.store.content.remove(found), place.warn)
    return found


def drafted(
    now: datetime,
    workspace: Workspace,
    kind: DocumentKind,
    name: str,
    document: Document,
    *,
    saved_by: str,
) -> StoredDocument:
    """A document as it is stored first; the store counts its version on."""
    due_at = None
    if isinstance(document, Workflow) and document.schedule is not None:
        due_at = next_due(document.schedule.cron, document.schedule.zone, now)
    return StoredDocument(
        id=new_id(),
        workspace_id=workspace.id,
        kind=kind,
        name=name,
        version=1,
        body=document.to_json(),
        created_at=now,
        saved_at=now,
        saved_by=saved_by[:128],
        due_at=due_at,
    )


async def source_problems(store: Store, workspace: Workspace, document: Document) -> list[Problem]:
    """Sources that the workspace does not have, and texts that their engines cannot read."""
    engines = {source.name: source.engine for source in await store.list_sources(workspace)}
    return problems_with(engines, document)


def problems_with(engines: Mapping[str, str], document: Document) -> list[Problem]:
    """The same, with the sources' engines by their names."""
    problems = []
    for place, name in document.sources():
        if name not in engines:
            problems.append(Problem(place, f"the workspace has no source named {name}"))
    for path, statement, source, given in document.statements():
        if source not in engines:
            continue
        try:
            names = set(bind(statement, engines[source]).names)
        except SqlTextError as error:
            problems.append(Problem(pointer((*path, "statement")), str(error)))
            continue
        for name in sorted(names ^ given):
            problems.append(
                Problem(
                    pointer((*path, "parameters")),
                    f"the statement and its parameters do not agree on :{name}",
                )
            )
    return sorted(problems)


def document_event(
    place: Desk, activity: int, document: StoredDocument, changes: dict[str, object]
) -> Event:
    """The audit record of a document's change. It holds no text of the document."""
    return entity_changed(
        activity,
        actor=place.actor,
        workspace_id=document.workspace_id,
        entity_type=document.kind,
        entity_id=document.id,
        name=document.name,
        changes=changes,
    )
