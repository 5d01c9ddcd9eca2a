"""A crowd of idle sessions beside a few active ones, all on a few server connections."""

from __future__ import annotations

import contextlib
import resource
from dataclasses import dataclass, replace

from benchmarks.bench import Audience, Bench, Sizes, Subject
from benchmarks.meters import settled_memory
from benchmarks.pgbench import PgbenchCase
from benchmarks.processes import BenchmarkError
from benchmarks.summary import Metrics

_SECONDS_A_SESSION = 0.004
_SPARE_DESCRIPTORS = 200


@dataclass(frozen=True, slots=True)
class CrowdCase:
    """pgbench without the crowd, and with it; each idle session has run one statement."""

    name: str
    title: str
    active: PgbenchCase
    tls: bool = False
    group: str = "crowd"
    audience: Audience = Audience.SHARING
    # It is measured with and without the crowd in one round, and most of it is logins.
    rounds: int | None = 1

    def expected_seconds(self, sizes: Sizes) -> float:
        """Two runs, and the sessions' logins."""
        return 2 * self.active.expected_seconds(sizes) + _SECONDS_A_SESSION * sizes.crowd

    def measure(self, bench: Bench, subject: Subject) -> Metrics:
        """Latencies of the active ones both ways, and the proxy's memory for each idle one."""
        count = bench.sizes.crowd
        _allow_descriptors(count + _SPARE_DESCRIPTORS)
        root = subject.pid
        if root is None:
            raise BenchmarkError(f"{subject.title} has no process to measure.")
        alone = self.active.measure(bench, subject)
        before = settled_memory(root)
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                client = bench.server.connect(subject.endpoint(tls=self.tls))
                stack.callback(client.close)
                client.query("SELECT 1")
                client.drain(seconds=20)
            after = settled_memory(root)
            crowded = self.active.measure(bench, subject)
        return {
            **crowded,
            "sessions": count,
            "p99_alone_us": alone["p99_us"],
            "p99_to_alone": crowded["p99_us"] / alone["p99_us"],
            "rss_per_session_kb": (after.rss - before.rss) / count,
            "rss_after_kb": after.rss,
        }


def _allow_descriptors(count: int) -> None:
    """Of this process; the subjects raise their own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(count, hard)))
        except (OSError, ValueError) as error:
            raise BenchmarkError(f"{count} descriptors cannot be had: {error}") from None


def crowd(clients: int) -> CrowdCase:
    """So many active clients."""
    active = PgbenchCase("active", "active", "select", clients, mode="prepared")
    return CrowdCase(
        name=f"crowd-{clients}",
        title=f"pgbench -S -M prepared, {clients} clients beside a crowd of idle sessions",
        active=replace(active, audience=Audience.SHARING),
    )
