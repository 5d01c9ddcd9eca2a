"""The figures that must be reached, as ratios within one run. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.builds import OURS
from benchmarks.summary import Results, Spread

DIRECT, POOLER, RELAY = "direct", "pgbouncer", "haproxy"
JUDGED = "accode-policy"
SHARED, SHARED_POOLER = "accode-transaction", "pgbouncer-transaction"
SHARED_ROUTER, SHARED_WORKERS = "odyssey-transaction", "accode-workers-transaction"

MAX_CPU_RATIO = 1.3
MAX_ADDED_MICROSECONDS = 20.0
MIN_BULK_RATE = 0.95
MAX_BULK_CPU_RATIO = 1.0
MAX_SHARED_CPU_RATIO = 1.2
MIN_CONNECT_RATE, MIN_LIGHT_CONNECT_RATE = 2.0, 3.0
MAX_CONNECT_CPU_RATIO = 4.0
MAX_CROWDED_P99 = 1.5
MAX_P99_BESIDE_EXPORT = 1.1
MAX_STALLED_KB = 4096.0
MAX_IDLE_KB = 32.0
MAX_IDLE_TLS_KB = 100.0
MAX_POLICY_CPU_RATIO = 1.1
MAX_POLICY_MICROSECONDS = 20.0
# "The same": within what two runs of one and the same store differ by.
MAX_LOGIN_RATIO = 1.25
MAX_START_SECONDS = 2.0
LARGE_STORE = {"workspaces": 10_000, "tokens": 100_000, "sources": 50_000}


class How(enum.Enum):
    """What is held against the limit."""

    # The middle round's multiple of, or difference to, another subject's figure.
    RATIO = "ratio"
    LEAST_RATIO = "ratio, at least"
    DIFFERENCE = "difference"
    # A bound on memory holds for the worst round, not for the middle one.
    WORST = "worst"
    # A ratio that is within one measurement already: the middle round's.
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One figure of one case. ``subject`` is judged, ``other`` is what it is compared with."""

    text: str
    how: How
    case: str
    metric: str
    limit: float
    unit: str = "x"
    other: str = ""
    subject: str = OURS


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line: what is asked, what was measured; ``is_reached`` None: not measured."""

    text: str
    limit: str
    figure: str
    is_reached: bool | None


_MEMORY = (
    *(
        Requirement(
            f"growth of RSS while a reader has stopped, {words}",
            How.WORST, case, "growth_stalled_kb", MAX_STALLED_KB, " KB",
        )
        for case, words in (("stalled", "plain"), ("stalled-tls", "TLS"))
    ),
    *(
        Requirement(
            f"RSS per idle session, {words}", How.WORST, case, "rss_per_session_kb", limit, " KB"
        )
        for case, words, limit in (
            ("idle", "plain", MAX_IDLE_KB),
            ("idle-tls", "TLS to the client", MAX_IDLE_TLS_KB),
        )
    ),
)  # fmt: skip

_POLICIES = (
    Requirement(
        "a read-only policy, repeated statements: proxy CPU to none",
        How.RATIO, "policy-repeated", "cpu_us", MAX_POLICY_CPU_RATIO, "x", OURS, JUDGED,
    ),
    Requirement(
        "a read-only policy, a new text each time: proxy CPU of a short statement, more than with "
        "none",
        How.DIFFERENCE, "policy-literals", "cpu_us", MAX_POLICY_MICROSECONDS, " us", OURS, JUDGED,
    ),
)  # fmt: skip


def _bulk(case: str, words: str, peer: str, peer_words: str) -> tuple[Requirement, Requirement]:
    return (
        Requirement(
            f"a million rows, {words}: rate to direct",
            How.LEAST_RATIO, case, "rows_per_s", MIN_BULK_RATE, "x", DIRECT,
        ),
        Requirement(
            f"a million rows, {words}: proxy CPU to {peer_words}",
            How.RATIO, case, "cpu_s", MAX_BULK_CPU_RATIO, "x", peer,
        ),
    )  # fmt: skip


def _shared(mode: str) -> tuple[Requirement, ...]:
    case, words = f"shared-{mode}-32", f"transaction pooling, 32 clients, {mode}"
    return (
        Requirement(
            f"{words}: rate to PgBouncer's",
            How.LEAST_RATIO, case, "tps", 1.0, "x", SHARED_POOLER, SHARED,
        ),
        Requirement(
            f"{words}: rate to Odyssey's",
            How.LEAST_RATIO, case, "tps", 1.0, "x", SHARED_ROUTER, SHARED,
        ),
        Requirement(
            f"{words}: proxy CPU to PgBouncer's",
            How.RATIO, case, "cpu_us", MAX_SHARED_CPU_RATIO, "x", SHARED_POOLER, SHARED,
        ),
        Requirement(
            f"{words}: p99/p50 to PgBouncer's",
            How.RATIO, case, "p99_to_p50", 1.0, "x", SHARED_POOLER, SHARED,
        ),
        Requirement(
            f"{words}, two workers: rate to PgBouncer's one process",
            How.LEAST_RATIO, case, "tps", 1.0, "x", SHARED_POOLER, SHARED_WORKERS,
        ),
    )  # fmt: skip


_CONNECTS = (
    Requirement(
        "connect, one statement, close; TLS, SCRAM: rate to direct",
        How.LEAST_RATIO, "connect-tls-scram4096", "tps", MIN_CONNECT_RATE, "x", DIRECT,
    ),
    Requirement(
        "connect, one statement, close; TLS, SCRAM: rate to PgBouncer's",
        How.LEAST_RATIO, "connect-tls-scram4096", "tps", 1.0, "x", POOLER,
    ),
    Requirement(
        "connect, one statement, close; TLS, SCRAM: proxy CPU to PgBouncer's",
        How.RATIO, "connect-tls-scram4096", "cpu_us", MAX_CONNECT_CPU_RATIO, "x", POOLER,
    ),
    Requirement(
        "connect, one statement, close; TLS, SCRAM with 1 iteration: rate to direct",
        How.LEAST_RATIO, "connect-tls-scram1", "tps", MIN_LIGHT_CONNECT_RATE, "x", DIRECT,
    ),
)  # fmt: skip

POSTGRES = (
    *(
        Requirement(
            f"proxy CPU per simple query with audit on, {words}, to PgBouncer's",
            How.RATIO, case, "cpu_us", MAX_CPU_RATIO, "x", POOLER,
        )
        for case, words in (
            ("simple-8", "8 clients, plain"),
            ("simple-tls-8", "8 clients, TLS to the client"),
            ("simple-1", "1 client, plain"),
            ("simple-32", "32 clients, plain"),
        )
    ),
    *(
        Requirement(
            f"p50 at 1 client, {words}, more than PgBouncer's",
            How.DIFFERENCE, case, "p50_us", MAX_ADDED_MICROSECONDS, " us", POOLER,
        )
        for case, words in (("simple-1", "simple"), ("prepared-1", "prepared"))
    ),
    *_bulk("select-rows", "SELECT", POOLER, "PgBouncer's"),
    *_bulk("copy-out", "COPY to the client", POOLER, "PgBouncer's"),
    *_bulk("copy-in", "COPY to the server", POOLER, "PgBouncer's"),
    *_MEMORY,
    *_POLICIES,
    *_CONNECTS,
    *_shared("simple"),
    *_shared("prepared"),
    Requirement(
        "p99 of 8 active clients beside a crowd of idle ones on 20 connections, to alone",
        How.WORST, "crowd-8", "p99_to_alone", MAX_CROWDED_P99, "x", "", SHARED,
    ),
    Requirement(
        "p99 of simple queries, 1 client, beside an export of CSV over HTTP, to alone",
        How.VALUE, "export-1", "p99_to_alone", MAX_P99_BESIDE_EXPORT,
    ),
)  # fmt: skip

MYSQL = (
    *(
        Requirement(
            f"proxy CPU per point select with audit on, {mode}, {clients}, to HAProxy TCP's",
            How.RATIO, f"select-{mode}-{number}", "cpu_us", MAX_CPU_RATIO, "x", RELAY,
        )
        for mode in ("prepared", "text")
        for number, clients in ((8, "8 clients"), (1, "1 client"), (32, "32 clients"))
    ),
    _bulk("select-rows", "SELECT", RELAY, "HAProxy TCP's")[0],
    *_MEMORY,
    *_POLICIES,
)  # fmt: skip


def judge(results: Results, requirements: Iterable[Requirement]) -> list[Verdict]:
    """Every requirement, in its order; a run that cannot answer one says so."""
    return [_verdict(results, requirement) for requirement in requirements]


def _verdict(results: Results, asked: Requirement) -> Verdict:
    least = asked.how is How.LEAST_RATIO
    limit = f"at {'least' if least else 'most'} {asked.limit:g}{asked.unit}"
    found = _measured(results, asked)
    if found is None:
        return Verdict(asked.text, limit, "not measured", None)
    digits = 2 if asked.unit == "x" else 1
    shape = f"{{:.{digits}f}}"
    figure = (
        f"{shape.format(found.median)}{asked.unit} "
        f"({shape.format(found.low)}..{shape.format(found.high)})"
    )
    if least:
        is_reached = found.median >= asked.limit
    elif asked.how is How.WORST:
        is_reached = found.high <= asked.limit
    else:
        is_reached = found.median <= asked.limit
    return Verdict(asked.text, limit, figure, is_reached)


def _measured(results: Results, asked: Requirement) -> Spread | None:
    match asked.how:
        case How.WORST | How.VALUE:
            return results.value(asked.case, asked.subject, asked.metric)
        case How.DIFFERENCE:
            return results.difference(asked.case, asked.subject, asked.other, asked.metric)
        case _:
            return results.ratio(asked.case, asked.subject, asked.other, asked.metric)


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
    large = measured["large"]
    ratios = sorted(measured["login_large_to_small"])
    ratio = ratios[len(ratios) // 2]
    seconds = large["open_store_s"] + large["directory_current_s"]
    resident = large["rss_kb"]
    grown = (max(resident.values()) - resident["before_opening"]) / 1024
    return [
        Verdict(
            login,
            asked[0],
            f"{ratio:.2f}x ({ratios[0]:.2f}..{ratios[-1]:.2f})",
            ratio <= MAX_LOGIN_RATIO,
        ),
        Verdict(start, asked[1], f"{seconds:.3f} s", seconds < MAX_START_SECONDS),
        Verdict(memory, asked[2], f"{grown:.1f} MB", is_reached=True),
    ]
