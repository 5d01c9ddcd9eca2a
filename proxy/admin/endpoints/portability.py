"""Workflows and dashboards out of a workspace and into another, as one JSON document."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field, StrictBool

from proxy.admin.call import Admitted
from proxy.admin.endpoint import Endpoint
from proxy.admin.endpoints.documents import Document
from proxy.admin.shapes import Answer, Body, WorkspaceName
from proxy.content.portable import export_content, import_content
from proxy.content.problems import placed
from proxy.content.published import schema_text
from proxy.store.contents import DocumentKind

Names = Annotated[
    str | None,
    Query(max_length=8_192, description="Names with commas between; without both: all."),
]
_EXAMPLE: Document = {"format": "accode.content", "version": 1, "workflows": {}, "dashboards": {}}


class ImportContent(Body):
    """An export, and what to make of it."""

    content: Document = Field(description="What an export gave.", examples=[_EXAMPLE])
    rename: dict[str, str] = Field(
        default_factory=dict, description="Other names here, by those of the export.",
        examples=[{"nightly": "nightly2"}],
    )  # fmt: skip
    dry_run: StrictBool = Field(default=False, description="Check everything, store nothing.")


class Content(Answer):
    """Documents by name. It names sources and holds no secret."""

    format: Literal["accode.content"]
    version: Literal[1]
    workflows: dict[str, Document]
    dashboards: dict[str, Document]


class ImportedDocument(Answer):
    """A document that was stored."""

    kind: DocumentKind
    name: str


class Imported(Answer):
    """What was stored, or with a dry run would be."""

    is_dry_run: bool
    documents: list[ImportedDocument]


async def export_documents(
    call: Admitted, workspace: WorkspaceName, workflows: Names = None, dashboards: Names = None
) -> Content:
    """The newest versions, all or those named."""
    names: dict[DocumentKind, list[str]] | None = None
    if workflows is not None or dashboards is not None:
        names = {"workflow": _split(workflows), "dashboard": _split(dashboards)}
    return Content(**await export_content(call.place, call.here, names))


async def import_documents(
    call: Admitted, workspace: WorkspaceName, body: ImportContent
) -> Imported:
    """All of it or nothing: everything that is wrong is told before anything is stored."""
    text = json.dumps(body.content, ensure_ascii=False)
    with placed("/content"):
        done = await import_content(
            call.place, call.here, text, rename=body.rename, is_dry_run=body.dry_run
        )
    return Imported(
        is_dry_run=done.is_dry_run,
        documents=[ImportedDocument(kind=kind, name=name) for kind, name in done.documents],
    )


async def get_workflow_schema(call: Admitted) -> dict[str, Any]:
    """JSON Schema (2020-12) of a workflow."""
    return _schema("workflow")


async def get_dashboard_schema(call: Admitted) -> dict[str, Any]:
    """JSON Schema (2020-12) of a dashboard."""
    return _schema("dashboard")


def _schema(kind: DocumentKind) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(schema_text(kind))
    return schema


def _split(names: str | None) -> list[str]:
    return [] if not names else names.split(",")


_CONTENT = "/v1/workspaces/{workspace}/content"

ENDPOINTS = (
    Endpoint(
        "GET",
        f"{_CONTENT}/export",
        "exportContent",
        export_documents,
        "Export workflows and dashboards",
    ),
    Endpoint(
        "POST",
        f"{_CONTENT}/import",
        "importContent",
        import_documents,
        "Import workflows and dashboards",
        has_body=True,
    ),
    Endpoint(
        "GET",
        "/v1/schemas/workflow",
        "getWorkflowSchema",
        get_workflow_schema,
        "Show the schema of workflows",
    ),
    Endpoint(
        "GET",
        "/v1/schemas/dashboard",
        "getDashboardSchema",
        get_dashboard_schema,
        "Show the schema of dashboards",
    ),
)
