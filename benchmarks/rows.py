"""Bulk cases: a million rows by SELECT, and PostgreSQL's COPY out and COPY in.

The client is the minimal one of the server's protocol: one Python call per megabyte read, so
that the server or the proxy is what limits. psql, mysql and drivers are slower than both.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from benchmarks.bench import Audience, Bench, Sizes, Subject
from benchmarks.meters import CpuMeter
from benchmarks.processes import BenchmarkError
from benchmarks.sessions import Session
from benchmarks.summary import Metrics, median
from benchmarks.wire import RawClient

_ROWS_A_SECOND = 2_500_000
# Rows in one CopyData message: 50 KB or so, as psql and libpq users send them in blocks.
_ROWS_IN_CHUNK = 500


def copy_chunk() -> bytes:
    """The same 500 rows again and again, in COPY's text format (manual, COPY)."""
    filler = b"x" * 84
    return b"".join(
        b"%d\t%d\t%d\t%b\n" % (100_000 + number, number % 10, number * 7919 % 100_003, filler)
        for number in range(_ROWS_IN_CHUNK)
    )


@dataclass(frozen=True, slots=True)
class RowsCase:
    """One statement with many rows. ``direction``: "select", "copy-out" or "copy-in"."""

    name: str
    title: str
    direction: str
    tls: bool = False
    group: str = "bulk"
    audience: Audience = Audience.ALL
    rounds: int | None = None

    def expected_seconds(self, sizes: Sizes) -> float:
        """Every repeat, and the warm-up."""
        return 0.3 + sizes.bulk_repeats * sizes.rows / _ROWS_A_SECOND

    def measure(self, bench: Bench, subject: Subject) -> Metrics:
        """A short warm-up on the same session, then the median of the repeats."""
        chunk = copy_chunk()
        root = subject.pid
        meter = CpuMeter(root) if root is not None else None
        client = bench.server.connect(subject.endpoint(tls=self.tls))
        seconds: list[float] = []
        cpu: list[tuple[float, float]] = []
        with contextlib.closing(client):
            self._run(bench, client, min(bench.sizes.rows, 20_000), chunk)
            for _ in range(bench.sizes.bulk_repeats):
                if self.direction == "copy-in":
                    bench.server.execute("TRUNCATE bench_sink")
                before = meter.read() if meter else None
                start = time.perf_counter()
                self._run(bench, client, bench.sizes.rows, chunk)
                seconds.append(time.perf_counter() - start)
                if meter and before:
                    used = CpuMeter.between(before, meter.read())
                    cpu.append((used.user / 1e6, used.kernel / 1e6))
        rows = bench.sizes.rows
        metrics: Metrics = {
            "rows_per_s": rows / median(seconds),
            "elapsed_s": median(seconds),
            "transactions": rows,
        }
        if cpu:
            metrics["cpu_s"] = median([user + kernel for user, kernel in cpu])
            metrics["cpu_user_s"] = median([user for user, _ in cpu])
            metrics["cpu_kernel_s"] = median([kernel for _, kernel in cpu])
        return metrics

    def _run(self, bench: Bench, client: Session, rows: int, chunk: bytes) -> None:
        if self.direction == "copy-in":
            if not isinstance(client, RawClient):
                raise BenchmarkError("Only PostgreSQL has COPY.")
            rows -= rows % _ROWS_IN_CHUNK
            count = client.copy_in("COPY bench_sink FROM STDIN", chunk, rows // _ROWS_IN_CHUNK)
        else:
            query = bench.server.rows_query(rows)
            client.query(f"COPY ({query}) TO STDOUT" if self.direction == "copy-out" else query)
            count = client.drain().rows
        if count != rows:
            raise BenchmarkError(f"{rows} rows were expected, and {count} came.")
