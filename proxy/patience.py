"""Time limits of one length, where they begin thousands of times a second.

``asyncio.timeout`` makes a timer for each use, and the loop keeps even a cancelled one until it
is due, in a heap whose order are calls of Python. Of limits of one length the first to begin is
the first to end: so they stand in a queue, and one timer looks at its front. What a limit means
is as with ``asyncio.timeout``. Knows tasks; must never know what is waited for.

Plain Python; compiled with the types in ``patience.pxd``.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from types import TracebackType
from typing import Literal, Protocol


class Waiting(Protocol):
    """What waits, for so long at the most."""

    def expire(self) -> None:
        """The time is over."""


class Patience:
    """The limits of one length, in seconds, of one event loop."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        # Those within, the first to end in front; and for it, or one before it, the timer.
        self._running: dict[Waiting, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._running)

    def limit(self) -> Limit:
        """For a ``with``: raises TimeoutError where what is within takes longer."""
        return Limit(self)

    def begin(self, waiting: Waiting) -> None:
        """Its time runs: ``expire`` is called at its end, unless it is ended before."""
        # The loop's own clock. The loop is asked for only where it is needed: each time is a
        # system call (getpid).
        due = monotonic() + self.seconds
        self._running[waiting] = due
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(due, self._look)

    def end(self, waiting: Waiting) -> None:
        """It waits no more."""
        self._running.pop(waiting, None)

    def _look(self) -> None:
        """Expire what is due, and look again when the next one is."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = None
        while self._running:
            waiting, due = next(iter(self._running.items()))
            if due > now:
                self._timer = loop.call_at(due, self._look)
                return
            self.end(waiting)
            waiting.expire()


class Limit:
    """One use. Made by ``Patience``, and entered once, within a task."""

    __slots__ = ("_before", "_is_expired", "_patience", "_task")

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._task: asyncio.Task[object] | None = None
        self._before = 0
        self._is_expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a limit is a task's"
        self._task = task
        self._before = task.cancelling()
        self._patience.begin(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Literal[False]:
        self._patience.end(self)
        task, self._task = self._task, None
        # As asyncio.Timeout: who else has cancelled the task must still be heard.
        if (
            self._is_expired
            and task is not None
            and task.uncancel() <= self._before
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error
        return False

    def expire(self) -> None:
        """The time is over: cancel what is within."""
        self._is_expired = True
        if self._task is not None:
            self._task.cancel()
