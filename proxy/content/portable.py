"""Workflows and dashboards out of a workspace and into another, as one JSON text.

What is written is the documents and their names, and nothing else of the workspace: the
export is made of ``KINDS``' own fields, none of which can hold a secret, and sources are
named, never described. An import is checked whole before anything of it is stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.administration.trail import audited
from proxy.administration.workplace import Desk
from proxy.audit.events import CREATE, READ, entity_changed
from proxy.content.document import Document
from proxy.content.library import KINDS, document_event, drafted, source_problems
from proxy.content.naming import workspace_named
from proxy.content.problems import ContentRefused, Problem, pointer
from proxy.content.reading import MAX_DEPTH, read_json
from proxy.store import InvalidName, Store, Workspace
from proxy.store.contents import DocumentKind, StoredDocument
from proxy.store.validate import check_name

MAX_IMPORT: Final = 8 * 1024 * 1024
"""Bytes of an export: some hundred documents of a usual size."""
MAX_DOCUMENTS: Final = 500

_FORMAT: Final = "accode.content"
_SECTIONS: Final[Mapping[str, DocumentKind]] = {
    "workflows": "workflow",
    "dashboards": "dashboard",
}


async def export_content(
    place: Desk, named: str | Workspace, names: Mapping[DocumentKind, Sequence[str]] | None = None
) -> dict[str, Any]:
    """The newest versions of a workspace's documents, or of those named, as plain values.

    Equal documents give equal values, in whatever workspace and at whatever version they
    are. Raises NotFound.
    """
    workspace = await workspace_named(place.store, named)
    chosen = await _chosen(place.store, workspace, names)
    event = entity_changed(
        READ,
        actor=place.actor,
        workspace_id=workspace.id,
        entity_type="content export",
        entity_id=workspace.id,
        name=workspace.name,
        changes={kind: [entry.name for entry in found] for kind, found in chosen.items()},
    )

    async def act() -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "version": 1,
            **{
                section: {
                    # Read again by its own class: what the class does not know is not there.
                    entry.name: KINDS[kind].read(entry.body).to_value()
                    for entry in chosen[kind]
                }
                for section, kind in _SECTIONS.items()
            },
        }

    return await audited(place.trail, event, act, place.warn)


async def _chosen(
    store: Store,
    workspace: Workspace,
    names: Mapping[DocumentKind, Sequence[str]] | None,
) -> dict[DocumentKind, list[StoredDocument]]:
    chosen: dict[DocumentKind, list[StoredDocument]] = {}
    for kind in _SECTIONS.values():
        if names is None:
            chosen[kind] = await store.content.documents(workspace, kind)
        else:
            wanted = sorted(set(names.get(kind, ())))
            chosen[kind] = [await store.content.document(workspace, kind, name) for name in wanted]
    return chosen


def export_text(value: Mapping[str, Any]) -> str:
    """The export as it is written: indented, keys sorted, so that a diff reads well."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import stored, or with a dry run would store."""

    documents: tuple[tuple[DocumentKind, str], ...]
    is_dry_run: bool


async def import_content(
    place: Desk,
    named: str | Workspace,
    data: bytes | str,
    *,
    rename: Mapping[str, str] | None = None,
    is_dry_run: bool = False,
) -> Imported:
    """Store all documents of an export, or none.

    ``rename`` gives names of the export other names here. Raises ContentRefused with every
    problem at once: unknown fields, names that are taken, sources that are missing.
    """
    value = read_json(data, max_bytes=MAX_IMPORT, max_depth=MAX_DEPTH + 2)
    problems: list[Problem] = []
    found = named_documents(value, rename or {}, problems)
    workspace = await workspace_named(place.store, named)
    for kind in _SECTIONS.values():
        taken = {entry.name for entry in await place.store.content.documents(workspace, kind)}
        for path, name, document_kind, document in found:
            if document_kind != kind:
                continue
            if name in taken:
                problems.append(Problem(path, f"the workspace has a {kind} named {name} already"))
            missing = await source_problems(place.store, workspace, document)
            problems += [problem.below(path) for problem in missing]
    if problems:
        raise ContentRefused(sorted(set(problems)))
    imported = Imported(tuple((kind, name) for _, name, kind, _ in found), is_dry_run=is_dry_run)
    if not is_dry_run:
        await _store(place, workspace, found)
    return imported


_Found = tuple[str, str, DocumentKind, Document]


async def _store(place: Desk, workspace: Workspace, found: Sequence[_Found]) -> None:
    now = place.store.content.now()
    drafts = [
        drafted(now, workspace, kind, name, document, saved_by=place.actor)
        for _, name, kind, document in found
    ]
    event = entity_changed(
        CREATE,
        actor=place.actor,
        workspace_id=workspace.id,
        entity_type="content import",
        entity_id=workspace.id,
        name=workspace.name,
        changes={"documents": len(drafts)},
    )

    async def act() -> None:
        await place.store.content.save_all(drafts)
        for draft, (_, _, _, document) in zip(drafts, found, strict=True):
            await place.trail.record(
                document_event(place, CREATE, draft, {"version": 1, "digest": document.digest})
            )

    await audited(place.trail, event, act, place.warn)


def named_documents(value: Any, rename: Mapping[str, str], problems: list[Problem]) -> list[_Found]:
    """The documents of an export: place, name here, kind, document; ``problems`` grows."""
    if not isinstance(value, dict) or value.get("format") != _FORMAT:
        raise ContentRefused.of("this is no export of workflows and dashboards")
    if value.get("version") != 1:
        raise ContentRefused.of("exports of this version are not known", "/version")
    for field in value.keys() - {"format", "version", *_SECTIONS}:
        problems.append(Problem(pointer((str(field)[:128],)), "this field is not known"))
    found: list[_Found] = []
    for section, kind in _SECTIONS.items():
        entries = value.get(section, {})
        if not isinstance(entries, dict):
            problems.append(Problem(f"/{section}", "this is not an object of documents by name"))
            continue
        for name, body in entries.items():
            path = pointer((section, name[:128]))
            found += _one(path, rename.get(name, name), kind, body, problems)
    if len(found) > MAX_DOCUMENTS:
        raise ContentRefused.of(f"it has more than {MAX_DOCUMENTS} documents")
    names = [(kind, name) for _, name, kind, _ in found]
    for path, name, kind, _ in found:
        if names.count((kind, name)) > 1:
            problems.append(Problem(path, f"another {kind} gets the name {name}, too"))
    return found


def _one(
    path: str, name: str, kind: DocumentKind, body: Any, problems: list[Problem]
) -> list[_Found]:
    try:
        check_name(name)
    except InvalidName as error:
        problems.append(Problem(path, str(error)))
    try:
        return [(path, name, kind, KINDS[kind].of(body))]
    except ContentRefused as refused:
        problems += [problem.below(path) for problem in refused.problems]
        return []
