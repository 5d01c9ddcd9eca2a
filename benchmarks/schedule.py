"""Who is measured when: every case through every subject in each round, in changing order.

Knows cases and subjects by their interfaces. Must never know what is measured.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.bench import Bench, Case, Sizes, Subject
from benchmarks.processes import BenchmarkError
from benchmarks.summary import Metrics, Round

_Item = TypeVar("_Item")

# The figures shown in a progress line, the first ones that a round has.
_SHOWN = (
    ("tps", "{:,.0f}/s"),
    ("p50_us", "p50 {:.0f} us"),
    ("cpu_us", "CPU {:.1f} us"),
    ("rows_per_s", "{:,.0f} rows/s"),
    ("cpu_s", "CPU {:.3f} s"),
    ("rss_per_session_kb", "{:.1f} KB each"),
    ("growth_stalled_kb", "+{:,.0f} KB"),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A measurement that did not come about, and why."""

    case: str
    subject: str
    number: int
    reason: str


def in_turn(items: Sequence[_Item], number: int) -> list[_Item]:
    """The order of a round: each comes first in its turn, and neighbours change places.

    Who comes right after whom would matter to a comparison of two of them.
    """
    count = len(items)
    if count == 0:
        return []
    start = number % count
    following = [*items[start:], *items[:start]]
    return following if number % 2 == 0 else [following[0], *reversed(following[1:])]


def progress_words(metrics: Metrics) -> str:
    """The most telling figures of a round."""
    return ", ".join(shape.format(metrics[name]) for name, shape in _SHOWN if name in metrics)


@dataclass(frozen=True, slots=True)
class Turn:
    """One measurement to come. ``position``: its place in the order of that round, from 0."""

    number: int
    position: int
    case: Case
    subject: Subject


def plan(cases: Sequence[Case], subjects: Sequence[Subject], rounds: int) -> list[Turn]:
    """Everything that is to be measured, in order."""
    turns = []
    for number in range(rounds):
        for case in cases:
            if case.rounds is not None and number >= case.rounds:
                continue
            taking_part = [one for one in subjects if case.audience.includes(one)]
            turns += [
                Turn(number, position, case, subject)
                for position, subject in enumerate(in_turn(taking_part, number))
            ]
    return turns


class Forecast:
    """How long the rest takes: a case that was measured as it did, another as is expected."""

    def __init__(self, turns: Sequence[Turn], sizes: Sizes) -> None:
        self._left = Counter(turn.case.name for turn in turns)
        self._guess = {turn.case.name: turn.case.expected_seconds(sizes) for turn in turns}
        self._spent: dict[str, list[float]] = {}

    def note(self, case: str, seconds: float) -> None:
        """One measurement of the case is done, and took so long."""
        self._left[case] -= 1
        self._spent.setdefault(case, []).append(seconds)

    def seconds(self) -> float:
        """Until everything is done."""
        return sum(count * self._each(case) for case, count in self._left.items())

    def _each(self, case: str) -> float:
        spent = self._spent.get(case)
        return sum(spent) / len(spent) if spent else self._guess[case]


def minutes_words(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def run_rounds(
    bench: Bench,
    cases: Sequence[Case],
    subjects: Sequence[Subject],
    announce: Callable[[str], None],
) -> tuple[list[Round], list[Failure]]:
    """Measure everything. A failure is kept and the subject started afresh.

    Raises BenchmarkError when a subject does not start again.
    """
    rounds: list[Round] = []
    failures: list[Failure] = []
    turns = plan(cases, subjects, bench.sizes.rounds)
    forecast = Forecast(turns, bench.sizes)
    announce(f"{len(turns)} measurements, about {minutes_words(forecast.seconds())} minutes")
    for turn in turns:
        name, subject = turn.case.name, turn.subject
        started = time.monotonic()
        try:
            metrics = turn.case.measure(bench, subject)
        except (BenchmarkError, OSError) as error:
            failures.append(Failure(name, subject.name, turn.number, str(error)))
            words = f"FAILED: {error}"
            subject.stop()
            subject.start()
        else:
            rounds.append(Round(name, subject.name, turn.number, turn.position, metrics))
            words = progress_words(metrics)
        forecast.note(name, time.monotonic() - started)
        announce(
            f"{minutes_words(forecast.seconds()):>5} left  "
            f"round {turn.number + 1}/{bench.sizes.rounds}  {name:<20} {subject.name:<15} {words}"
        )
    return rounds, failures
