"""A dashboard's data: each panel's rows, and its chart with these rows in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.content.answers import Answer, Bounds, Statements, StepFailed
from proxy.content.dashboard import Dashboard, Panel
from proxy.content.problems import ContentRefused
from proxy.content.values import Known, plain

SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v6.json"
PANEL_BYTES: Final = 4 * 1024 * 1024
"""Of one panel's rows: more than a browser draws."""
PANEL_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class PanelData:
    """What a panel shows. ``error``: why it shows nothing; the others may."""

    panel: Panel
    answer: Answer
    seconds: float
    error: str = ""
    code: str = ""

    def to_value(self) -> dict[str, Any]:
        """As JSON: columns, rows, and the chart with the rows as its data."""
        rows = [[plain(value) for value in row] for row in self.answer.rows]
        return {
            "name": self.panel.name,
            "title": self.panel.title,
            "width": self.panel.width,
            "columns": [
                {"name": column.name, "type": column.type} for column in self.answer.columns
            ],
            "rows": rows,
            "is_cut": self.answer.is_cut,
            "seconds": round(self.seconds, 6),
            "error": self.error,
            "code": self.code,
            "chart": self._chart(rows),
        }

    def _chart(self, rows: Sequence[Sequence[Any]]) -> dict[str, Any] | None:
        if self.panel.chart is None or self.error:
            return None
        names = [column.name for column in self.answer.columns]
        values = [dict(zip(names, row, strict=True)) for row in rows]
        # A document never has data of its own, see dashboard.py; the scheme may be its own.
        return {"$schema": SCHEMA} | self.panel.chart | {"data": {"values": values}}


Take = Callable[[PanelData], Awaitable[None]]
"""Takes the next panel's data, and returns when more may come."""


async def answer_panels(
    dashboard: Dashboard,
    statements: Statements,
    parameters: Mapping[str, Any],
    take: Take,
    only: Sequence[str] = (),
) -> None:
    """Give ``take`` the data of the panels, or of those named, one after the other.

    Raises ContentRefused for a name that no panel has.
    """
    unknown = set(only) - {panel.name for panel in dashboard.panels}
    if unknown:
        raise ContentRefused.of(f"the dashboard has no panel named {min(unknown)[:64]}")
    for panel in dashboard.panels:
        if not only or panel.name in only:
            await take(await _data(panel, statements, parameters))


async def _data(panel: Panel, statements: Statements, parameters: Mapping[str, Any]) -> PanelData:
    known = Known(parameters)
    query = panel.query
    values = {name: known.value(value) for name, value in query.parameters.items()}
    began = time.monotonic()
    bounds = Bounds(panel.rows, PANEL_BYTES, may_cut=True)
    try:
        async with asyncio.timeout(PANEL_SECONDS):
            answer = await statements.run(query.source, query.statement, values, bounds)
    except StepFailed as failure:
        return PanelData(panel, Answer(), time.monotonic() - began, str(failure), failure.code)
    except TimeoutError:
        sentence = f"no answer came within {PANEL_SECONDS:g} seconds"
        return PanelData(panel, Answer(), time.monotonic() - began, sentence, "timeout")
    return PanelData(panel, answer, time.monotonic() - began)
