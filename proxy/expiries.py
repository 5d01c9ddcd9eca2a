"""What ends at a known moment, for the metrics: certificates of listeners, weak TLS profiles.

A source with a weak profile is refused once the time granted to it is over: what watches the
proxy is told the moment beforehand. The store is asked for it, seldom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Final

from proxy.gateway.rooms import Door
from proxy.gateway.tls import ServerTls
from proxy.metrics import Metrics
from proxy.standing import stand
from proxy.store import Change, ChangeKind, StoreError

AT_LEAST_SECONDS: Final = 30.0
"""Between two questions: sources of many workspaces may change at once."""
AT_MOST_SECONDS: Final = 3600.0
"""Between two questions where nothing is told: a workspace's deletion takes its sources along."""

_CONCERNED = (ChangeKind.SOURCE, ChangeKind.WORKSPACE, ChangeKind.EVERYTHING)


def tell_certificates(metrics: Metrics, doors: Iterable[Door]) -> None:
    """Tell when the certificates end that the listeners show: those that are loaded."""
    for door in doors:
        if isinstance(door.tls, ServerTls):
            metrics.shows_certificate(door.config.protocol, door.tls.expires_at)


class WeakTlsWatch:
    """Asks ``ask`` when sources have changed, and tells ``tell`` what it says.

    Where the store cannot be asked, what was told before stands.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[datetime | None]],
        tell: Callable[[datetime | None], None],
        *,
        at_least: float = AT_LEAST_SECONDS,
        at_most: float = AT_MOST_SECONDS,
    ) -> None:
        self._ask = ask
        self._tell = tell
        self._at_least = at_least
        self._at_most = at_most
        self._has_changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Ask for the first time, and go on."""
        following = stand(self._follow, "the ends of weak TLS could not be followed")
        self._task = asyncio.create_task(following, name="weak TLS: follow its ends")

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def changed(self, change: Change) -> None:
        """A change of the store: ask, where it concerns sources."""
        if change.kind in _CONCERNED:
            self._has_changed.set()

    async def _follow(self) -> None:
        self._has_changed.clear()
        with suppress(StoreError):
            self._tell(await self._ask())
        await asyncio.sleep(self._at_least)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._at_most):
                await self._has_changed.wait()
