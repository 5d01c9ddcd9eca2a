"""What every case needs to know of the run it belongs to."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.sessions import Endpoint, Session
from benchmarks.summary import Metrics


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything. Every load is bounded by one of these.

    ``warm_seconds``, and the time of the logins, pass before the measured window of ``seconds``
    begins, both in a run of pgbench or sysbench. ``scale``: pgbench's, 100,000 accounts each; a
    tenth of it for sysbench. ``rows``: of the bulk cases. ``stalled_rows``, ``exported_rows``:
    1,000 bytes each.
    """

    rounds: int = 4
    warm_seconds: float = 0.45
    seconds: float = 3.0
    scale: int = 10
    rows: int = 1_000_000
    bulk_repeats: int = 5
    idle_sessions: int = 1000
    stalled_rows: int = 600_000
    stall_seconds: float = 4.0
    crowd: int = 10_000
    exported_rows: int = 1_000_000

    @property
    def sysbench_rows(self) -> int:
        """Rows of sysbench's one table."""
        return self.scale * 10_000


QUICK = Sizes(
    rounds=1,
    warm_seconds=0.15,
    seconds=0.4,
    scale=1,
    rows=100_000,
    bulk_repeats=1,
    idle_sessions=100,
    stalled_rows=100_000,
    stall_seconds=1.0,
    crowd=200,
    exported_rows=400_000,
)


class DatabaseServer(Protocol):
    """The one server behind every subject."""

    title: str

    @property
    def port(self) -> int:
        """On the loopback interface."""

    @property
    def settings(self) -> Mapping[str, str]:
        """As the report says them."""

    def version(self) -> str:
        """As the server's program says it."""

    def start(self) -> None:
        """Make and start it. Raises BenchmarkError."""

    def fill(self, sizes: Sizes) -> None:
        """Make the tables of every case."""

    def stop(self) -> None:
        """Stop, if it was started."""

    def execute(self, *statements: str) -> None:
        """Run statements as the server's administrator."""

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """The server itself, with nothing in between."""

    def connect(self, endpoint: Endpoint) -> Session:
        """Log in with the minimal client of the server's protocol."""

    def rows_query(self, rows: int) -> str:
        """A SELECT of so many rows, about 110 bytes each on the wire."""

    def wide_query(self, rows: int, width: int) -> str:
        """A SELECT of so many rows of one column of ``width`` bytes."""


class Subject(Protocol):
    """One way to the server."""

    name: str
    title: str
    version: str
    # What a reader must know to judge the comparison: settings and differences.
    notes: str
    # Whether client TLS ends here; a relay passes the server's through.
    ends_tls: bool
    # Whether statements are judged by a policy; None: not an Accode Proxy.
    has_policy: bool | None
    # Whether its clients share a few server connections, one transaction each.
    is_shared: bool

    @property
    def pid(self) -> int | None:
        """The root of the process tree to be measured; None where there is no proxy."""

    def start(self) -> None:
        """Start and wait until it takes connections. Raises BenchmarkError."""

    def stop(self) -> None:
        """Stop, if started."""

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """Where a client connects, and as whom.

        ``iterations`` of SCRAM on both legs; MySQL has no such thing.
        """


@dataclass(frozen=True, slots=True)
class Bench:
    """The server that is behind every subject, the sizes of the loads, and a scratch folder."""

    server: DatabaseServer
    sizes: Sizes
    folder: Path


class Audience(enum.Enum):
    """Which subjects a case is for."""

    # Everything but a proxy that judges statements.
    ALL = "all"
    # The same without "direct": it measures the proxy itself.
    PROXIES = "proxies"
    # Accode Proxy with and without a policy.
    POLICIES = "policies"
    # What pools by transaction.
    SHARING = "sharing"
    # Accode Proxy as it comes: what has admin endpoints.
    ADMINISTERED = "administered"

    def includes(self, subject: Subject) -> bool:
        """Whether the subject takes part. Raises BenchmarkError if its process has died."""
        if self is Audience.SHARING or subject.is_shared:
            return self is Audience.SHARING and subject.is_shared
        if self is Audience.ADMINISTERED:
            return subject.has_policy is False
        if self is Audience.POLICIES:
            return subject.has_policy is not None
        if subject.has_policy:
            return False
        return self is Audience.ALL or subject.pid is not None


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
        """The table it belongs to: queries, policies, sharing, crowd, beside, connects, bulk,
        idle, stalled.
        """

    @property
    def tls(self) -> bool:
        """Whether the clients use TLS."""

    @property
    def audience(self) -> Audience:
        """Which subjects it is for."""

    @property
    def rounds(self) -> int | None:
        """At most so many rounds; None: as many as the run has."""

    def expected_seconds(self, sizes: Sizes) -> float:
        """Of one measurement: a guess, until one has been measured."""

    def measure(self, bench: Bench, subject: Subject) -> Metrics:
        """One raw round. Raises BenchmarkError or OSError."""
