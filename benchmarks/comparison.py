"""Two builds of Accode Proxy beside each other: ratios within each round of one run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.builds import AGAINST, OURS
from benchmarks.summary import Results, Spread

# What is compared, where a case has it, and whether less of it is better.
METRICS = (
    ("tps", "per second", False),
    ("p50_us", "p50", True),
    ("p99_us", "p99", True),
    ("cpu_us", "CPU", True),
    ("connect_us", "mean connect", True),
    ("rows_per_s", "rows per second", False),
    ("cpu_s", "CPU", True),
    ("rss_per_session_kb", "RSS each", True),
    ("growth_stalled_kb", "RSS growth", True),
)
_MIN_ROUNDS = 3
Line = tuple[str, str, Spread, str]
"""A case, a figure's name, this build's as a multiple of the other's, and a word on it."""


def compare(results: Results, cases: Iterable[str]) -> list[Line]:
    """Every figure that both builds have, in the order of the cases."""
    lines = []
    for case in cases:
        for metric, words, is_less_better in METRICS:
            found = results.ratio(case, OURS, AGAINST, metric)
            if found is not None:
                lines.append((case, words, found, _word(found, is_less_better)))
    return lines


def rows(lines: Sequence[Line]) -> list[tuple[str, str, str, str]]:
    """The same as words for a table."""
    return [
        (case, words, f"{found.median:.2f}x ({found.low:.2f}..{found.high:.2f})", word)
        for case, words, found, word in lines
    ]


def _word(found: Spread, is_less_better: bool) -> str:
    """Better or worse only where every one of several rounds says the same."""
    if found.count < _MIN_ROUNDS:
        return "too few rounds"
    if found.low <= 1 <= found.high:
        return "within the spread"
    return "better" if (found.high < 1) == is_less_better else "worse"
