"""The sockets of all open sessions, and the one wait for them and for everything else.

An event loop spends more on each event than a relay on its bytes: a handle, a context, a
transport and an object for each read. So sessions are served where the loop waits: everything
that has come to them is dealt with as compiled calls, and the loop hears of nothing but its
own descriptors. Knows descriptors and events; must never know what the bytes are.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any, Final

import cython

if cython.compiled:
    from cython.cimports.proxy.gateway.syscalls import now, wait
else:
    from proxy.gateway.syscalls import now

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
GONE: Final = select.EPOLLERR | select.EPOLLHUP
"""Told whether asked for or not."""
EDGE: Final = select.EPOLLET
"""Asked for beside the others: each is told once, when it comes to be."""

MOST: Final = 64
"""Events taken at once."""
_MOST = MOST  # compiled, these are numbers of C's here
_FOREVER = inf


class Watched:
    """Something with a descriptor."""

    def happened(self, events: int) -> None:
        """Its descriptor is ready: ``READ``, ``WRITE``, ``GONE``, as bits."""


class Poller:
    """One event loop's. Its methods are for that loop's thread.

    ``on_failure`` is told of what a session's code raises: a bug, which must not end the loop.
    """

    def __init__(self, epoll: int) -> None:
        self._number = epoll
        # Another descriptor of the same epoll: this one is ours to close.
        self._epoll = select.epoll.fromfd(os.dup(epoll))
        # By descriptor: the kernel gives the lowest that is free, so few places are empty.
        self._watched: list[Watched | None] = []
        self._count = 0
        # Of the events being served: how many there are, and which one's turn it is.
        self._found = 0
        self._at = 0
        self._chores: list[Callable[[], bool]] = []
        self._is_interrupted = False
        self._until = _FOREVER
        self.on_failure: Callable[[dict[str, Any]], object] = _nothing
        if not cython.compiled:
            # Compiled, they are arrays within this object.
            self._fds = [0] * MOST
            self._events = [0] * MOST

    def __len__(self) -> int:
        return self._count

    def watch(self, fd: int, watched: Watched, events: int) -> None:
        """Tell it when its descriptor is ready for one of ``events``. Raises OSError."""
        self._epoll.register(fd, events)
        if fd >= len(self._watched):
            self._watched.extend([None] * (fd + 1 - len(self._watched)))
        self._watched[fd] = watched
        self._count += 1

    def change(self, fd: int, events: int) -> None:
        """From now on tell of these events. Raises OSError."""
        self._epoll.modify(fd, events)

    def has_looked(self, fd: int) -> bool:
        """Whether events are being served, and none of this descriptor is among those to come.

        False also where there may have been more than were taken.
        """
        if self._found == 0 or self._found == _MOST:
            return False
        at = self._at + 1
        while at < self._found:
            if self._fds[at] == fd:
                return False
            at += 1
        return True

    def forget(self, fd: int) -> None:
        """Tell of nothing more. Before the descriptor is closed: its number comes again."""
        if fd < len(self._watched) and self._watched[fd] is not None:
            self._watched[fd] = None
            self._count -= 1
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Let go of everything; what is still watched hears nothing more."""
        watched, self._watched = self._watched, []
        self._count = 0
        for fd, each in enumerate(watched):
            if each is not None:
                # What is closed already is watched no more.
                with suppress(OSError):
                    self._epoll.unregister(fd)
        self._epoll.close()

    def interrupt(self) -> None:
        """The loop has something to do: let the wait end at its next look."""
        self._is_interrupted = True

    def interrupt_at(self, when: float) -> None:
        """The loop has something to do at this moment (monotonic seconds)."""
        if when < self._until:
            self._until = when

    def take_on(self, chore: Callable[[], bool]) -> None:
        """Call this behind all events that were taken together, until it returns False.

        For work that may wait for them, a little at a time: whatever comes waits for it. A turn of
        the event loop for each little would cost more than it does.
        """
        self._chores.append(chore)

    def wait(self, timeout: float) -> list[tuple[int, int]]:
        """Serve sessions until the loop has its turn; what happened to its own descriptors.

        That is when one of those is ready, when it was interrupted, or after ``timeout``
        seconds. Negative: whenever something is.
        """
        others: list[tuple[int, int]] = []
        self._is_interrupted = False
        self._until = _FOREVER
        if timeout >= 0.0:
            self._until = now() + timeout
        rest = timeout
        while True:
            count = self._wait(rest)
            self._found = count
            for at in range(count):
                self._at = at
                fd = self._fds[at]
                watched = self._watched[fd] if fd < len(self._watched) else None
                if watched is None:
                    others.append((fd, self._events[at]))
                    continue
                try:
                    watched.happened(self._events[at])
                except Exception as error:  # noqa: BLE001
                    self.on_failure({"message": "a session failed", "exception": error})
            self._found = 0
            if self._chores:
                self._do_chores()
            if others or self._is_interrupted:
                return others
            until = self._until
            if until == _FOREVER:
                rest = -1.0
            else:
                rest = until - now()
                if rest <= 0.0:
                    return others

    def _do_chores(self) -> None:
        for chore in self._chores:
            try:
                goes_on = chore()
            except Exception as error:  # noqa: BLE001
                goes_on = True
                self.on_failure({"message": "a chore failed", "exception": error})
            if not goes_on:
                # Another list: this one is being gone through.
                self._chores = [each for each in self._chores if each is not chore]

    def _wait(self, timeout: float) -> int:
        """Wait for at most so many seconds; how many events are in the two lists."""
        if cython.compiled:
            count: int = wait(self._number, self._fds, self._events, _MOST, timeout)
            return count
        found = self._epoll.poll(None if timeout < 0 else timeout, MOST)
        for at, (fd, events) in enumerate(found):
            self._fds[at] = fd
            self._events[at] = events
        return len(found)


def _nothing(context: dict[str, Any]) -> None:
    pass


# What aiofastnet says where its own end of a connection crosses its peer's: it then closes it.
_CROSSED = "Error occurred during shutdown"


class _Call:
    """A call that is made once, and then not kept."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback: Callable[[], object] | None = callback

    def make(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


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
        self._call_later = loop.call_later
        self.create_future = loop.create_future
        self.get_debug = loop.get_debug
        self._call_exception_handler = loop.call_exception_handler

    def call_later(self, delay: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """As the loop's, but its handle does not keep the callback once it was called.

        A transport that is closed when its peer has gone keeps the handle of its shutdown, which
        would keep the transport: a reference cycle, with TLS buffers of 90 KB in it.
        """
        return self._call_later(delay, _Call(callback).make)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As the loop's, but for a network that failed: who waits for the transport is told.

        asyncio's own transports do the same. aiofastnet hands the class of the exception where
        the peer has reset its connection, which the loop's handler does not expect.
        """
        exception = context.get("exception")
        kind = exception if isinstance(exception, type) else type(exception)
        if issubclass(kind, OSError) or context.get("message") == _CROSSED:
            return
        self._call_exception_handler(context)

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
