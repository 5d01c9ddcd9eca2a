"""From raw rounds to medians with their spread. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# The figures of one case, one subject, one round; a name's ending is its unit.
Metrics = dict[str, float]


@dataclass(frozen=True, slots=True)
class Round:
    """One raw measurement. ``position``: its place in the order of that round, from 0."""

    case: str
    subject: str
    number: int
    position: int
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds, the smallest and the largest."""

    median: float
    low: float
    high: float
    count: int


def median(values: Sequence[float]) -> float:
    """The middle value; the mean of the middle two."""
    return float(statistics.median(values))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of sorted, non-empty values."""
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[min(len(ordered), max(1, rank)) - 1]


def spread(values: Iterable[float]) -> Spread | None:
    """Median and range; None where there is no value."""
    found = list(values)
    if not found:
        return None
    return Spread(median(found), min(found), max(found), len(found))


class Results:
    """All rounds of a run, asked by case and subject."""

    def __init__(self, rounds: Iterable[Round]) -> None:
        self.rounds = tuple(rounds)
        self._by_key: dict[tuple[str, str], dict[int, Metrics]] = {}
        for entry in self.rounds:
            self._by_key.setdefault((entry.case, entry.subject), {})[entry.number] = entry.metrics

    def has(self, case: str) -> bool:
        """Whether anything was measured for the case."""
        return any(key[0] == case for key in self._by_key)

    def value(self, case: str, subject: str, metric: str) -> Spread | None:
        """The spread of one figure."""
        found = self._by_key.get((case, subject), {}).values()
        return spread(metrics[metric] for metrics in found if metric in metrics)

    def ratio(self, case: str, subject: str, other: str, metric: str) -> Spread | None:
        """The figure as a multiple of another subject's, each round against itself."""
        return spread(
            mine / theirs
            for mine, theirs in self._pairs(case, subject, other, metric)
            if theirs != 0
        )

    def difference(self, case: str, subject: str, other: str, metric: str) -> Spread | None:
        """The figure less another subject's, each round against itself."""
        return spread(mine - theirs for mine, theirs in self._pairs(case, subject, other, metric))

    def _pairs(self, case: str, subject: str, other: str, metric: str) -> list[tuple[float, float]]:
        mine = self._by_key.get((case, subject), {})
        theirs = self._by_key.get((case, other), {})
        return [
            (mine[number][metric], theirs[number][metric])
            for number in sorted(mine.keys() & theirs.keys())
            if metric in mine[number] and metric in theirs[number]
        ]
