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
_OWED: Final = 0.5
"""Seconds of sleep that come together. In short naps a carrier would be one of many sleepers to
the kernel, which lets each run at once when it wakes, in front of whoever answers a query: on two
cores that doubled the queries' p99. At work for a while and then away, it gives way to them."""


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
        """So many bytes have gone: return when more may go, behind those of all others."""
        now = self._clock()
        self._until = max(self._until, now - _SLACK) + count / self._rate
        if self._until > now + _OWED:
            await self._sleep(self._until - now)
