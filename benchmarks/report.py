"""A run as Markdown: verdicts first, then the tables, then how it was measured. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.builds import AGAINST, OURS
from benchmarks.comparison import compare, rows
from benchmarks.method import describe_method
from benchmarks.record import CaseFacts, Run
from benchmarks.requirements import DIRECT, Verdict
from benchmarks.subjects import SHARED_SUFFIX
from benchmarks.summary import Results, Spread

# Above this the machine was not ours alone, and the report says so.
_QUIET_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class _Column:
    """A figure of a case's table; ``against``: as a ratio or difference to that subject."""

    heading: str
    metric: str
    digits: int = 1
    against: str | None = None
    is_difference: bool = False
    shows_spread: bool = False


_Group = tuple[str, tuple[_Column, ...]]


def _groups(peer: str, title: str) -> dict[str, _Group]:
    """The tables of each group of cases; ``peer`` is who ours is compared with."""
    return {
        "queries": (
            "Queries",
            (
                _Column("per second", "tps", 0, shows_spread=True),
                _Column("to direct", "tps", 2, against=DIRECT),
                _Column(f"to {title}", "tps", 2, against=peer),
                _Column("p50 us", "p50_us", 0),
                _Column("added p50 us", "p50_us", 0, DIRECT, is_difference=True, shows_spread=True),
                _Column("p99 us", "p99_us", 0, shows_spread=True),
                *_cpu("us", 1, peer, title),
            ),
        ),
        "policies": (
            "A policy on statements",
            (
                _Column("per second", "tps", 0, shows_spread=True),
                _Column("p50 us", "p50_us", 0),
                _Column("p99 us", "p99_us", 0, shows_spread=True),
                _Column("CPU us", "cpu_us", 1, shows_spread=True),
                _Column("to no policy", "cpu_us", 2, OURS, shows_spread=True),
                _Column(
                    "more than no policy", "cpu_us", 1, OURS, is_difference=True, shows_spread=True
                ),
            ),
        ),
        "sharing": (
            "Transaction pooling",
            (
                _Column("per second", "tps", 0, shows_spread=True),
                _Column(f"to {title}", "tps", 2, against=peer + SHARED_SUFFIX),
                _Column("p50 us", "p50_us", 0),
                _Column("p99 us", "p99_us", 0, shows_spread=True),
                _Column("p99 to p50", "p99_to_p50", 2),
                *_cpu("us", 1, peer + SHARED_SUFFIX, title),
            ),
        ),
        "crowd": (
            "{crowd:,} idle sessions on 20 connections, transaction pooling",
            (
                _Column("per second", "tps", 0, shows_spread=True),
                _Column("p99 us", "p99_us", 0, shows_spread=True),
                _Column("p99 us without them", "p99_alone_us", 0, shows_spread=True),
                _Column("ratio", "p99_to_alone", 2),
                _Column("RSS KB each", "rss_per_session_kb", 1, shows_spread=True),
                _Column("RSS KB", "rss_after_kb", 0),
            ),
        ),
        "beside": (
            "Beside an export of CSV through the admin endpoints",
            (
                _Column("p50 us", "p50_us", 0, shows_spread=True),
                _Column("alone", "p50_alone_us", 0),
                _Column("ratio", "p50_to_alone", 2, shows_spread=True),
                _Column("p99 us", "p99_us", 0, shows_spread=True),
                _Column("alone", "p99_alone_us", 0),
                _Column("ratio", "p99_to_alone", 2, shows_spread=True),
                _Column("p99 ratio beside psql's COPY", "p99_copy_to_alone", 2, shows_spread=True),
                _Column("MB/s exported", "exported_mb_per_s", 0),
            ),
        ),
        "connects": (
            "Connects (a login, one statement, a disconnect)",
            (
                _Column("per second", "tps", 0, shows_spread=True),
                _Column("to direct", "tps", 2, against=DIRECT),
                _Column(f"to {title}", "tps", 2, against=peer),
                _Column("mean connect us", "connect_us", 0, shows_spread=True),
                *_cpu("us", 0, peer, title),
            ),
        ),
        "bulk": (
            "{rows:,} rows in one statement",
            (
                _Column("rows per second", "rows_per_s", 0, shows_spread=True),
                _Column("to direct", "rows_per_s", 2, DIRECT, shows_spread=True),
                _Column(f"to {title}", "rows_per_s", 2, against=peer),
                *_cpu("s", 3, peer, title),
            ),
        ),
        "idle": (
            "{idle_sessions:,} idle sessions",
            (
                _Column("RSS KB each", "rss_per_session_kb", 1, shows_spread=True),
                _Column("PSS KB each", "pss_per_session_kb", 1, shows_spread=True),
                _Column("RSS before KB", "rss_before_kb", 0),
                _Column("RSS after KB", "rss_after_kb", 0),
            ),
        ),
        "stalled": (
            "A reader that stops for {stall_seconds:g} s in the middle of {stalled_mb:,.0f} MB",
            (
                _Column("RSS growth KB, stopped", "growth_stalled_kb", 0, shows_spread=True),
                _Column("while reading", "growth_reading_kb", 0, shows_spread=True),
                _Column("RSS before KB", "rss_before_kb", 0),
            ),
        ),
    }


def _cpu(unit: str, digits: int, peer: str, title: str) -> tuple[_Column, ...]:
    return (
        _Column(f"CPU {unit}", f"cpu_{unit}", digits, shows_spread=True),
        _Column("user", f"cpu_user_{unit}", digits),
        _Column("kernel", f"cpu_kernel_{unit}", digits),
        _Column(f"CPU to {title}", f"cpu_{unit}", 2, peer, shows_spread=True),
    )


def to_markdown(run: Run, verdicts: Sequence[Verdict], plots: Iterable[str] = ()) -> str:
    """The report. ``plots`` are names of picture files beside it."""
    parts = [
        f"# Accode Proxy: benchmark results, {run.database}",
        _provenance(run),
        *_warnings(run),
        "## What must be reached",
        _verdict_table(verdicts),
        *_comparison(run),
        *(f"![{name}]({name})" for name in plots),
        *_case_tables(run),
        *_store_scale(run),
        "## How it was measured",
        describe_method(run),
        *_versions(run),
    ]
    return "\n\n".join(parts) + "\n"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, of_words: bool = False) -> str:
    """A Markdown table; the columns after the first to the right, unless they hold words."""
    lines = [
        "| " + " | ".join(headings) + " |",
        "|---|" + ("---|" if of_words else "---:|") * (len(headings) - 1),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    return "\n".join(lines)


def _provenance(run: Run) -> str:
    modified = ", with uncommitted changes" if run.is_modified else ""
    return (
        f"Revision {run.revision}{modified}, {run.started}, {run.minutes:.1f} minutes, "
        f"rounds: {run.sizes.rounds}, windows of {run.sizes.seconds:g} s. "
        f"{run.machine['processor']}, {run.machine['cores']} cores, {run.machine['memory']}, "
        f"{run.machine['kernel']}, {run.machine['system']}."
    )


def _warnings(run: Run) -> list[str]:
    found = []
    if run.sizes.rounds < 3:
        found.append("**A short run: too few rounds to rely on.**")
    if run.busy_at_rest > _QUIET_SHARE:
        found.append(
            f"**The machine was not quiet: {run.busy_at_rest:.0%} of it was in use "
            "before the first load.**"
        )
    found += [
        f"**Failed: {failure.case} through {failure.subject}, round {failure.number + 1}: "
        f"{failure.reason}**"
        for failure in run.failures
    ]
    return found


def _verdict_table(verdicts: Sequence[Verdict]) -> str:
    words = {True: "reached", False: "**not reached**", None: "not measured"}
    return table(
        ("requirement", "asked", "measured", "verdict"),
        ((v.text, v.limit, v.figure, words[v.is_reached]) for v in verdicts),
        of_words=True,
    )


def _comparison(run: Run) -> list[str]:
    titles = [subject.title for subject in run.subjects if subject.name == AGAINST]
    if not titles:
        return []
    lines = compare(run.results, [case.name for case in run.cases])
    return [
        f"## Accode Proxy as a multiple of {titles[0]}",
        table(("case", "figure", "ratio", "in every round"), rows(lines), of_words=True),
    ]


def _case_tables(run: Run) -> list[str]:
    parts = []
    results = run.results
    titles = {subject.name: subject.title for subject in run.subjects}
    groups = _groups(run.peer, titles.get(run.peer, run.peer))
    for group, (heading, columns) in groups.items():
        cases = [case for case in run.cases if case.group == group and results.has(case.name)]
        if not cases:
            continue
        parts.append(
            "## "
            + heading.format(
                rows=run.sizes.rows,
                idle_sessions=run.sizes.idle_sessions,
                crowd=run.sizes.crowd,
                stall_seconds=run.sizes.stall_seconds,
                stalled_mb=run.sizes.stalled_rows / 1000,
            )
        )
        for case in cases:
            parts.append(f"**{case.title}** (`{case.name}`)")
            parts.append(_case_table(run, results, case, columns))
    return parts


def _case_table(run: Run, results: Results, case: CaseFacts, columns: Sequence[_Column]) -> str:
    lines = []
    for subject in run.subjects:
        cells = [_cell(results, case.name, subject.name, column) for column in columns]
        if any(cells):
            passes = case.tls and not subject.ends_tls
            lines.append((subject.title + (" (passes TLS on)" if passes else ""), *cells))
    return table(("", *(column.heading for column in columns)), lines)


def _cell(results: Results, case: str, subject: str, column: _Column) -> str:
    found: Spread | None
    if column.against is None:
        found = results.value(case, subject, column.metric)
    elif column.against == subject:
        return ""
    elif column.is_difference:
        found = results.difference(case, subject, column.against, column.metric)
    else:
        found = results.ratio(case, subject, column.against, column.metric)
    if found is None:
        return ""
    shape = f"{{:,.{column.digits}f}}"
    text = shape.format(found.median)
    if column.shows_spread and found.count > 1:
        text += f" ({shape.format(found.low)}..{shape.format(found.high)})"
    return text


def _store_scale(run: Run) -> list[str]:
    if run.store_scale is None:
        return []
    rows = [(name, str(value)) for name, value in flatten(run.store_scale)]
    return ["## A large store", table(("figure", "value"), rows)]


def flatten(value: object, prefix: str = "") -> list[tuple[str, str]]:
    """Nested dictionaries and lists as (dotted name, value) pairs, floats with 3 digits."""
    if isinstance(value, dict):
        pairs = [(str(key), entry) for key, entry in value.items()]
    elif isinstance(value, list):
        pairs = [(str(number), entry) for number, entry in enumerate(value)]
    else:
        return [(prefix, f"{value:.3f}" if isinstance(value, float) else str(value))]
    return [
        found
        for key, entry in pairs
        for found in flatten(entry, f"{prefix}.{key}" if prefix else key)
    ]


def _versions(run: Run) -> list[str]:
    return [
        table(
            ("subject", "version", "TLS to the client", "settings"),
            ((s.title, s.version, s.tls, s.notes) for s in run.subjects),
            of_words=True,
        ),
        table(("of Accode Proxy", "version"), run.python.items(), of_words=True),
    ]
