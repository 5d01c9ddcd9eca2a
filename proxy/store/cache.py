"""A bounded cache of loaded values that can be invalidated while they are loading.

Knows neither the store nor what it caches. Each value belongs to an owner (a
workspace's id), and changes come by owner. Per key one load runs at a time, however
many wait for it. A value that was read before a change of its owner and arrived after
it is read again, never returned.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from proxy.store.errors import StoreUnavailable

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

LOAD_ATTEMPTS = 5
"""Loads in a row that a change may spoil; changes come from people, not thousands a second."""


@dataclass(slots=True)
class _Load:
    """What changed since a load's last attempt began."""

    owners: set[str] = field(default_factory=set)
    has_new: bool = False
    is_everything: bool = False


class KeyedCache(Generic[K, V]):
    """Values by key, least recently used first to go.

    ``limit`` bounds the count, ``weight_limit`` the sum of ``weigh(value)``. None, "there
    is no such thing", is kept apart and as long: a name that exists must not be told from
    one that does not by how soon the answer comes.
    """

    def __init__(
        self,
        load: Callable[[K], Awaitable[V | None]],
        *,
        owner: Callable[[V], str],
        limit: int,
        weigh: Callable[[V], int] = lambda value: 0,
        weight_limit: int = 0,
        unknown_limit: int,
    ) -> None:
        self._load = load
        self._owner = owner
        self._limit = limit
        self._weigh = weigh
        self._weight_limit = weight_limit
        self._weight = 0
        self._unknown_limit = unknown_limit
        self._values: OrderedDict[K, V] = OrderedDict()
        self._keys: defaultdict[str, set[K]] = defaultdict(set)
        self._unknown: OrderedDict[K, None] = OrderedDict()
        self._loads: dict[K, tuple[asyncio.Task[V | None], _Load]] = {}

    def __len__(self) -> int:
        return len(self._values)

    async def get(self, key: K) -> V | None:
        """The value, cached or loaded. Raises what ``load`` raises, and StoreUnavailable."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
            return value
        if key in self._unknown:
            self._unknown.move_to_end(key)
            return None
        running = self._loads.get(key)
        if running is None:
            state = _Load()
            running = (asyncio.create_task(self._run(key, state), name="cache: load"), state)
            self._loads[key] = running
            running[0].add_done_callback(lambda task: self._end(key, task))
        # Shielded: the client that asked first may go while others wait for the answer.
        return await asyncio.shield(running[0])

    def forget(self, key: K) -> None:
        """Drop one value."""
        value = self._values.pop(key, None)
        if value is None:
            return
        self._weight -= self._weigh(value)
        owner = self._owner(value)
        self._keys[owner].discard(key)
        if not self._keys[owner]:
            del self._keys[owner]

    def forget_owner(self, owner: str) -> None:
        """Drop what belongs to an owner."""
        for key in tuple(self._keys.get(owner, ())):
            self.forget(key)
        for _, state in self._loads.values():
            state.owners.add(owner)

    def forget_unknown(self) -> None:
        """Drop all that was thought not to exist: something new does."""
        self._unknown.clear()
        for _, state in self._loads.values():
            state.has_new = True

    def forget_everything(self) -> None:
        """Drop all."""
        self._values.clear()
        self._keys.clear()
        self._unknown.clear()
        self._weight = 0
        for _, state in self._loads.values():
            state.has_new = state.is_everything = True

    async def stop(self) -> None:
        """Cancel the loads that run; whoever waits for one sees it cancelled."""
        tasks = [task for task, _ in self._loads.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: K, state: _Load) -> V | None:
        for _ in range(LOAD_ATTEMPTS):
            state.owners.clear()
            state.has_new = state.is_everything = False
            value = await self._load(key)
            if state.is_everything:
                continue
            if value is None:
                # True when it was read; remembered only where nothing new came since.
                if not state.has_new:
                    self._remember_unknown(key)
                return None
            if self._owner(value) not in state.owners:
                self._remember(key, value)
                return value
        raise StoreUnavailable("the store changes faster than it can be read")

    def _end(self, key: K, task: asyncio.Task[V | None]) -> None:
        del self._loads[key]
        # Asked for, so that asyncio reports no error where every waiter has gone.
        if not task.cancelled():
            task.exception()

    def _remember(self, key: K, value: V) -> None:
        self.forget(key)
        self._unknown.pop(key, None)
        self._values[key] = value
        self._keys[self._owner(value)].add(key)
        self._weight += self._weigh(value)
        while len(self._values) > self._limit or (
            self._weight_limit and self._weight > self._weight_limit and len(self._values) > 1
        ):
            self.forget(next(iter(self._values)))

    def _remember_unknown(self, key: K) -> None:
        self._unknown[key] = None
        while len(self._unknown) > self._unknown_limit:
            self._unknown.popitem(last=False)
