"""Calls on non-blocking descriptors and of the clock, as plain Python.

Compiled modules take those of ``syscalls.pxd`` instead, which do the same.
"""

from __future__ import annotations

import os
from time import monotonic


def receive(fd: int, size: int) -> bytes | None:
    """At most ``size`` bytes; b"" at the peer's end, None for nothing yet. Raises OSError."""
    try:
        return os.read(fd, size)
    except (BlockingIOError, InterruptedError):
        return None


def send(fd: int, data: bytes, start: int) -> int:
    """Send from ``start`` on; how many bytes the kernel took, perhaps none. Raises OSError."""
    try:
        return os.write(fd, memoryview(data)[start:] if start else data)
    except (BlockingIOError, InterruptedError):
        return 0


def now() -> float:
    """Monotonic seconds, as the event loop's and ``time.monotonic``'s."""
    return monotonic()
