"""Cases about the proxy's memory: idle sessions, and a client that stops reading.

The proxy is started afresh for each, so that memory freed by an earlier load hides nothing.
Kernel socket buffers and the server's own processes are not counted.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from benchmarks.bench import Audience, Bench, Sizes, Subject
from benchmarks.meters import read_memory, settled_memory
from benchmarks.processes import BenchmarkError
from benchmarks.summary import Metrics

# Sessions opened and closed first, so that what the first ones load or cache is not counted.
_WARM_SESSIONS = 20
_SAMPLE_SECONDS = 0.05
STALLED_ROW_BYTES = 1000
_BUFFER_BYTES = 1 << 16
# A restart, and memory that settles; a session opened with TLS; rows drained in a second.
_FRESH_SECONDS = 3.0
_SECONDS_A_SESSION = 0.004
_ROWS_A_SECOND = 400_000


def _fresh(bench: Bench, subject: Subject, tls: bool) -> int:
    """Start the proxy again and warm it; returns the root of its process tree."""
    subject.stop()
    subject.start()
    for _ in range(_WARM_SESSIONS):
        with contextlib.closing(bench.server.connect(subject.endpoint(tls=tls))) as client:
            client.query("SELECT 1")
            client.drain(seconds=20)
    root = subject.pid
    if root is None:
        raise BenchmarkError(f"{subject.title} has no process to measure.")
    return root


@dataclass(frozen=True, slots=True)
class IdleCase:
    """Many sessions that have each run one statement and then wait."""

    name: str
    title: str
    tls: bool = False
    group: str = "idle"
    audience: Audience = Audience.PROXIES
    # Memory repeats itself: two rounds show that it does.
    rounds: int | None = 2

    def expected_seconds(self, sizes: Sizes) -> float:
        """Most of it opens the sessions."""
        return _FRESH_SECONDS + _SECONDS_A_SESSION * sizes.idle_sessions

    def measure(self, bench: Bench, subject: Subject) -> Metrics:
        """Growth of RSS and PSS from no session to all of them, in KB per session."""
        root = _fresh(bench, subject, self.tls)
        count = bench.sizes.idle_sessions
        before = settled_memory(root)
        start = time.monotonic()
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                client = bench.server.connect(subject.endpoint(tls=self.tls))
                stack.callback(client.close)
                client.query("SELECT 1")
                client.drain(seconds=20)
            elapsed = time.monotonic() - start
            after = settled_memory(root)
        return {
            "sessions": count,
            "rss_per_session_kb": (after.rss - before.rss) / count,
            "pss_per_session_kb": (after.pss - before.pss) / count,
            "rss_before_kb": before.rss,
            "rss_after_kb": after.rss,
            "open_seconds": elapsed,
        }


@dataclass(frozen=True, slots=True)
class StalledCase:
    """A client reads half of a huge result, stops for some seconds, and reads the rest."""

    name: str
    title: str
    tls: bool = False
    group: str = "stalled"
    audience: Audience = Audience.PROXIES
    rounds: int | None = 2

    def expected_seconds(self, sizes: Sizes) -> float:
        """The stall, and both halves of the result."""
        return _FRESH_SECONDS + sizes.stall_seconds + sizes.stalled_rows / _ROWS_A_SECOND

    def measure(self, bench: Bench, subject: Subject) -> Metrics:
        """The highest RSS while the client does not read, over the RSS before the query."""
        root = _fresh(bench, subject, self.tls)
        rows = bench.sizes.stalled_rows
        before = settled_memory(root)
        peak_reading = peak_stalled = before.rss
        buffer = memoryview(bytearray(_BUFFER_BYTES))
        with contextlib.closing(bench.server.connect(subject.endpoint(tls=self.tls))) as client:
            client.query(bench.server.wide_query(rows, STALLED_ROW_BYTES))
            half = rows * STALLED_ROW_BYTES // 2
            seen = 0
            next_sample = time.monotonic()
            while seen < half:
                seen += client.read_some(buffer)
                if time.monotonic() >= next_sample:
                    peak_reading = max(peak_reading, read_memory(root).rss)
                    next_sample = time.monotonic() + _SAMPLE_SECONDS
            end = time.monotonic() + bench.sizes.stall_seconds
            while time.monotonic() < end:
                peak_stalled = max(peak_stalled, read_memory(root).rss)
                time.sleep(_SAMPLE_SECONDS)
            rest = client.drain()
        if rest.rows != rows:
            raise BenchmarkError(f"After the pause the result ended with {rest.rows} rows.")
        return {
            "result_mb": (seen + rest.size) / 1e6,
            "rss_before_kb": before.rss,
            "growth_stalled_kb": peak_stalled - before.rss,
            "growth_reading_kb": peak_reading - before.rss,
        }
