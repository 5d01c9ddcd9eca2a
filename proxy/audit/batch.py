"""Lines that go to the disk together, and who waits for them."""

from __future__ import annotations

from asyncio import Future

from proxy.audit.journal import Placed


class Batch:
    """Lines of one file, already chained and without their breaks, and what they need.

    ``size`` is the bytes that will be written, ``records`` the number of lines.

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
        self.size += len(line) + 1
        self.records += 1

    def joined(self) -> bytes:
        """What is written: each line with its break."""
        return b"\n".join([*self.lines, b""])
