"""Notices when the machine had no time for us: then the proxy had none either.

A thread that sleeps 50 ms and wakes half a second late has been kept from running. What has
to come within a second by the proxy's own promise (the news of the store) then may not.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from tests.soak.disturbances import Disturbances

_SLEEP = 0.05
LATE = 0.5
"""Seconds. The store's word counts for one; half of it may be the proxy's own work."""


class StarvationWatch:
    """While it is entered, ``machine starved`` is told to the disturbances."""

    def __init__(self, disturbances: Disturbances) -> None:
        self._disturbances = disturbances
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="starvation", daemon=True)
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
        before = time.monotonic()
        while not self._stop.wait(_SLEEP):
            now = time.monotonic()
            self.note(before, now)
            before = now

    def note(self, before: float, now: float) -> None:
        """It slept from ``before`` to ``now``."""
        late = now - before - _SLEEP
        if late >= LATE:
            self.times += 1
            self.longest = max(self.longest, late)
            self._disturbances.begin("machine starved", before, workspace="").ended = now
