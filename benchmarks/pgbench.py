"""Cases that pgbench drives: transactions per second, latency, proxy CPU per transaction.

Knows pgbench's options and its transaction log. Figures come from a window inside of each run,
so that logins before it and the end after it count for nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Audience, Bench, Sizes, Subject
from benchmarks.processes import BenchmarkError, scratch_folder
from benchmarks.servers import find_postgres
from benchmarks.summary import Metrics, percentile
from benchmarks.window import expected_seconds, run_seconds, run_window

# The built-in TPC-B-like transaction: BEGIN, three UPDATEs, SELECT, INSERT, END.
_TPCB_STATEMENTS = 7
_SCRIPTS = {
    "connect": "SELECT 1;\n",
    "repeated": "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;\n",
    # Two billion texts: none is remembered, by nobody.
    "literals": "\\set aid random(1, 100000 * :scale)\n\\set other random(1, 2000000000)\n"
    "SELECT abalance, :other FROM pgbench_accounts WHERE aid = :aid;\n",
}
# pgbench writes its log with every transaction: memory, where there is some.
_LOG_PARENT = Path("/dev/shm")  # noqa: S108 - a fresh folder is made in it


@dataclass(frozen=True, slots=True)
class Transaction:
    """One line of pgbench's log: when it ended (UNIX time, seconds), how long it took (us)."""

    ended: float
    latency: float


def parse_log(lines: Iterable[str]) -> list[Transaction]:
    """Pgbench's per-transaction log (manual, pgbench, "Per-Transaction Logging").

    client_id transaction_no time script_no time_epoch time_us. A transaction that failed has
    a word in place of its time and is left out.
    """
    transactions = []
    for line in lines:
        fields = line.split()
        if len(fields) >= 6 and fields[2].isdigit():
            ended = int(fields[4]) + int(fields[5]) / 1e6
            transactions.append(Transaction(ended, float(fields[2])))
    return transactions


def parse_failures(report: str) -> int:
    """The number of failed transactions in pgbench's closing report."""
    found = re.search(r"^number of failed transactions: (\d+)", report, re.MULTILINE)
    return int(found[1]) if found else 0


def parse_connect_time(report: str) -> float:
    """Average time of a connect in microseconds, which pgbench says after ``--connect``."""
    found = re.search(r"^average connection time = ([\d.]+) ms", report, re.MULTILINE)
    if not found:
        raise BenchmarkError("pgbench did not say how long a connect takes.")
    return float(found[1]) * 1000


def window_latencies(log: Iterable[Transaction], start: float, end: float) -> list[float]:
    """The latencies of the transactions that ended within the window, sorted."""
    return sorted(entry.latency for entry in log if start <= entry.ended < end)


@dataclass(frozen=True, slots=True)
class PgbenchCase:
    """One pgbench load.

    ``script``: "select" (-S), "tpcb", "connect" (-C, SELECT 1), "repeated" (one text again and
    again), or "literals" (no text comes twice).
    """

    name: str
    title: str
    script: str
    clients: int
    mode: str = "simple"
    tls: bool = False
    iterations: int = 4096
    group: str = "queries"
    audience: Audience = Audience.ALL
    rounds: int | None = None

    @property
    def threads(self) -> int:
        """One thread drives all the clients, but pgbench connects one after the other."""
        return self.clients if self.script == "connect" else 1

    @property
    def logins(self) -> int:
        """How many come one after the other before the run begins."""
        return self.clients // self.threads

    def expected_seconds(self, sizes: Sizes) -> float:
        """The run, which has whole seconds, and what is around it."""
        return expected_seconds(sizes, self.logins)

    def measure(self, bench: Bench, subject: Subject) -> Metrics:
        """Let it warm up and then measure for the window."""
        if self.script == "tpcb":
            # Without autovacuum; a subject shall not pay for the dead rows of the one before.
            bench.server.execute("VACUUM pgbench_branches, pgbench_tellers, pgbench_accounts")
        parent = _LOG_PARENT if _LOG_PARENT.is_dir() else None
        with scratch_folder(parent) as folder:
            return self._measure(bench, subject, folder)

    def _measure(self, bench: Bench, subject: Subject, folder: Path) -> Metrics:
        endpoint = subject.endpoint(tls=self.tls, iterations=self.iterations)
        window = run_window(
            self._command(bench.sizes, folder),
            subject,
            bench.sizes,
            folder,
            logins=self.logins,
            environment=endpoint.libpq_environment(),
        )
        failures = parse_failures(window.report)
        if failures:
            raise BenchmarkError(f"{failures} transactions through {subject.title} failed.")
        log = parse_log(
            line for path in folder.glob("log.*") for line in path.read_text().splitlines()
        )
        latencies = window_latencies(log, window.start, window.end)
        if not latencies:
            raise BenchmarkError(f"No transaction through {subject.title} ended in the window.")
        statements = _TPCB_STATEMENTS if self.script == "tpcb" else 1
        metrics: Metrics = {
            "tps": len(latencies) / window.seconds,
            "transactions": len(latencies),
            **window.machine(),
            **window.cpu_each(len(latencies) * statements),
        }
        if self.script == "connect":
            # pgbench's latency begins after the connect; of this it tells the average only.
            metrics["connect_us"] = parse_connect_time(window.report)
        else:
            metrics["p50_us"] = percentile(latencies, 50)
            metrics["p99_us"] = percentile(latencies, 99)
            metrics["p99_to_p50"] = metrics["p99_us"] / metrics["p50_us"]
        return metrics

    def _command(self, sizes: Sizes, folder: Path) -> list[str]:
        command = [
            str(find_postgres() / "pgbench"), "--no-vacuum", "-M", self.mode,
            "-T", str(run_seconds(sizes, self.logins)), "-c", str(self.clients),
            "-j", str(self.threads), "--log", f"--log-prefix={folder / 'log'}",
        ]  # fmt: skip
        if self.script == "tpcb":
            return command
        if self.script == "select":
            return [*command, "--select-only"]
        script = folder / "script.sql"
        script.write_text(_SCRIPTS[self.script])
        options = ["--connect"] if self.script == "connect" else [f"--define=scale={sizes.scale}"]
        return [*command, *options, "--file", str(script)]
