"""The report of ``./run bench mysql``: medians of the rounds with their spread. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.summary import Results, Spread
from benchmarks.sysbench import Load

_HEAD = (
    "| case | subject | tps | tps to direct | p50 us | p99 us | added p50 us | CPU us a query |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def to_markdown(
    about: Mapping[str, str],
    subjects: Sequence[tuple[str, str, str, str]],
    loads: Sequence[Load],
    results: Results,
    failures: Sequence[str],
) -> str:
    """``subjects``: name, title, version and notes of each, in their order."""
    parts = [
        "# MySQL benchmarks\n\nMedian of the rounds (lowest to highest). Ratios and added latency "
        "compare the same round.\nCPU is the proxy's over the whole run, its clients' logins "
        "included.\n\n## Machine and versions\n\n",
        *(f"- {name}: {value}\n" for name, value in about.items()),
        "\n## Subjects\n\n",
        *(f"- {title}: {version}; {notes}\n" for _, title, version, notes in subjects),
        "\n## Results\n\n",
        _HEAD,
    ]
    for load in loads:
        for name, title, _, _ in subjects:
            figures = [
                _words(results.value(load.name, name, "tps"), 0),
                _words(results.ratio(load.name, name, "direct", "tps"), 2),
                _words(results.value(load.name, name, "p50_us"), 0),
                _words(results.value(load.name, name, "p99_us"), 0),
                _words(results.difference(load.name, name, "direct", "p50_us"), 0),
                _words(results.value(load.name, name, "cpu_us"), 1),
            ]
            parts.append(f"| {load.title} | {title} | {' | '.join(figures)} |\n")
    if failures:
        parts += ["\n## Failed\n\n", *(f"- {words}\n" for words in failures)]
    return "".join(parts)


def _words(found: Spread | None, digits: int) -> str:
    if found is None:
        return "-"
    return f"{found.median:,.{digits}f} ({found.low:,.{digits}f} to {found.high:,.{digits}f})"
