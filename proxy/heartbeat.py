"""Measures how late the event loop is and how many tasks it has, and shows that it turns.

Knows the loop's clock. One timer at a time, no task: it costs nothing between beats.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Heartbeat:
    """A timer that re-arms itself. ``age`` may be asked from any thread.

    ``on_beat`` is told how late the beat is, in seconds, and how many tasks are not done:
    only the loop's own thread can count them, and nobody can ask a loop that stands.
    """

    def __init__(self, on_beat: Callable[[float, int], None], interval: float = 1.0) -> None:
        self._on_beat = on_beat
        self._interval = interval
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._beaten_at = time.monotonic()

    def start(self) -> None:
        """Begin to beat in the running loop."""
        self._beaten_at = time.monotonic()
        self._arm(asyncio.get_running_loop())

    def stop(self) -> None:
        """Stop beating."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def age(self) -> float:
        """Seconds since the last beat."""
        return time.monotonic() - self._beaten_at

    def is_fresh(self, allowed: float = 10.0) -> bool:
        """Whether it has beaten within ``allowed`` seconds: ten missed beats are no hiccup."""
        return self.age() < allowed

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + self._interval
        self._timer = loop.call_at(self._due, self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beaten_at = time.monotonic()
        self._on_beat(max(0.0, loop.time() - self._due), len(asyncio.all_tasks(loop)))
        self._arm(loop)
