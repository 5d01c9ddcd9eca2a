"""What every case needs to know of the run it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from benchmarks.servers import PostgresServer
from benchmarks.subjects import Subject
from benchmarks.summary import Metrics


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything. Every load is bounded by one of these.

    ``seconds``: the measured window of a pgbench run. ``scale``: pgbench's, 100,000 accounts
    each. ``rows``: of the bulk cases. ``stalled_rows``: 1,000 bytes each.
    """

    rounds: int = 4
    seconds: float = 3.0
    scale: int = 10
    rows: int = 1_000_000
    bulk_repeats: int = 5
    idle_sessions: int = 1000
    stalled_rows: int = 600_000
    stall_seconds: float = 4.0


QUICK = Sizes(
    rounds=1,
    seconds=1.0,
    scale=1,
    rows=100_000,
    bulk_repeats=1,
    idle_sessions=100,
    stalled_rows=100_000,
    stall_seconds=1.0,
)


@dataclass(frozen=True, slots=True)
class Bench:
    """The server that is behind every subject, and the sizes of the loads."""

    server: PostgresServer
    sizes: Sizes


class Case(Protocol):
    """One load, measured the same way through every subject."""

    @property
    def name(self) -> str:
        """As in ``--cases``."""

    @property
    def title(self) -> str:
        """As in the report."""

    @property
    def group(self) -> str:
        """The table it belongs to: queries, connects, bulk, idle, stalled."""

    @property
    def tls(self) -> bool:
        """Whether the clients use TLS."""

    @property
    def needs_proxy(self) -> bool:
        """Whether it measures the proxy alone, so that "direct" has no figure."""

    @property
    def rounds(self) -> int | None:
        """At most so many rounds; None: as many as the run has."""

    def measure(self, bench: Bench, subject: Subject) -> Metrics:
        """One raw round. Raises BenchmarkError or OSError."""
