"""The sessions of one run: one for each source, opened when it is needed first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

from proxy.content.answers import Answer, Bounds, Session, StepFailed
from proxy.content.entrance import Door, Entrance, Visit
from proxy.content.mysql import MysqlSession
from proxy.content.postgres import PostgresSession
from proxy.content.sqltext import SqlTextError, bind

Open = Callable[[Door, Visit, str], Awaitable[Session]]

OPENERS: Mapping[str, Open] = {"postgresql": PostgresSession.open, "mysql": MysqlSession.open}

_NOT_YET = frozenset({"28P01", "1045"})
_TOKEN_SECONDS = 3.0
"""How long a new token may take to reach the proxy: it promises one second."""
_TOKEN_PAUSE = 0.25


class Sessions:
    """Runs statements at sources, as one workspace. Use as an asynchronous context.

    ``engine_of`` tells a source's engine, or None where the workspace has no such source.
    """

    def __init__(
        self,
        entrance: Entrance,
        visit: Visit,
        engine_of: Callable[[str], Awaitable[str | None]],
        openers: Mapping[str, Open] = OPENERS,
    ) -> None:
        self._entrance = entrance
        self._visit = visit
        self._engine_of = engine_of
        self._openers = openers
        self._open: dict[str, Session] = {}
        self._has_logged_in = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(session.close() for session in self._open.values()))
        self._open.clear()

    async def run(
        self, source: str, statement: str, values: Mapping[str, Any], bounds: Bounds
    ) -> Answer:
        """Run one statement. Raises StepFailed."""
        engine, session = await self.session(source)
        try:
            text = bind(statement, engine)
        except SqlTextError as error:
            raise StepFailed(str(error), "syntax", had_no_effect=True) from None
        missing = set(text.names) - values.keys()
        if missing:
            raise StepFailed(
                f"nothing is said of :{min(missing)}", "parameters", had_no_effect=True
            )
        return await session.run(text, [values[name] for name in text.names], bounds)

    async def session(self, source: str) -> tuple[str, Session]:
        """The engine of a source and an open session there. Raises StepFailed."""
        engine = await self._engine_of(source)
        if engine is None:
            raise StepFailed(
                f"the workspace has no source named {source}", "no-source", had_no_effect=True
            )
        session = self._open.get(source)
        if session is not None and not session.is_usable:
            del self._open[source]
            await session.close()
            session = None
        if session is None:
            session = await self._log_in(engine, source)
            self._open[source] = session
        return engine, session

    async def _log_in(self, engine: str, source: str) -> Session:
        door = self._entrance.door(engine)
        deadline = asyncio.get_running_loop().time() + _TOKEN_SECONDS
        while True:
            try:
                session = await self._openers[engine](door, self._visit, source)
            except StepFailed as failure:
                # A token that was made a moment ago may be ahead of the news of it.
                is_over = asyncio.get_running_loop().time() > deadline
                if self._has_logged_in or failure.code not in _NOT_YET or is_over:
                    raise
                await asyncio.sleep(_TOKEN_PAUSE)
            else:
                self._has_logged_in = True
                return session
