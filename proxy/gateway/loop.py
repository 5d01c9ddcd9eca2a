"""The event loop that sessions run on: asyncio's own, around the poller's wait.

asyncio looks at descriptors through a selector, which is there to be replaced. Ours waits on
the one epoll that holds the sockets of all open sessions beside the loop's other descriptors,
and serves sessions without ever coming back to the loop, until something else has happened or
is due. So a query costs its wait, its reads and its writes, and no turn of an event loop.
Must never know what a session is.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple, Unpack

from proxy.gateway.poller import GONE, READ, WRITE, Poller

Arguments = TypeVarTuple("Arguments")


class SessionSelector(selectors.EpollSelector):
    """asyncio's view of the poller's epoll: all that is not a session's."""

    def __init__(self) -> None:
        super().__init__()
        self.poller = Poller(self.fileno())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Serve sessions until one of the loop's descriptors is ready or the time is over."""
        found = []
        keys = self.get_map()
        for fd, events in self.poller.wait(-1.0 if timeout is None else max(timeout, 0.0)):
            key = keys.get(fd)
            if key is not None:
                ready = 0
                if events & (READ | GONE):
                    ready |= selectors.EVENT_READ
                if events & (WRITE | GONE):
                    ready |= selectors.EVENT_WRITE
                found.append((key, ready & key.events))
        return found

    def close(self) -> None:
        """Nothing is told of any more."""
        self.poller.close()
        super().close()


class SessionLoop(asyncio.SelectorEventLoop):
    """asyncio's loop, which tells its selector when it wants its turn."""

    def __init__(self) -> None:
        selector = SessionSelector()
        self.poller = selector.poller
        super().__init__(selector)
        self.poller.on_failure = self.call_exception_handler

    def call_soon(
        self,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """As asyncio's."""
        self.poller.interrupt()
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As asyncio's."""
        self.poller.interrupt_at(when)
        return super().call_at(when, callback, *args, context=context)


def session_poller() -> Poller:
    """The running loop's poller. Raises TypeError where the loop is another kind."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, SessionLoop):
        raise TypeError("sessions need a SessionLoop")
    return loop.poller
