"""Who gets which connection of one data source, and when: decisions, without any I/O.

Connections of one pool differ by their key, and only the same key may have one again. The
most recently used is given first, so that what is not needed grows old. Where all are in
use, clients wait in the order in which they came, whatever their keys: the first one gets
the next place, and if that is an idle connection of another key, it is closed for it.

Must never know what a connection is: it is told whether one stands, and how one is closed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from proxy.metrics import PoolClose
from proxy.store.pooling import PoolSettings

QUEUE_LIMIT = 1_000
"""Clients that wait for one data source. More are told at once: at the end of such a queue
nobody would be served in time."""


class QueueFull(Exception):
    """Too many clients wait already."""


class Idle:
    """A connection that waits for a client, since when, and until when at the most."""

    def __init__(self, key: Hashable, connection: Any, since: float, expires: float) -> None:
        self._fill(key, connection, since, expires)

    def _fill(self, key: Hashable, connection: Any, since: float, expires: float) -> None:
        self.key = key
        self.connection = connection
        self.since = since
        self.expires = expires


class Ticket:
    """One client's wish for a connection.

    Granted, it is a place in the pool: ``found`` is the connection, None where the client
    has to open one. ``wake`` is called when it is granted later.
    """

    def __init__(self, key: Hashable, wake: Callable[[], None]) -> None:
        self.key = key
        self.wake = wake
        self.is_granted = False
        self.found: Idle | None = None


class Pool:
    """One data source's connections. Times are monotonic seconds.

    ``is_alive`` says whether an idle connection still stands; ``close`` ends one, with the
    cause. ``taken`` is how many places are in use: a client's, or a reset's.
    """

    def __init__(
        self,
        settings: PoolSettings,
        is_alive: Callable[[Any], bool],
        close: Callable[[Any, PoolClose], None],
    ) -> None:
        self.settings = settings
        self.taken = 0
        self._is_alive = is_alive
        self._close = close
        # The one used last at the end.
        self._idle: list[Idle] = []
        self._waiting: deque[Ticket] = deque()
        self._is_serving = False

    @property
    def settings(self) -> PoolSettings:
        """The source's, as they are now."""
        return self._settings

    @settings.setter
    def settings(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._maximum = settings.maximum

    @property
    def idle(self) -> int:
        """How many connections wait for a client."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """How many clients wait for a connection."""
        return len(self._waiting)

    @property
    def is_unused(self) -> bool:
        """Whether there is nothing in it."""
        return not (self.taken or self._idle or self._waiting)

    def ask(self, key: Hashable, wake: Callable[[], None], limit: int = QUEUE_LIMIT) -> Ticket:
        """A connection for this key, now or later. Raises QueueFull where so many wait."""
        ticket = Ticket(key, wake)
        if self._waiting or not self._grant(ticket):
            if len(self._waiting) >= limit:
                raise QueueFull
            self._waiting.append(ticket)
        return ticket

    def take(self, key: Hashable) -> Any:
        """An idle connection of this key, at once and without a ticket; None where there is none,
        or others wait.
        """
        if self._waiting:
            return None
        for at in range(len(self._idle) - 1, -1, -1):
            idle = self._idle[at]
            # Mostly it is the very same: to compare two that are equal takes longer.
            if idle.key is key or idle.key == key:
                if self._is_alive(idle.connection):
                    del self._idle[at]
                    self.taken += 1
                    return idle.connection
                self._end(at, PoolClose.LOST)
        return None

    def withdraw(self, ticket: Ticket, now: float) -> None:
        """The client has gone; what it was granted meanwhile goes to the next one."""
        if not ticket.is_granted:
            self._waiting.remove(ticket)
        elif ticket.found is None:
            self.leave()
        else:
            found = ticket.found
            self.put(found.key, found.connection, found.expires, now)

    def put(self, key: Hashable, connection: Any, expires: float, now: float) -> None:
        """A connection is free for the next client."""
        self.taken -= 1
        # Compiled, the call of a class would make objects of its numbers.
        idle = Idle.__new__(Idle)
        idle._fill(key, connection, now, expires)
        self._idle.append(idle)
        self._serve()

    def leave(self) -> None:
        """A place is free: its connection has been closed, or was never opened."""
        self.taken -= 1
        self._serve()

    def remove(self, connection: Any, cause: PoolClose) -> bool:
        """Close an idle connection; False where it is not one."""
        for at, idle in enumerate(self._idle):
            if idle.connection is connection:
                self._end(at, cause)
                self._serve()
                return True
        return False

    def sweep(self, now: float) -> None:
        """Close what has been idle or alive for too long."""
        kept: list[Idle] = []
        settings = self._settings
        for at, idle in enumerate(self._idle):
            if now >= idle.expires:
                self._close(idle.connection, PoolClose.AGE)
            elif (
                now - idle.since >= settings.idle_seconds
                and len(kept) + len(self._idle) - at > settings.minimum
            ):
                self._close(idle.connection, PoolClose.IDLE)
            else:
                kept.append(idle)
        self._idle = kept
        self._serve()

    def clear(self, cause: PoolClose) -> None:
        """Close everything idle."""
        idle, self._idle = self._idle, []
        for one in idle:
            self._close(one.connection, cause)
        self._serve()

    def _serve(self) -> None:
        if self._is_serving:
            # Who was just woken has given it back already; in a long queue of such each would
            # wake the next from within.
            return
        self._is_serving = True
        try:
            while self._waiting:
                ticket = self._waiting[0]
                if not self._grant(ticket):
                    return
                self._waiting.popleft()
                ticket.wake()
        finally:
            self._is_serving = False

    def _grant(self, ticket: Ticket) -> bool:
        for at in range(len(self._idle) - 1, -1, -1):
            idle = self._idle[at]
            if idle.key is not ticket.key and idle.key != ticket.key:
                continue
            if not self._is_alive(idle.connection):
                self._end(at, PoolClose.LOST)
                continue
            del self._idle[at]
            ticket.found = idle
            return self._granted(ticket)
        if self.taken + len(self._idle) >= self._maximum:
            if self.taken >= self._maximum:
                return False
            self._end(0, PoolClose.EVICTED)
        return self._granted(ticket)

    def _granted(self, ticket: Ticket) -> bool:
        self.taken += 1
        ticket.is_granted = True
        return True

    def _end(self, at: int, cause: PoolClose) -> None:
        self._close(self._idle.pop(at).connection, cause)
