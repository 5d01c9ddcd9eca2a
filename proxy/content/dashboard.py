"""A dashboard: panels, each a query and how its answer is drawn.

Panels show what they read and change nothing by design of theirs; what they may do is
decided by the workspace's policy, as for every statement. docs/dashboards.md has examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, model_validator

from proxy.content.document import (
    Document,
    Line,
    Parameters,
    SourceName,
    default_problems,
)
from proxy.content.problems import Problem, pointer
from proxy.content.sqltext import unmatched
from proxy.content.values import MAX_ITEMS, Name, Part, Reference, Text, Value

MAX_PANELS: Final = 50

_FETCHING: Final = frozenset({"url", "href", "usermeta", "datasets"})


def _check_chart(chart: Any) -> Any:
    """A Vega-Lite specification without data and without addresses of its own.

    Data comes from the panel's query alone: a specification that fetches would tell a
    stranger who looks at the dashboard, and when.
    """
    pending = [(chart, True)]
    while pending:
        part, is_top = pending.pop()
        if isinstance(part, dict):
            if "data" in part:
                raise ValueError("the data is the panel's own query's, so 'data' is left out")
            found = _FETCHING & part.keys()
            if found:
                raise ValueError(f"{min(found)!r} is not allowed in a chart")
            pending += [(value, False) for value in part.values()]
        elif isinstance(part, list):
            pending += [(value, False) for value in part]
        elif is_top:
            raise ValueError("a chart is a JSON object")
    return chart


Chart = Annotated[dict[str, JsonValue], AfterValidator(_check_chart)]


class Query(Part):
    """A statement at a source; ``parameters`` says what each ``:name`` in it is."""

    source: SourceName
    statement: Annotated[Text, Field(min_length=1)]
    parameters: Annotated[dict[Name, Value], Field(default_factory=dict, max_length=100)]

    @model_validator(mode="after")
    def _refers_to_parameters(self) -> Query:
        for value in self.parameters.values():
            if isinstance(value, Reference) and value.parameter is None:
                raise ValueError("a panel can refer to the dashboard's parameters alone")
        return self


class Panel(Part):
    """One panel. Without a ``chart`` its rows are shown as a table.

    An answer of more than ``rows`` is cut and says so.
    """

    name: Name
    title: Line = ""
    query: Query
    chart: Chart | None = None
    rows: Annotated[int, Field(strict=True, ge=1, le=MAX_ITEMS)] = 1_000
    width: Annotated[int, Field(strict=True, ge=1, le=12)] = 12


class Dashboard(Document):
    """The whole document."""

    title: Annotated[str, StringConstraints(strict=True, max_length=200)] = ""
    parameters: Parameters = Field(default_factory=dict)
    panels: Annotated[tuple[Panel, ...], Field(min_length=1, max_length=MAX_PANELS)]

    def problems(self) -> Iterator[Problem]:
        """See ``Document``."""
        yield from default_problems(self.parameters)
        seen: set[str] = set()
        for number, panel in enumerate(self.panels):
            if panel.name in seen:
                yield Problem(pointer(("panels", number, "name")), "another panel has this name")
            seen.add(panel.name)
            yield from self._query(("panels", number, "query", "parameters"), panel.query)

    def sources(self) -> Iterator[tuple[str, str]]:
        """See ``Document``."""
        for number, panel in enumerate(self.panels):
            yield pointer(("panels", number, "query", "source")), panel.query.source

    def statements(self) -> Iterator[tuple[tuple[object, ...], str, str, set[str]]]:
        """See ``Document``."""
        for number, panel in enumerate(self.panels):
            query = panel.query
            yield (
                ("panels", number, "query"),
                query.statement,
                query.source,
                set(query.parameters),
            )

    def _query(self, here: tuple[object, ...], query: Query) -> Iterator[Problem]:
        for name, value in query.parameters.items():
            if isinstance(value, Reference) and value.parameter not in self.parameters:
                yield Problem(pointer((*here, name)), "the dashboard has no parameter of that name")
        yield from unmatched(here, query.statement, set(query.parameters))
