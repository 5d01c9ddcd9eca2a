"""A pace that all who carry much keep together, so that there is room for others beside them.

An export as fast as it can be takes a core here, one at the data source, and the proxy's
turns: every query beside it waits. Knows no bytes, only how many.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

_SLACK: Final = 0.05
"""Seconds that may be caught up with after a stop: more would be a burst."""


class Pace:
    """So many bytes a second, whoever has them. Used in one event loop."""

    def __init__(
        self,
        rate: int,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        # When what was let through so far is over, at this rate.
        self._until = clock()

    async def keep(self, count: int) -> None:
        """Return when so many bytes more may have gone, behind those of all others."""
        now = self._clock()
        self._until = max(self._until, now - _SLACK) + count / self._rate
        if self._until > now:
            await self._sleep(self._until - now)
