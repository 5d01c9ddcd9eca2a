"""A CSV file's visit to a source: a session through the proxy, and word of how far it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from proxy.administration.workplace import Desk
from proxy.content.answers import Session
from proxy.content.entrance import Entrance, visit_name
from proxy.content.runs import new_run_id
from proxy.content.sessions import Open
from proxy.content.transfers import Progress, carrying
from proxy.content.visits import visiting
from proxy.store import Workspace

LONGEST: Final = timedelta(hours=24)
"""Behind it the visit's token ends, whatever became of who carries the file."""

Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Carrier:
    """What carries the file: a session at the source. ``tell`` is to be called with each step."""

    engine: str
    session: Session
    tell: Tell


@asynccontextmanager
async def carried(
    place: Desk,
    entrance: Entrance,
    workspace: Workspace,
    direction: Literal["export", "import"],
    source: str,
    table: str,
    *,
    tell: Tell,
    openers: Mapping[str, Open],
    transfer_id: str | None = None,
) -> AsyncIterator[Carrier]:
    """Be there for one file. Each step is told to ``tell`` and kept for who asks.

    Raises StepFailed, LimitReached, StoreUnavailable.
    """
    name = visit_name("csv", direction, new_run_id())
    async with (
        visiting(
            place, entrance, workspace, label=name, name=name, lifetime=LONGEST, openers=openers
        ) as sessions,
        carrying(place, workspace, direction, source, table, transfer_id) as keep,
    ):

        def both(progress: Progress) -> None:
            keep(progress)
            tell(progress)

        engine, session = await sessions.session(source)
        yield Carrier(engine, session, both)
