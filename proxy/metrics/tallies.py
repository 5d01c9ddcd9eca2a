"""Plain counters and histograms. Knows nothing of Prometheus.

``prometheus_client``'s own take a lock and a label look-up for each observation,
several microseconds in all; these are one or two list operations. They are written
by the event loop's thread alone and may be read by any: what a reader copies, it
copies in one operation that holds the interpreter's lock.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=str)


class Histogram:
    """Counts of observations by their size, against fixed upper edges."""

    def __init__(self, edges: Sequence[float]) -> None:
        self.edges = tuple(edges)
        # One count for each edge, one for what is above them all, and the sum. The
        # number of observations is the sum of the counts, so the two always agree.
        self._cells = array("d", bytes(8 * (len(self.edges) + 2)))
        self._bounds = array("d", self.edges)
        self._last = len(self.edges)

    def observe(self, value: float) -> None:
        """Count one observation; an edge belongs to the bucket below it."""
        # From the small end: most observations are small, and compiled this is a few
        # comparisons where a call of bisect costs a tenth of a microsecond.
        index = 0
        while index < self._last and value > self._bounds[index]:
            index += 1
        self._cells[index] += 1
        self._cells[self._last + 1] += value

    def read(self) -> tuple[list[tuple[str, float]], float]:
        """The cumulative buckets as (upper edge, count), and the sum."""
        cells = array("d", self._cells)
        total = 0.0
        buckets = []
        for edge, count in zip((*self.edges, None), cells[:-1], strict=True):
            total += count
            buckets.append(("+Inf" if edge is None else _edge(edge), total))
        return buckets, cells[-1]


class Tally(Generic[K]):
    """Counts by one label, whose values are known beforehand: a stranger is a bug."""

    __slots__ = ("_counts",)

    def __init__(self, labels: Iterable[K]) -> None:
        self._counts: dict[K, int] = dict.fromkeys(labels, 0)

    def add(self, label: K, count: int = 1) -> None:
        """Count. Raises KeyError for a label that was not announced."""
        self._counts[label] += count

    def read(self) -> dict[K, int]:
        """A copy of all counts."""
        return self._counts.copy()


def _edge(value: float) -> str:
    # Prometheus compares edges as text, and its Go client writes 1.0 and not 1.
    return repr(float(value))
