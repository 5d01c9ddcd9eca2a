"""What a process that runs for long does about its memory, apart from keeping none.

Knows Python's garbage collection and the C library's allocator; nothing of the proxy.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import Callable

from proxy.standing import stand

GIVE_BACK_SECONDS = 60.0
"""How often free memory is given back: seldom, since who asks for memory meanwhile waits."""


def settle_garbage() -> None:
    """Leave what was made at the start out of every garbage collection.

    Statements and sessions make no cycles (``tests/faults/test_leaks.py``); collecting at Python's
    default of every 700 objects walks the program's own for nothing, and a full one stalls every
    session for milliseconds. What asyncio's own transports leave behind, each a cycle, is collected
    while there is little of it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


class MemoryReturn:
    """Gives the allocator's free memory back to the system, once a minute.

    glibc keeps what was freed between two blocks in use, and logins free small blocks between those
    that outlive them: after an hour of them a process would be larger by what is free in it.
    """

    def __init__(
        self, trim: Callable[[int], int] | None, seconds: float = GIVE_BACK_SECONDS
    ) -> None:
        self._trim = trim
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, where the C library can."""
        if self._trim is not None:
            giving = stand(self._step, "free memory could not be given back")
            self._task = asyncio.create_task(giving, name="memory: give back")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _step(self) -> None:
        await asyncio.sleep(self._seconds)
        assert self._trim is not None, "only begun where there is one"
        # In a thread, and without the interpreter's lock.
        await asyncio.to_thread(self._trim, 0)


def allocator_trim() -> Callable[[int], int] | None:
    """malloc_trim(3), which is told how many bytes to keep; None where the C library has none."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
