"""What sysbench 1.0 is told and what it says. Pure: starts nothing.

Manual: github.com/akopytov/sysbench, "Command line options"; MySQL options by
``sysbench oltp_point_select help``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchmarks.processes import BenchmarkError
from benchmarks.summary import Metrics

_HISTOGRAM_LINE = re.compile(r"^\s*(\d+\.\d+) \|\**\s+(\d+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Target:
    """Where sysbench connects, and as whom."""

    port: int
    user: str
    password: str
    database: str


@dataclass(frozen=True, slots=True)
class Load:
    """One sysbench load. ``script``: one of sysbench's own, or the path of a Lua file."""

    name: str
    title: str
    script: str
    clients: int
    tls: bool = False


def arguments(load: Load, target: Target, seconds: int, rows: int) -> list[str]:
    """The options for one run of ``seconds`` over a table of ``rows``."""
    words = [
        load.script, "--db-driver=mysql", "--mysql-host=127.0.0.1",
        f"--mysql-port={target.port}", f"--mysql-user={target.user}",
        f"--mysql-password={target.password}", f"--mysql-db={target.database}",
        f"--threads={load.clients}",
        f"--time={seconds}", "--events=0", "--histogram=on", "--mysql-ignore-errors=none",
    ]  # fmt: skip
    if load.script.startswith("oltp_"):
        # Options that its own scripts declare; another script would refuse them.
        words += ["--tables=1", f"--table-size={rows}"]
    if load.tls:
        # It takes cacert.pem, client-cert.pem and client-key.pem from the working directory.
        words.append("--mysql-ssl=on")
    return words


def parse_report(report: str) -> Metrics:
    """Transactions and queries, their rates, p50 and p99 in microseconds.

    The percentiles come from the histogram: each line is the upper end of a bucket in
    milliseconds. Raises BenchmarkError when a figure is missing or an event failed.
    """
    transactions, tps = _counted(report, "transactions")
    queries, _ = _counted(report, "queries")
    ignored, _ = _counted(report, "ignored errors")
    if transactions == 0:
        raise BenchmarkError("sysbench ended no transaction.")
    if ignored:
        raise BenchmarkError(f"sysbench ignored {ignored:.0f} errors.")
    buckets = [(float(value), int(count)) for value, count in _HISTOGRAM_LINE.findall(report)]
    if not buckets:
        raise BenchmarkError("sysbench printed no latency histogram.")
    return {
        "tps": tps,
        "transactions": transactions,
        "queries": queries,
        "p50_us": _percentile(buckets, 50) * 1000,
        "p99_us": _percentile(buckets, 99) * 1000,
    }


def _counted(report: str, name: str) -> tuple[float, float]:
    found = re.search(rf"^\s*{name}:\s+(\d+)\s+\(([\d.]+) per sec\.\)", report, re.MULTILINE)
    if found is None:
        raise BenchmarkError(f"sysbench did not say its {name}.")
    return float(found[1]), float(found[2])


def _percentile(buckets: list[tuple[float, int]], percent: float) -> float:
    wanted = sum(count for _, count in buckets) * percent / 100
    seen = 0
    for value, count in buckets:
        seen += count
        if seen >= wanted:
            return value
    return buckets[-1][0]
