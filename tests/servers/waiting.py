"""Waits, bounded, until another process has done something. Knows no server.

For what no file descriptor announces: a log line of a server, a process that ends.
Inside one event loop wait on an ``asyncio.Event`` instead.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_WITHIN = 45.0  # seconds: waited out only where a test fails, so long for a busy machine
_DAY = 86_400
_PAUSE = 0.01  # seconds between two looks: short beside what a process takes to start


def wait_until(
    condition: Callable[[], bool], *, within: float = _WITHIN, what: str = "the condition"
) -> None:
    """Return when ``condition()`` is true. Raises TimeoutError after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within:g} s for {what}")
        time.sleep(_PAUSE)


def wait_past_midnight(seconds: float = 40.0) -> None:
    """Return at once, but where UTC's midnight is so near: then a limit of a day counts anew."""
    if _DAY - time.time() % _DAY < seconds:
        wait_until(lambda: time.time() % _DAY < seconds, within=2 * seconds, what="midnight")


async def eventually(
    condition: Callable[[], bool], *, within: float = _WITHIN, what: str = "the condition"
) -> None:
    """Do the same as ``wait_until`` and let the event loop run meanwhile."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within:g} s for {what}")
        await asyncio.sleep(_PAUSE)
