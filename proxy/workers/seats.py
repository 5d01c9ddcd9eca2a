"""Which seats are taken, and which one a new worker gets.

A seat is what a worker has of what they share: its region of the counts, its audit chain, its
numbers of sessions. No two may ever have the same at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from proxy.workers.member import WorkerFailed


class Seats:
    """So many seats; ``on_change`` is told which are taken."""

    def __init__(self, count: int, on_change: Callable[[list[int]], None]) -> None:
        self._count = count
        self._on_change = on_change
        # Those of every worker, also of those that are not quite there.
        self._taken: set[int] = set()
        self._kept_free: set[int] = set()
        self._unfinished: list[int] = []

    @property
    def taken(self) -> list[int]:
        """Those that workers have."""
        return sorted(self._taken)

    def has_free(self, count: int) -> bool:
        """Whether so many more workers may be started."""
        return len(self._free()) >= count

    def take(self) -> int:
        """One whose last worker has left something first, so that it is recovered soon.

        Raises WorkerFailed where none is free.
        """
        free = self._free()
        if not free:
            raise WorkerFailed("too many old workers are still draining")
        seat = next((seat for seat in self._unfinished if seat in free), free[0])
        self._unfinished = [other for other in self._unfinished if other != seat]
        self._taken.add(seat)
        self._on_change(self.taken)
        return seat

    def leave(self, seat: int, *, is_unfinished: bool = False) -> None:
        """Its worker is gone. ``is_unfinished``: without having finished what was its own."""
        self._taken.discard(seat)
        if is_unfinished:
            self._unfinished.append(seat)
        self._on_change(self.taken)

    def keep_free(self, seats: Iterable[int]) -> None:
        """Give these to nobody: what their last workers left is being recovered."""
        self._kept_free.update(seats)

    def give_back(self, seats: Iterable[int]) -> None:
        """The opposite."""
        self._kept_free.difference_update(seats)

    def _free(self) -> list[int]:
        unfree = self._taken | self._kept_free
        return [seat for seat in range(self._count) if seat not in unfree]
