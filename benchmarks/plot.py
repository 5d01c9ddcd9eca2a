"""A run as three pictures: CPU per query, added latency, memory per idle session.

Knows matplotlib, which is imported only when a picture is drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.record import CaseFacts, Run, SubjectFacts, prefix
from benchmarks.requirements import DIRECT
from benchmarks.summary import Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {
    "accode": "#1b6ca8",
    "against": "#7fb3d5",
    "pgbouncer": "#e08e0b",
    "router": "#e08e0b",
    "haproxy": "#7a7a7a",
}

_LONG = ("tpcb", "read")


def draw(run: Run, folder: Path) -> list[str]:
    """Draw what the run has figures for; returns the names of the files."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    drawn = []
    for name, title, unit, metric, group, is_added in (
        ("cpu", "Proxy CPU per query", "us", "cpu_us", "queries", False),
        ("latency", "Median latency added to direct", "us", "p50_us", "queries", True),
        ("memory", "Memory per idle session (RSS)", "KB", "rss_per_session_kb", "idle", False),
    ):
        # A transaction of many statements: its bars would flatten all the others.
        cases = [c for c in run.cases if c.group == group and not c.name.startswith(_LONG)]
        subjects = [s for s in run.subjects if s.name != DIRECT and _has_part(run, s, cases)]
        figures = {
            (case.name, subject.name): found
            for case in cases
            for subject in subjects
            if (found := _figure(run, case, subject, metric, is_added)) is not None
        }
        cases = [case for case in cases if any(key[0] == case.name for key in figures)]
        if not cases:
            continue
        # Wide enough for a group of bars and its label, in inches.
        picture, axes = plt.subplots(figsize=(max(5.0, 1.15 * len(cases) + 2), 4.0))
        _bars(axes, cases, subjects, figures)
        if metric == "cpu_us":
            _kernel_shares(axes, run, cases, subjects)
        axes.set_title(title + (", the kernel's part hatched" if metric == "cpu_us" else ""))
        axes.set_ylabel(f"{unit}, median; lines: smallest to largest")
        axes.legend(frameon=False)
        picture.tight_layout()
        file = f"{prefix(run.protocol)}latest-{name}.png"
        picture.savefig(folder / file, dpi=130)
        plt.close(picture)
        drawn.append(file)
    return drawn


def _has_part(run: Run, subject: SubjectFacts, cases: list[CaseFacts]) -> bool:
    return any(
        entry.subject == subject.name and entry.case == case.name
        for entry in run.rounds
        for case in cases
    )


def _figure(
    run: Run, case: CaseFacts, subject: SubjectFacts, metric: str, is_added: bool
) -> Spread | None:
    if is_added:
        return run.results.difference(case.name, subject.name, DIRECT, metric)
    return run.results.value(case.name, subject.name, metric)


def _bars(
    axes: Axes,
    cases: list[CaseFacts],
    subjects: list[SubjectFacts],
    figures: dict[tuple[str, str], Spread],
) -> None:
    width = 0.8 / len(subjects)
    for column, subject in enumerate(subjects):
        found = [
            (row + width * (column - (len(subjects) - 1) / 2), figures[case.name, subject.name])
            for row, case in enumerate(cases)
            if (case.name, subject.name) in figures
        ]
        if not found:
            continue
        places = [place for place, _ in found]
        heights = [value.median for _, value in found]
        below = [value.median - value.low for _, value in found]
        above = [value.high - value.median for _, value in found]
        bars = axes.bar(
            places,
            heights,
            width * 0.92,
            yerr=[below, above],
            label=subject.title + ("" if subject.ends_tls else " (passes TLS on)"),
            color=_COLOURS.get(subject.name),
            error_kw={"linewidth": 0.8},
        )
        axes.bar_label(bars, fmt="%.0f", fontsize=7, padding=2)
    axes.set_xticks(range(len(cases)), [_label(case.name) for case in cases], fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _kernel_shares(
    axes: Axes, run: Run, cases: list[CaseFacts], subjects: list[SubjectFacts]
) -> None:
    width = 0.8 / len(subjects)
    for column, subject in enumerate(subjects):
        for row, case in enumerate(cases):
            found = run.results.value(case.name, subject.name, "cpu_kernel_us")
            if found is not None:
                place = row + width * (column - (len(subjects) - 1) / 2)
                axes.bar(
                    [place], [found.median], width * 0.92,
                    fill=False, hatch="////", edgecolor="white", linewidth=0,
                )  # fmt: skip


def _label(case: str) -> str:
    """Shorter words for an axis: ``simple-tls-8`` is "simple TLS" over "8 clients"."""
    words, _, clients = case.rpartition("-")
    if not clients.isdigit():
        return "TLS" if case.endswith("-tls") else "plain"
    words = words.replace("-tls", " TLS")
    return f"{words}\n{clients} client{'' if clients == '1' else 's'}"
