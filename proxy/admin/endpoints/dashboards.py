"""Dashboards: documents, and what is asked of them: the data of their panels."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import Field

from proxy.admin.call import Admitted
from proxy.admin.endpoint import Endpoint
from proxy.admin.endpoints.documents import Document, DocumentName, endpoints_of
from proxy.admin.shapes import Answer, Body, DashboardName, WorkspaceName
from proxy.admin.streamed import Streamed, Write
from proxy.content.dashboards import answer_dashboard
from proxy.content.entrance import Entrance
from proxy.content.panels import PanelData

_EXAMPLE: Document = {
    "version": 1,
    "title": "Sales",
    "panels": [
        {
            "name": "largest",
            "query": {"source": "orders", "statement": "SELECT id, total FROM orders LIMIT 10"},
        }
    ],
}


class NewDashboard(Body):
    """A dashboard to be made."""

    name: DocumentName
    document: Document = Field(
        description="docs/dashboards.md has the document.", examples=[_EXAMPLE]
    )


class AskData(Body):
    """What to answer. ``panels``: those alone; else all."""

    parameters: dict[str, Any] = Field(
        default_factory=dict, description="By name; others have their defaults.",
        examples=[{"year": 2026}],
    )  # fmt: skip
    panels: Annotated[list[Annotated[str, Field(max_length=63)]], Field(max_length=50)] = Field(
        default_factory=list
    )
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None


class ColumnAnswer(Answer):
    """``type`` in the words of the data source."""

    name: str
    type: str


class PanelAnswer(Answer):
    """A panel's data; with an ``error`` it has none, and the others have theirs."""

    name: str
    title: str
    width: int
    columns: list[ColumnAnswer]
    rows: list[list[Any]]
    is_cut: bool
    seconds: float
    error: str
    code: str
    chart: dict[str, Any] | None


class DashboardData(Answer):
    """The panels, in their order."""

    panels: list[PanelAnswer]


async def get_dashboard_data(
    call: Admitted,
    workspace: WorkspaceName,
    dashboard: DashboardName,
    body: AskData,
    request: Request,
) -> Response:
    """Each panel's rows, queried through the proxy one after the other, sent as they come."""
    office = call.office

    async def work(write: Write) -> None:
        before = b'{"panels":['

        async def take(panel: PanelData) -> None:
            nonlocal before
            text = json.dumps(panel.to_value(), separators=(",", ":"), allow_nan=False)
            await write(before + text.encode())
            before = b","

        async with office.transfer():
            await answer_dashboard(
                call.place,
                Entrance.of(office.config),
                call.here,
                dashboard,
                body.parameters,
                take,
                version=body.version,
                only=body.panels,
                openers=office.openers,
            )
        await write(b"]}")

    return Streamed(request, work, "application/json")


_DATA: dict[int | str, dict[str, Any]] = {
    200: {"model": DashboardData, "description": "The panels' data."}
}

ENDPOINTS = (
    *endpoints_of("dashboard", DashboardName, NewDashboard),
    Endpoint(
        "POST",
        "/v1/workspaces/{workspace}/dashboards/{dashboard}/data",
        "getDashboardData",
        get_dashboard_data,
        "Answer a dashboard's panels with data",
        has_body=True,
        may_conflict=True,
        asks_proxy=True,
        answers=_DATA,
    ),
)
