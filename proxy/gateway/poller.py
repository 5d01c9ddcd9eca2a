"""The sockets of all open sessions, on one epoll of their own.

An event loop spends more on each event than a relay on its bytes: a handle, a context, a
transport and an object for each read. So the loop watches one descriptor, the epoll of this
poller, and each time it is ready everything that has come is served in one go, as compiled
calls. Knows descriptors and events; must never know what the bytes are.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Final

import cython

if cython.compiled:
    from cython.cimports.proxy.gateway.syscalls import ready

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
GONE: Final = select.EPOLLERR | select.EPOLLHUP
"""Told whether asked for or not."""

MOST: Final = 64
"""Events taken at once."""
ROUNDS: Final = 4
"""How often the poller looks again before everything else in the loop has its turn."""


class Watched:
    """Something with a descriptor."""

    def happened(self, events: int) -> None:
        """Its descriptor is ready: ``READ``, ``WRITE``, ``GONE``, as bits."""


class Poller:
    """One event loop's. Its methods are for that loop's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._number = self._epoll.fileno()
        self._watched: dict[int, Watched] = {}
        if not cython.compiled:
            # Compiled, they are arrays within this object.
            self._fds = [0] * MOST
            self._events = [0] * MOST
        self._loop.add_reader(self._number, self._turn)

    def __len__(self) -> int:
        return len(self._watched)

    def watch(self, fd: int, watched: Watched, events: int) -> None:
        """Tell it when its descriptor is ready for one of ``events``. Raises OSError."""
        self._epoll.register(fd, events)
        self._watched[fd] = watched

    def change(self, fd: int, events: int) -> None:
        """From now on tell of these events. Raises OSError."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Tell of nothing more. Before the descriptor is closed: its number comes again."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Let go of everything; what is still watched hears nothing more."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._number)
            self._watched.clear()
            self._epoll.close()

    def _ready(self) -> int:
        """Fill both lists with what has happened; how many."""
        if cython.compiled:
            count: int = ready(self._number, self._fds, self._events, MOST)
            return count
        found = self._epoll.poll(0, MOST)
        for at, (fd, events) in enumerate(found):
            self._fds[at] = fd
            self._events[at] = events
        return len(found)

    def _turn(self) -> None:
        rounds = ROUNDS
        while rounds > 0:
            rounds -= 1
            count = self._ready()
            for at in range(count):
                watched = self._watched.get(self._fds[at])
                if watched is not None:
                    watched.happened(self._events[at])
            # One event is what an idle machine has: to look again would be a call for nothing.
            if count < 2:
                return


class PolledLoop(Watched):
    """The running event loop to one transport, but for its descriptor, which a poller watches.

    For aiofastnet's TLS transports, which read and write for themselves and ask their loop
    only to be called. Everything else is the loop's own.
    """

    def __init__(self, poller: Poller, loop: asyncio.AbstractEventLoop) -> None:
        self._poller = poller
        self._reader: Callable[[], object] | None = None
        self._writer: Callable[[], object] | None = None
        self._wanted = 0
        self.call_soon = loop.call_soon
        self.call_later = loop.call_later
        self.create_future = loop.create_future
        self.get_debug = loop.get_debug
        self.call_exception_handler = loop.call_exception_handler

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """As the loop's."""
        self._reader = callback
        self._watch(fd)

    def add_writer(self, fd: int, callback: Callable[[], object]) -> None:
        """As the loop's."""
        self._writer = callback
        self._watch(fd)

    def remove_reader(self, fd: int) -> bool:
        """As the loop's."""
        was_there = self._reader is not None
        self._reader = None
        self._watch(fd)
        return was_there

    def remove_writer(self, fd: int) -> bool:
        """As the loop's."""
        was_there = self._writer is not None
        self._writer = None
        self._watch(fd)
        return was_there

    def happened(self, events: int) -> None:
        """Call who asked for it. The first may take the second away."""
        if events & (READ | GONE) and self._reader is not None:
            self._reader()
        if events & (WRITE | GONE) and self._writer is not None:
            self._writer()

    def _watch(self, fd: int) -> None:
        wanted = READ if self._reader is not None else 0
        if self._writer is not None:
            wanted |= WRITE
        if wanted == self._wanted:
            return
        before, self._wanted = self._wanted, wanted
        if wanted == 0:
            # Not watched at all: a peer that is gone would be told of again and again.
            self._poller.forget(fd)
        elif before == 0:
            self._poller.watch(fd, self, wanted)
        else:
            self._poller.change(fd, wanted)
