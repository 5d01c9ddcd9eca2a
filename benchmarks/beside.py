"""A load's latencies alone, and beside rows that are exported as CSV over HTTP.

As a control the same rows go by ``psql`` and COPY straight from the server: what that does to
the latencies is the machine's and the server's doing, and what the export does beyond it is
the proxy's. Each takes a core and more, so that on few cores they differ from 1 both.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from benchmarks.bench import Audience, Bench, Sizes, Subject
from benchmarks.pgbench import PgbenchCase
from benchmarks.processes import BenchmarkError, clean_environment
from benchmarks.servers import find_postgres
from benchmarks.summary import Metrics

WIDTH = 1000
"""Bytes of an exported row."""
_PIECE = 256 * 1024
_COPIES = 10
"""Of the rows, by psql: one after the other, since one takes a second or two."""
_START_SECONDS = 20.0
_AROUND_SECONDS = 3.0
"""The start of the admin endpoints, in each round."""


@dataclass(frozen=True, slots=True)
class AdminEndpoints:
    """Where they are, a key to them, and the path of a source."""

    port: int
    key: str
    source: str


@runtime_checkable
class Administered(Protocol):
    """A subject that has admin endpoints."""

    def administered(self) -> AbstractContextManager[AdminEndpoints]:
        """They run, in a process of their own, as long as the context does."""


@dataclass(frozen=True, slots=True)
class BesideCase:
    """pgbench alone, beside an export, beside psql, and alone again."""

    name: str
    title: str
    active: PgbenchCase
    tls: bool = False
    group: str = "beside"
    audience: Audience = Audience.ADMINISTERED
    # Four runs in each.
    rounds: int | None = 3

    def expected_seconds(self, sizes: Sizes) -> float:
        """Four runs, and what must start for them."""
        return 4 * self.active.expected_seconds(sizes) + _AROUND_SECONDS

    def measure(self, bench: Bench, subject: Subject) -> Metrics:
        """Latencies all three ways; ``copy``: beside psql."""
        if not isinstance(subject, Administered):
            raise BenchmarkError(f"{subject.title} has no admin endpoints.")
        query = bench.server.wide_query(bench.sizes.exported_rows, WIDTH)
        with subject.administered() as endpoints:
            before = self.active.measure(bench, subject)
            with _exporting(endpoints, query) as export:
                beside = self.active.measure(bench, subject)
                exported = export.bytes_per_second()
        with _copying(bench, query):
            copied = self.active.measure(bench, subject)
        after = self.active.measure(bench, subject)
        alone = {name: (before[name] + after[name]) / 2 for name in ("p50_us", "p99_us")}
        return {
            **beside,
            "exported_mb_per_s": exported / 1e6,
            "p50_alone_us": alone["p50_us"],
            "p99_alone_us": alone["p99_us"],
            "p50_to_alone": beside["p50_us"] / alone["p50_us"],
            "p99_to_alone": beside["p99_us"] / alone["p99_us"],
            "p99_copy_us": copied["p99_us"],
            "p50_copy_to_alone": copied["p50_us"] / alone["p50_us"],
            "p99_copy_to_alone": copied["p99_us"] / alone["p99_us"],
        }


class _Export:
    """One export, read as fast as it comes, in a thread: it ends by itself, or is left."""

    def __init__(self, endpoints: AdminEndpoints, query: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", endpoints.port, timeout=30)
        self._connection.request(
            "POST",
            f"{endpoints.source}/csv/export",
            body=json.dumps({"query": query}),
            headers={
                "Authorization": f"Bearer {endpoints.key}",
                "Content-Type": "application/json",
            },
        )
        self._answer = self._connection.getresponse()
        if self._answer.status != http.client.OK:
            raise BenchmarkError(f"No export: {self._answer.read(500).decode(errors='replace')}")
        self._received = 0
        self._began = time.monotonic()
        self._is_left = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            while not self._is_left.is_set() and (data := self._answer.read1(_PIECE)):
                self._received += len(data)

    def bytes_per_second(self) -> float:
        """So far. Raises BenchmarkError where nothing comes any more."""
        if not self._thread.is_alive():
            raise BenchmarkError("The export ended before what was measured beside it.")
        return self._received / (time.monotonic() - self._began)

    def leave(self) -> None:
        """Ask for no more; the endpoints stop the statement."""
        self._is_left.set()
        self._thread.join(_START_SECONDS)
        self._connection.close()


@contextlib.contextmanager
def _exporting(endpoints: AdminEndpoints, query: str) -> Iterator[_Export]:
    export = _Export(endpoints, query)
    try:
        yield export
    finally:
        export.leave()


@contextlib.contextmanager
def _copying(bench: Bench, query: str) -> Iterator[None]:
    """Psql takes the same rows from the server itself, to nowhere, some times over."""
    command = [
        *(str(find_postgres() / "psql"), "--no-psqlrc", "--quiet"),
        *("--command", f"COPY ({query}) TO STDOUT (FORMAT csv)") * _COPIES,
    ]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=clean_environment(bench.server.endpoint().libpq_environment()),
        start_new_session=True,
    )
    try:
        yield
        if process.poll() is not None:
            raise BenchmarkError("psql ended before what was measured beside it.")
    finally:
        process.kill()
        process.wait(_START_SECONDS)


def beside(clients: int) -> BesideCase:
    """So many active clients."""
    active = PgbenchCase("active", "active", "select", clients)
    plural = "" if clients == 1 else "s"
    return BesideCase(
        name=f"export-{clients}",
        title=f"pgbench -S -M simple, {clients} client{plural}, beside an export of CSV over HTTP",
        active=replace(active, audience=Audience.ADMINISTERED),
    )
