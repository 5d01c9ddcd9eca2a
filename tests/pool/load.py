"""Short sessions without a pause, in a few threads, and whatever went wrong for any of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.servers.waiting import wait_until


class Load:
    """``visit`` is one session, from login to end. ``failures`` are what went wrong."""

    def __init__(self, visit: Callable[[], None], threads: int = 6) -> None:
        self._visit = visit
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        self.served = 0
        self.failures: list[str] = []

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                self._visit()
                self.served += 1
            except Exception as error:  # noqa: BLE001 - whatever a driver raises is a failure
                self.failures.append(repr(error))

    def wait_for(self, count: int) -> None:
        """Until so many more sessions have been served."""
        wanted = self.served + count
        wait_until(lambda: self.served >= wanted, what=f"{count} more sessions")

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in self._threads:
                thread.join(30)
