"""Where the audit log lies, how much it may hold, and whose clock it follows.

Knows numbers only; each says why it is that number where that is not plain.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from proxy.audit import journal


class Clock(Protocol):
    """The two clocks, in seconds. The module ``time`` is one."""

    def time(self) -> float:
        """Wall clock."""
        ...

    def monotonic(self) -> float:
        """For distances and deadlines; the same as the scanners' ``now``."""
        ...


SYSTEM_CLOCK: Clock = time


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """Where, and how much. Sizes in bytes, times in seconds."""

    folder: Path
    rotate_bytes: int = 256 * 1024 * 1024
    checkpoint_seconds: float = 60.0
    """SECURITY promises a signed checkpoint at least every 60 s."""
    durable_seconds: float = 2.0
    """How long ``record_durably`` waits before it refuses."""
    stall_seconds: float = 5.0
    """A write that takes longer counts as a failed disk until it comes back."""
    sync_seconds: float = 1.0
    step_records: int = 32
    """How many are encoded at once where sessions are busy: 40 us, for which all of them wait."""
    slice_records: int = 256
    """How many are encoded at once where they are not."""
    slice_delay: float = 0.05
    """How long records gather before they are encoded: each batch costs hand-overs
    between two threads, and the journal already holds what a crash must not lose."""
    high_mark: int = 16 * 1024 * 1024
    low_mark: int = 4 * 1024 * 1024
    maximum_queued: int = 64 * 1024 * 1024
    journal_segment: int = journal.SEGMENT
    journal_segments: int = journal.SEGMENTS
