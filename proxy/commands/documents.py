"""What the commands of workflows and dashboards share: documents read and shown."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from proxy.administration.workplace import open_reading, open_workplace
from proxy.commands import display
from proxy.commands.frame import CommandError, Invocation
from proxy.content.document import Parameter
from proxy.content.library import remove_document, save_document
from proxy.content.published import schema_text
from proxy.content.reading import MAX_BYTES
from proxy.store.contents import DocumentKind, DocumentVersion, StoredDocument

file_argument = click.argument(
    "document", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path)
)


def read_file(file: Path, limit: int = MAX_BYTES) -> bytes:
    """A file's bytes, or standard input's, and no more than is ever used. Raises CommandError."""
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(limit + 1)
        with file.open("rb") as stream:
            return stream.read(limit + 1)
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from None


def save(
    invocation: Invocation,
    kind: DocumentKind,
    workspace: str,
    name: str,
    document: Path,
    from_version: int | None,
) -> None:
    """Save a document and say its version."""
    data = read_file(document)

    async def work() -> StoredDocument:
        async with open_workplace(invocation.config(), invocation.note) as place:
            return await save_document(place, workspace, kind, name, data, expected=from_version)

    saved = asyncio.run(work())
    due = f" It runs next at {display.moment(saved.due_at)}." if saved.due_at else ""
    invocation.show(
        document_value(saved), f"Saved {kind} {workspace}/{name} as version {saved.version}.{due}"
    )


def list_all(invocation: Invocation, kind: DocumentKind, workspace: str) -> None:
    """List a workspace's documents of a kind."""

    async def work() -> list[StoredDocument]:
        async with open_reading(invocation.config()) as store:
            return await store.content.documents(await store.workspace(workspace), kind)

    found = asyncio.run(work())
    rows = [
        (
            entry.name,
            entry.version,
            display.moment(entry.saved_at),
            entry.saved_by,
            *([display.moment(entry.due_at, "-")] if kind == "workflow" else []),
        )
        for entry in found
    ]
    headings = ("NAME", "VERSION", "SAVED", "BY", *(["NEXT RUN"] if kind == "workflow" else []))
    invocation.show(
        [document_value(entry) for entry in found],
        display.table(headings, rows) if rows else f"There are no {kind}s.",
    )


def show(
    invocation: Invocation, kind: DocumentKind, workspace: str, name: str, version: int | None
) -> None:
    """Print a document as JSON."""

    async def work() -> StoredDocument:
        async with open_reading(invocation.config()) as store:
            found = await store.workspace(workspace)
            return await store.content.document(found, kind, name, version)

    found = asyncio.run(work())
    body = json.loads(found.body)
    invocation.show(
        document_value(found) | {"document": body}, json.dumps(body, indent=2, ensure_ascii=False)
    )


def history(invocation: Invocation, kind: DocumentKind, workspace: str, name: str) -> None:
    """List a document's versions."""

    async def work() -> list[DocumentVersion]:
        async with open_reading(invocation.config()) as store:
            found = await store.workspace(workspace)
            return await store.content.history(await store.content.document(found, kind, name))

    found = asyncio.run(work())
    rows = [
        (entry.version, display.moment(entry.saved_at), entry.saved_by, entry.bytes)
        for entry in found
    ]
    invocation.show(
        [
            {
                "version": entry.version,
                "saved_at": entry.saved_at,
                "saved_by": entry.saved_by,
                "characters": entry.bytes,
            }
            for entry in found
        ],
        display.table(("VERSION", "SAVED", "BY", "CHARACTERS"), rows),
    )


def delete(
    invocation: Invocation, kind: DocumentKind, workspace: str, name: str, yes: bool
) -> None:
    """Delete a document."""
    also = " with its runs" if kind == "workflow" else ""
    invocation.confirm(f"Delete {kind} {workspace}/{name}{also}?", is_confirmed=yes)

    async def work() -> StoredDocument:
        async with open_workplace(invocation.config(), invocation.note) as place:
            return await remove_document(place, workspace, kind, name)

    removed = asyncio.run(work())
    invocation.show(document_value(removed), f"Deleted {kind} {workspace}/{name}.")


def show_schema(invocation: Invocation, kind: DocumentKind) -> None:
    """Print a kind's JSON Schema."""
    text = schema_text(kind)
    invocation.show(json.loads(text), text.rstrip())


def document_value(entry: StoredDocument) -> dict[str, object]:
    """A stored document in JSON, without its body."""
    value: dict[str, object] = {
        "name": entry.name,
        "id": entry.id,
        "version": entry.version,
        "created_at": entry.created_at,
        "saved_at": entry.saved_at,
        "saved_by": entry.saved_by,
    }
    return value | {"due_at": entry.due_at} if entry.kind == "workflow" else value


def typed(given: Sequence[str], declared: Mapping[str, Parameter]) -> dict[str, Any]:
    """``name=value`` as a document's parameters have their types. Raises CommandError.

    Of an unknown name the text is kept, for the content to refuse with the others.
    """
    values: dict[str, Any] = {}
    for entry in given:
        name, is_there, text = entry.partition("=")
        if not is_there:
            raise CommandError("--set takes NAME=VALUE")
        parameter = declared.get(name)
        kind = "text" if parameter is None else parameter.type
        values[name] = _value(name, kind, text)
    return values


def _value(name: str, kind: str, text: str) -> Any:
    if kind == "text":
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = None if text == "" else text
    if isinstance(value, str):
        raise CommandError(f"the value of {name} is not of type {kind}")
    return value
