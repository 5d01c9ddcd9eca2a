"""Notices when the machine had no time for us: what has to come within a second may not then.

A thread of ours that sleeps 50 ms and wakes half a second late has been kept from running. Of the
proxy's threads the kernel says how long each was ready to run and had no core, which is never
the proxy's own work (the second figure of ``schedstat``, scheduler/sched-stats.rst in the kernel's
documentation): half of half a second of it is as bad. What has to come within a second by the
proxy's own promise is the news of the store.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.soak.disturbances import Disturbances

_SLEEP = 0.05
_LOOK = 0.5
LATE = 0.5
"""Seconds. The store's word counts for one; half of it may be the proxy's own work."""


class StarvationWatch:
    """While it is entered, ``machine starved`` is told to the disturbances.

    ``processes`` are those of the proxy.
    """

    def __init__(self, disturbances: Disturbances, processes: Callable[[], list[int]]) -> None:
        self._disturbances = disturbances
        self._processes = processes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="starvation", daemon=True)
        self._waited: dict[Path, int] = {}
        self.times = 0
        self.longest = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        before = looked = time.monotonic()
        while not self._stop.wait(_SLEEP):
            now = time.monotonic()
            self.note(before, now)
            before = now
            if now - looked >= _LOOK:
                self.note_waits(looked, now, _waits(self._processes()))
                looked = now

    def note(self, before: float, now: float) -> None:
        """It slept from ``before`` to ``now``."""
        late = now - before - _SLEEP
        if late >= LATE:
            self._tell(before, now, late)

    def note_waits(self, before: float, now: float, waits: dict[Path, int]) -> None:
        """How many nanoseconds each thread has waited for a core, by ``now``."""
        known, self._waited = self._waited, waits
        late = max((waits[task] - known.get(task, waits[task]) for task in waits), default=0) / 1e9
        if late >= LATE * (now - before):
            self._tell(before, now, late)

    def _tell(self, before: float, now: float, late: float) -> None:
        self.times += 1
        self.longest = max(self.longest, late)
        self._disturbances.begin("machine starved", before, workspace="").ended = now


def _waits(processes: Iterable[int]) -> dict[Path, int]:
    found = {}
    for pid in processes:
        # Processes and threads end while they are looked at.
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):
                    found[task] = int((task / "schedstat").read_text().split()[1])
    return found
