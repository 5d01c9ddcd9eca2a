"""Lines that go to the disk together, and who waits for them."""

from __future__ import annotations

from asyncio import Future

from proxy.audit.journal import Placed

_BREAK = b"\n"


class Batch:
    """Whole lines of one file, already chained. ``size`` is their bytes;
    ``lines`` joined are what is written.

    ``oldest`` is when the first of them was queued (monotonic seconds).
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: list[bytes] = []
        self.size = 0
        self.records = 0
        self.placed: list[Placed] = []
        self.waiters: list[Future[None]] = []
        self.sync = False
        self.head = b""
        self.oldest = 0.0
        self.is_written = False

    def add(self, line: bytes) -> None:
        """Add one line."""
        self.lines.append(line)
        self.size += len(line)
        self.records += 1

    def add_unbroken(self, line: bytes) -> None:
        """Add one line whose line break is still missing, without copying it."""
        self.lines.append(line)
        self.lines.append(_BREAK)
        self.size += len(line) + 1
        self.records += 1
