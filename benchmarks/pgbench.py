"""Cases that pgbench drives: transactions per second, latency, proxy CPU per transaction.

Knows pgbench's options and its transaction log. Figures come from a window inside of each run,
so that logins before it and the end after it count for nobody.
"""

from __future__ import annotations

import contextlib
import math
import re
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.meters import CpuMeter, machine_shares, read_machine_times
from benchmarks.processes import BenchmarkError, clean_environment, scratch_folder
from benchmarks.subjects import Subject
from benchmarks.summary import Metrics, percentile

# Every client has logged in and every cache is warm by then.
_WARM_SECONDS = 0.8
_PATIENCE_SECONDS = 30.0
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
    """One pgbench load. ``script``: "select" (-S), "tpcb", or "connect" (-C, SELECT 1)."""

    name: str
    title: str
    script: str
    clients: int
    mode: str = "simple"
    tls: bool = False
    iterations: int = 4096
    group: str = "queries"
    needs_proxy: bool = False
    rounds: int | None = None

    @property
    def threads(self) -> int:
        """One thread drives all the clients, but pgbench connects one after the other."""
        return self.clients if self.script == "connect" else 1

    def measure(self, bench: Bench, subject: Subject) -> Metrics:
        """Let it warm up and then measure for the window."""
        if self.script == "tpcb":
            # Without autovacuum; a subject shall not pay for the dead rows of the one before.
            bench.server.execute("VACUUM pgbench_branches, pgbench_tellers, pgbench_accounts")
        parent = _LOG_PARENT if _LOG_PARENT.is_dir() else None
        with scratch_folder(parent) as folder:
            return self._measure(bench, subject, folder)

    def _measure(self, bench: Bench, subject: Subject, folder: Path) -> Metrics:
        root = subject.pid
        meter = CpuMeter(root) if root is not None else None
        seconds = math.ceil(_WARM_SECONDS + bench.sizes.seconds)
        report = folder / "report"
        command = self._command(bench, folder, seconds)
        environment = subject.endpoint(tls=self.tls, iterations=self.iterations)
        with report.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=clean_environment(environment.libpq_environment()),
                start_new_session=True,
            )
        with contextlib.ExitStack() as stack:
            stack.callback(process.wait, _PATIENCE_SECONDS)
            stack.callback(process.kill)
            time.sleep(_WARM_SECONDS)
            machine_before = read_machine_times()
            start = time.time()
            before = meter.read() if meter else None
            time.sleep(bench.sizes.seconds)
            after = meter.read() if meter else None
            end = time.time()
            machine_after = read_machine_times()
            try:
                status = process.wait(_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                raise BenchmarkError(f"pgbench through {subject.title} did not end.") from None
        words = report.read_text(errors="replace")
        if status != 0 or parse_failures(words):
            last = " / ".join(words.strip().splitlines()[-3:])
            raise BenchmarkError(f"pgbench through {subject.title} failed: {last}")
        log = parse_log(
            line for path in folder.glob("log.*") for line in path.read_text().splitlines()
        )
        latencies = window_latencies(log, start, end)
        if not latencies:
            raise BenchmarkError(f"No transaction through {subject.title} ended in the window.")
        idle, stolen = machine_shares(machine_before, machine_after)
        metrics: Metrics = {
            "tps": len(latencies) / (end - start),
            "transactions": len(latencies),
            "seconds": end - start,
            "machine_idle": idle,
            "machine_stolen": stolen,
        }
        if self.script == "connect":
            # pgbench's latency begins after the connect; of this it tells the average only.
            metrics["connect_us"] = parse_connect_time(words)
        else:
            metrics["p50_us"] = percentile(latencies, 50)
            metrics["p99_us"] = percentile(latencies, 99)
        if before is not None and after is not None:
            used = CpuMeter.between(before, after)
            metrics["cpu_us"] = used.total / len(latencies)
            metrics["cpu_user_us"] = used.user / len(latencies)
            metrics["cpu_kernel_us"] = used.kernel / len(latencies)
        return metrics

    def _command(self, bench: Bench, folder: Path, seconds: int) -> list[str]:
        command = [
            bench.server.program("pgbench"), "--no-vacuum", "-M", self.mode, "-T", str(seconds),
            "-c", str(self.clients), "-j", str(self.threads), "--log",
            f"--log-prefix={folder / 'log'}",
        ]  # fmt: skip
        match self.script:
            case "select":
                return [*command, "--select-only"]
            case "connect":
                script = folder / "script.sql"
                script.write_text("SELECT 1;\n")
                return [*command, "--connect", "--file", str(script)]
            case _:
                return command
