"""Clients that come and go without a pause, and whatever went wrong for any of them."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from tests.conformance.driver import Told
from tests.conformance.office import Office
from tests.hostile.raw import Closed
from tests.servers.waiting import wait_until
from tests.workers.spread import seat_of

_CLIENTS = 3


class Churn:
    """Logs in, runs a statement, leaves; again and again, from several threads."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._stop = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(_CLIENTS)]
        self._lock = threading.Lock()
        self.served: dict[int, int] = {}
        """How many each seat has served."""
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        self.wait_for_more()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self.threads:
            thread.join(60)

    @property
    def count(self) -> int:
        """How many were served."""
        with self._lock:
            return sum(self.served.values())

    def wait_for_more(self, more: int = 20, *, despite_failures: bool = False) -> None:
        """Until so many more were served, or one failed."""
        wanted = self.count + more

        def is_enough() -> bool:
            return self.count >= wanted or (bool(self.failures) and not despite_failures)

        wait_until(is_enough, what="more clients")

    def wait_for(self, seats: set[int]) -> None:
        """Until each of these seats has served somebody."""
        wait_until(lambda: seats <= set(self.served), what="these seats to serve")

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._office.session() as session:
                    assert session.value("SELECT 'churn'") == "churn"
                    with self._lock:
                        seat = seat_of(session)
                        self.served[seat] = self.served.get(seat, 0) + 1
            except (Told, Closed, OSError, AssertionError) as error:
                with self._lock:
                    self.failures.append(repr(error))
