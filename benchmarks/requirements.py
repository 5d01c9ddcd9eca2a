"""The figures that must be reached, as ratios within one run. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.summary import Results, Spread

OURS, POOLER, DIRECT = "accode", "pgbouncer", "direct"

MAX_CPU_RATIO = 1.3
MAX_ADDED_MICROSECONDS = 20.0
MIN_BULK_RATE = 0.95
MAX_BULK_CPU_RATIO = 1.0
MAX_STALLED_KB = 4096.0
MAX_IDLE_KB = 32.0
MAX_IDLE_TLS_KB = 100.0
# "The same": within what two runs of one and the same store differ by.
MAX_LOGIN_RATIO = 1.25
MAX_START_SECONDS = 2.0
LARGE_STORE = {"workspaces": 10_000, "tokens": 100_000, "sources": 50_000}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line: what is asked, what was measured; ``is_reached`` None: not measured."""

    text: str
    limit: str
    figure: str
    is_reached: bool | None


def judge(results: Results) -> list[Verdict]:
    """Every requirement that this run can answer, in the order of the plan."""
    verdicts = []
    for case, words in (
        ("simple-8", "8 clients, plain"),
        ("simple-tls-8", "8 clients, TLS to the client"),
        ("simple-1", "1 client, plain"),
        ("simple-32", "32 clients, plain"),
    ):
        verdicts.append(
            _at_most(
                f"proxy CPU per simple query with audit on, {words}, to PgBouncer's",
                results.ratio(case, OURS, POOLER, "cpu_us"),
                MAX_CPU_RATIO,
                "x",
            )
        )
    for case, words in (("simple-1", "simple"), ("prepared-1", "prepared")):
        verdicts.append(
            _at_most(
                f"p50 at 1 client, {words}, more than PgBouncer's",
                results.difference(case, OURS, POOLER, "p50_us"),
                MAX_ADDED_MICROSECONDS,
                " us",
            )
        )
    for case, words in (
        ("select-rows", "SELECT"),
        ("copy-out", "COPY to the client"),
        ("copy-in", "COPY to the server"),
    ):
        verdicts.append(
            _at_least(
                f"a million rows, {words}: rate to direct",
                results.ratio(case, OURS, DIRECT, "rows_per_s"),
                MIN_BULK_RATE,
                "x",
            )
        )
        verdicts.append(
            _at_most(
                f"a million rows, {words}: proxy CPU to PgBouncer's",
                results.ratio(case, OURS, POOLER, "cpu_s"),
                MAX_BULK_CPU_RATIO,
                "x",
            )
        )
    for case, words in (("stalled", "plain"), ("stalled-tls", "TLS")):
        growth = results.value(case, OURS, "growth_stalled_kb")
        verdicts.append(
            _worst_below(
                f"growth of RSS while a reader has stopped, {words}", growth, MAX_STALLED_KB
            )
        )
    for case, words, limit in (
        ("idle", "plain", MAX_IDLE_KB),
        ("idle-tls", "TLS to the client", MAX_IDLE_TLS_KB),
    ):
        growth = results.value(case, OURS, "rss_per_session_kb")
        verdicts.append(_worst_below(f"RSS per idle session, {words}", growth, limit))
    return verdicts


def judge_store(measured: dict[str, Any] | None) -> list[Verdict]:
    """The requirements on a large store, from what benchmarks.store_scale printed.

    A store that is smaller than asked for answers nothing.
    """
    login = "a login's look-ups in a large store, to those in one of ten workspaces"
    start = "opening a large store until a login can be answered"
    memory = "growth of RSS by a large store, logins cached"
    asked = (f"at most {MAX_LOGIN_RATIO:g}x", f"under {MAX_START_SECONDS:g} s", "is stated")
    is_large = measured is not None and all(
        measured["large"][name] >= count for name, count in LARGE_STORE.items()
    )
    if measured is None or not is_large:
        return [
            Verdict(text, limit, "not measured", None)
            for text, limit in zip((login, start, memory), asked, strict=True)
        ]
    small, large = measured["small"], measured["large"]
    ratio = large["login_from_store"]["p50_us"] / small["login_from_store"]["p50_us"]
    seconds = large["open_store_s"] + large["directory_current_s"]
    resident = large["rss_kb"]
    grown = (max(resident.values()) - resident["before_opening"]) / 1024
    return [
        Verdict(login, asked[0], f"{ratio:.2f}x", ratio <= MAX_LOGIN_RATIO),
        Verdict(start, asked[1], f"{seconds:.3f} s", seconds < MAX_START_SECONDS),
        Verdict(memory, asked[2], f"{grown:.1f} MB", is_reached=True),
    ]


def _figure(found: Spread, unit: str) -> str:
    digits = 2 if unit == "x" else 1
    return f"{found.median:.{digits}f}{unit} ({found.low:.{digits}f}..{found.high:.{digits}f})"


def _at_most(text: str, found: Spread | None, limit: float, unit: str) -> Verdict:
    asked = f"at most {limit:g}{unit}"
    if found is None:
        return Verdict(text, asked, "not measured", None)
    return Verdict(text, asked, _figure(found, unit), found.median <= limit)


def _at_least(text: str, found: Spread | None, limit: float, unit: str) -> Verdict:
    asked = f"at least {limit:g}{unit}"
    if found is None:
        return Verdict(text, asked, "not measured", None)
    return Verdict(text, asked, _figure(found, unit), found.median >= limit)


def _worst_below(text: str, found: Spread | None, limit: float) -> Verdict:
    """A bound on memory holds for the worst round, not for the middle one."""
    asked = f"at most {limit:g} KB"
    if found is None:
        return Verdict(text, asked, "not measured", None)
    return Verdict(text, asked, _figure(found, " KB"), found.high <= limit)
