"""A stored dashboard answered with data, through the proxy, as its workspace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from proxy.administration.workplace import Desk
from proxy.content.dashboard import Dashboard
from proxy.content.document import filled
from proxy.content.entrance import Entrance, visit_name
from proxy.content.library import source_problems
from proxy.content.naming import workspace_named
from proxy.content.panels import PANEL_SECONDS, PanelData, Take, answer_panels
from proxy.content.problems import ContentRefused
from proxy.content.runs import new_run_id
from proxy.content.sessions import OPENERS, Open
from proxy.content.visits import visiting
from proxy.store import Workspace


async def dashboard_data(
    place: Desk,
    entrance: Entrance,
    named: str | Workspace,
    name: str,
    parameters: Mapping[str, Any],
    *,
    version: int | None = None,
    only: Sequence[str] = (),
) -> list[PanelData]:
    """The data of a dashboard's panels, or of those named; see ``answer_dashboard``."""
    found: list[PanelData] = []

    async def take(panel: PanelData) -> None:
        found.append(panel)

    await answer_dashboard(
        place, entrance, named, name, parameters, take, version=version, only=only
    )
    return found


async def answer_dashboard(
    place: Desk,
    entrance: Entrance,
    named: str | Workspace,
    name: str,
    parameters: Mapping[str, Any],
    take: Take,
    *,
    version: int | None = None,
    only: Sequence[str] = (),
    openers: Mapping[str, Open] = OPENERS,
) -> None:
    """Give ``take`` each panel's data, or that of those named. A panel that fails says why.

    Its statements stand in the audit log under ``dashboard:NAME run:ID``. Raises
    ContentRefused, NotFound, LimitReached.
    """
    workspace = await workspace_named(place.store, named)
    if not workspace.is_active:
        raise ContentRefused.of(f"workspace {workspace.name} is suspended")
    stored = await place.store.content.document(workspace, "dashboard", name, version)
    dashboard = Dashboard.read(stored.body)
    problems = await source_problems(place.store, workspace, dashboard)
    if problems:
        raise ContentRefused(problems)
    values = filled(dashboard.parameters, dict(parameters))
    visit = visit_name("dashboard", name, new_run_id())
    longest = timedelta(seconds=PANEL_SECONDS * len(dashboard.panels) + 60)
    async with visiting(
        place,
        entrance,
        workspace,
        label=visit,
        name=visit,
        lifetime=longest,
        openers=openers,
    ) as sessions:
        await answer_panels(dashboard, sessions, values, take, only)
