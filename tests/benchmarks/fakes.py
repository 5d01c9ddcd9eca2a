"""What stands in for a running proxy in the tests of the schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from benchmarks.bench import Sizes
from benchmarks.processes import BenchmarkError
from benchmarks.sessions import Endpoint, Session


@dataclass
class FakeSubject:
    """See ``benchmarks.bench.Subject``. It is never connected to."""

    name: str
    pid: int | None = None
    has_policy: bool | None = None
    title: str = "a subject"
    version: str = "1"
    notes: str = ""
    ends_tls: bool = True
    starts: int = 0
    is_shared: bool = False

    def start(self) -> None:
        """Count."""
        self.starts += 1

    def stop(self) -> None:
        """Nothing runs."""

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """Nowhere."""
        return Endpoint(1, "user", "password", "database", tls)


class FakeServer:
    """See ``benchmarks.bench.DatabaseServer``. Nobody can log in."""

    title = "a server"
    port = 1
    settings: Mapping[str, str] = MappingProxyType({})

    def version(self) -> str:
        """Always the same."""
        return "1"

    def start(self) -> None:
        """Nothing runs."""

    def fill(self, sizes: Sizes) -> None:
        """Nothing is kept."""

    def stop(self) -> None:
        """Nothing runs."""

    def execute(self, *statements: str) -> None:
        """Nothing is done."""

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """Nowhere."""
        return Endpoint(self.port, "user", "password", "database", tls)

    def connect(self, endpoint: Endpoint) -> Session:
        """Refused."""
        raise BenchmarkError("Nobody listens.")

    def rows_query(self, rows: int) -> str:
        """Not to be run."""
        return f"SELECT {rows}"

    def wide_query(self, rows: int, width: int) -> str:
        """Not to be run."""
        return f"SELECT {rows}, {width}"
