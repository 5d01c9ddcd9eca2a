"""Cases that sysbench 1.0 drives: transactions per second, latency, proxy CPU per statement.

Manual: github.com/akopytov/sysbench, "Command line options"; MySQL options by
``sysbench oltp_point_select help``. Statements in the window are counted by the server.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Audience, Bench, Sizes, Subject
from benchmarks.machine import ROOT
from benchmarks.mysql_wire import MysqlClient
from benchmarks.processes import BenchmarkError, find_program, run
from benchmarks.sessions import Endpoint
from benchmarks.summary import Metrics
from benchmarks.window import expected_seconds, run_seconds, run_window

_HISTOGRAM_LINE = re.compile(r"^\s*(\d+\.\d+) \|\**\s+(\d+)\s*$", re.MULTILINE)
# The server's own counts, of all sessions: statements by text and prepared ones that were
# executed, and those of scripts/connect.lua. Not logins: a pool has fewer than its clients.
_COUNT = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = '{}'"
_QUESTIONS, _CONNECTS = _COUNT.format("QUESTIONS"), _COUNT.format("COM_DO")
_SCRIPTS = ROOT / "benchmarks" / "scripts"
# A thread for each client: they log in at the same time.
_LOGINS = 1
POINT_SELECT = "oltp_point_select"


def find_sysbench() -> str:
    """The path of the program. Raises BenchmarkError."""
    path = find_program("sysbench")
    if path is None:
        raise BenchmarkError("sysbench is not installed (Debian: apt-get install sysbench).")
    return path


@dataclass(frozen=True, slots=True)
class SysbenchCase:
    """One sysbench load. ``script``: one of sysbench's own, or a file of benchmarks/scripts."""

    name: str
    title: str
    script: str
    clients: int
    is_prepared: bool = True
    tls: bool = False
    group: str = "queries"
    audience: Audience = Audience.ALL
    rounds: int | None = None

    @property
    def is_own(self) -> bool:
        """Whether the script is one of sysbench's own."""
        return self.script.startswith("oltp_")

    def expected_seconds(self, sizes: Sizes) -> float:
        """The run, which has whole seconds, and what is around it."""
        return expected_seconds(sizes, _LOGINS)

    def measure(self, bench: Bench, subject: Subject) -> Metrics:
        """Let it warm up and then measure for the window."""
        is_connect = self.group == "connects"
        question = _CONNECTS if is_connect else _QUESTIONS
        with contextlib.closing(MysqlClient(bench.server.endpoint())) as client:
            window = run_window(
                self.command(find_sysbench(), subject.endpoint(tls=self.tls), bench.sizes),
                subject,
                bench.sizes,
                bench.folder,
                logins=_LOGINS,
                counter=lambda: client.number(question),
            )
        report = parse_report(window.report)
        # The question itself is one statement, and no connection.
        count = window.count - (0 if is_connect else 1)
        if count < 1:
            raise BenchmarkError(f"Nothing came through {subject.title} in the window.")
        each = 1 if is_connect else report["queries"] / report["transactions"]
        metrics: Metrics = {
            "tps": count / each / window.seconds,
            "transactions": count / each,
            **window.machine(),
            **window.cpu_each(count),
        }
        if is_connect:
            # A connect, the statement and the end: sysbench has no figure for the first alone.
            metrics["connect_us"] = report["mean_us"]
        else:
            metrics["p50_us"] = report["p50_us"]
            metrics["p99_us"] = report["p99_us"]
        return metrics

    def command(self, program: str, endpoint: Endpoint, sizes: Sizes) -> list[str]:
        """The words of one run of the program."""
        script = self.script if self.is_own else str(_SCRIPTS / self.script)
        words = [
            program, script, "--db-driver=mysql", f"--mysql-host={endpoint.host}",
            f"--mysql-port={endpoint.port}", f"--mysql-user={endpoint.user}",
            f"--mysql-password={endpoint.password}", f"--mysql-db={endpoint.database}",
            f"--threads={self.clients}", f"--time={run_seconds(sizes, _LOGINS)}", "--events=0",
            "--histogram=on", "--mysql-ignore-errors=none", "--rand-type=uniform",
            f"--db-ps-mode={'auto' if self.is_prepared else 'disable'}",
        ]  # fmt: skip
        if self.is_own:
            # Options that its own scripts declare; another script would refuse them.
            words += ["--tables=1", f"--table-size={sizes.sysbench_rows}"]
        if endpoint.tls:
            # It takes cacert.pem, client-cert.pem and client-key.pem from the working folder.
            words.append("--mysql-ssl=on")
        return [*words, "run"]


def prepare(endpoint: Endpoint, sizes: Sizes, folder: Path) -> None:
    """Make and fill the table of sysbench's own scripts."""
    case = SysbenchCase("prepare", "prepare", POINT_SELECT, 1)
    words = case.command(find_sysbench(), endpoint, sizes)
    run([*words[:-1], "prepare"], cwd=folder, seconds=300)


def parse_report(report: str) -> Metrics:
    """Transactions and queries, the rate, mean, p50 and p99 latency in microseconds.

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
    mean = re.search(r"^Latency \(ms\):$.*?^\s*avg:\s+([\d.]+)$", report, re.MULTILINE | re.DOTALL)
    if not buckets or mean is None:
        raise BenchmarkError("sysbench printed no latency histogram, or no mean.")
    return {
        "tps": tps,
        "transactions": transactions,
        "queries": queries,
        "mean_us": float(mean[1]) * 1000,
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
