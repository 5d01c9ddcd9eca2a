"""Who is measured when: every case through every subject in each round, in changing order.

Knows cases and subjects by their interfaces. Must never know what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.bench import Bench, Case
from benchmarks.processes import BenchmarkError
from benchmarks.subjects import Subject
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
    started = time.monotonic()
    for number in range(bench.sizes.rounds):
        for case in cases:
            if case.rounds is not None and number >= case.rounds:
                continue
            for position, subject in enumerate(in_turn(subjects, number)):
                clock = f"{time.monotonic() - started:5.0f} s"
                place = f"{clock}  round {number + 1}/{bench.sizes.rounds}  {case.name:<20}"
                try:
                    # Asking for the process also notices that it has died meanwhile.
                    if subject.pid is None and case.needs_proxy:
                        continue
                    metrics = case.measure(bench, subject)
                except (BenchmarkError, OSError) as error:
                    failures.append(Failure(case.name, subject.name, number, str(error)))
                    announce(f"{place} {subject.name:<10} FAILED: {error}")
                    subject.stop()
                    subject.start()
                    continue
                rounds.append(Round(case.name, subject.name, number, position, metrics))
                announce(f"{place} {subject.name:<10} {progress_words(metrics)}")
    return rounds, failures
