"""``accode-proxy dashboard``: documents of panels, and their data."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from proxy.administration.workplace import open_workplace
from proxy.commands import display, documents
from proxy.commands.frame import Group, Invocation, everywhere
from proxy.content.dashboard import Dashboard
from proxy.content.dashboards import dashboard_data
from proxy.content.entrance import Entrance
from proxy.content.panels import PanelData
from proxy.content.values import plain

_SHOWN = 50
"""Rows of a panel that a terminal is shown; --json has all of them."""


@click.group(cls=Group)
def dashboard() -> None:
    """Dashboards: save, list, show, history, data, delete, schema.

    docs/dashboards.md has the document.
    """


@dashboard.command(
    examples=(
        "accode-proxy dashboard save finance sales sales.json",
        "accode-proxy dashboard save finance sales - --from-version 3 < sales.json",
    )
)
@click.argument("workspace")
@click.argument("name")
@documents.file_argument
@click.option("--from-version", type=int, help="Refuse where it is not at this version; 0: new.")
@everywhere
def save(
    invocation: Invocation, workspace: str, name: str, document: Path, from_version: int | None
) -> None:
    """Save a dashboard, from JSON, as its next version. DOCUMENT - reads standard input."""
    documents.save(invocation, "dashboard", workspace, name, document, from_version)


@dashboard.command("list", examples=("accode-proxy dashboard list finance",))
@click.argument("workspace")
@everywhere
def list_(invocation: Invocation, workspace: str) -> None:
    """List a workspace's dashboards."""
    documents.list_all(invocation, "dashboard", workspace)


@dashboard.command(
    examples=(
        "accode-proxy dashboard show finance sales > sales.json",
        "accode-proxy dashboard show finance sales --at 2",
    )
)
@click.argument("workspace")
@click.argument("name")
@click.option("--at", "version", type=int, help="An earlier version.")
@everywhere
def show(invocation: Invocation, workspace: str, name: str, version: int | None) -> None:
    """Print a dashboard as JSON."""
    documents.show(invocation, "dashboard", workspace, name, version)


@dashboard.command(examples=("accode-proxy dashboard history finance sales",))
@click.argument("workspace")
@click.argument("name")
@everywhere
def history(invocation: Invocation, workspace: str, name: str) -> None:
    """List a dashboard's versions, the newest first."""
    documents.history(invocation, "dashboard", workspace, name)


@dashboard.command(
    examples=(
        "accode-proxy dashboard data finance sales",
        "accode-proxy dashboard data finance sales --set year=2026 --panel by_month --json",
    )
)
@click.argument("workspace")
@click.argument("name")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A parameter.")
@click.option("--panel", "only", multiple=True, help="Only this panel; may be given again.")
@everywhere
def data(
    invocation: Invocation,
    workspace: str,
    name: str,
    given: tuple[str, ...],
    only: tuple[str, ...],
) -> None:
    """Query a dashboard's panels through the running proxy; --json has charts with data."""
    config = invocation.config()

    async def work() -> list[PanelData]:
        async with open_workplace(config, invocation.note) as place:
            found = await place.store.workspace(workspace)
            stored = await place.store.content.document(found, "dashboard", name)
            values = documents.typed(given, Dashboard.read(stored.body).parameters)
            entrance = Entrance.of(config)
            return await dashboard_data(place, entrance, workspace, name, values, only=only)

    found = asyncio.run(work())
    invocation.show([panel.to_value() for panel in found], "\n\n".join(map(_as_text, found)))


@dashboard.command(examples=("accode-proxy dashboard delete finance sales --yes",))
@click.argument("workspace")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def delete(invocation: Invocation, workspace: str, name: str, yes: bool) -> None:
    """Delete a dashboard with its versions."""
    documents.delete(invocation, "dashboard", workspace, name, yes)


@dashboard.command(examples=("accode-proxy dashboard schema > dashboard.schema.json",))
@everywhere
def schema(invocation: Invocation) -> None:
    """Print the JSON Schema of the document."""
    documents.show_schema(invocation, "dashboard")


def _as_text(panel: PanelData) -> str:
    title = display.printable(panel.panel.title or panel.panel.name)
    if panel.error:
        return f"{title}\n{display.printable(panel.error)}"
    answer = panel.answer
    rows = [[_cell(value) for value in row] for row in answer.rows[:_SHOWN]]
    if not answer.columns:
        return f"{title}\nno rows"
    lines = [title, display.table([column.name for column in answer.columns], rows)]
    if len(answer.rows) > _SHOWN or answer.is_cut:
        lines.append(f"... {len(answer.rows)} rows" + (", and more" if answer.is_cut else ""))
    return "\n".join(lines)


def _cell(value: object) -> str:
    return "" if value is None else str(plain(value)).replace("\n", " ")
