"""What is measured: a way to the server, started, asked for its address, stopped.

Knows what all of them share, direct and HAProxy. Must never know what load will come.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.bench import DatabaseServer, Subject
from benchmarks.peers import Program
from benchmarks.processes import BenchmarkError, Server, free_port
from benchmarks.sessions import Endpoint

# More than any case opens at once.
MAX_SESSIONS = 2000
# The same where they share connections, and how many of these there are.
MAX_SHARING = 12_000
SHARED_CONNECTIONS = 20
SHARED_SUFFIX = "-transaction"
"""What the name of a subject ends with that pools by transaction."""


class Direct:
    """The server itself."""

    name = "direct"
    title = "direct"
    ends_tls = True
    has_policy: bool | None = None
    is_shared = False
    pid: int | None = None

    def __init__(self, server: DatabaseServer) -> None:
        self._server = server
        self.version = server.version()
        self.notes = f"no proxy; with TLS, {server.title} itself does it"

    def start(self) -> None:
        """The server runs already."""

    def stop(self) -> None:
        """The server stops with the run."""

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """The server's own port."""
        return self._server.endpoint(tls=tls, iterations=iterations)


class OneProcess:
    """A proxy that is one process tree."""

    name: str
    ends_tls = True
    has_policy: bool | None = None
    is_shared = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: Server | None = None
        self._port = 0

    @property
    def pid(self) -> int | None:
        """The proxy's root process. Raises BenchmarkError if it has died."""
        if self._running is None:
            return None
        self._running.require_alive()
        return self._running.pid

    def stop(self) -> None:
        """Stop, if started."""
        if self._running is not None:
            self._running.stop()
            self._running = None


class HaProxy(OneProcess):
    """HAProxy in TCP mode: a relay that does not look inside, in front of one loopback port."""

    name = "haproxy"
    title = "HAProxy TCP"
    ends_tls = False

    def __init__(self, program: Program, server: DatabaseServer, scratch: Path) -> None:
        super().__init__(scratch / self.name)
        self._folder.mkdir()
        self._program = program
        self._server = server
        self.version = program.version
        self.notes = (
            f"{program.origin}; mode tcp, one thread, logging off; it does not speak "
            f"{server.title}'s TLS negotiation, so with TLS it passes the server's own through "
            "and spends nothing on encryption"
        )

    def start(self) -> None:
        """Write haproxy.cfg and start in the foreground."""
        self._port = free_port()
        configuration = self._folder / "haproxy.cfg"
        configuration.write_text(
            f"global\n  maxconn {MAX_SESSIONS}\n  nbthread 1\n"
            "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1h\n"
            "  timeout server 1h\n"
            f"listen database\n  bind 127.0.0.1:{self._port}\n"
            f"  server database 127.0.0.1:{self._server.port}\n"
        )
        self._running = Server(
            self.title,
            [*self._program.command, "-db", "-q", "-f", str(configuration)],
            log=self._folder / "log",
            cwd=self._folder,
        )
        self._running.wait_for_port(self._port)

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """The same accounts as on the server."""
        return replace(self._server.endpoint(tls=tls, iterations=iterations), port=self._port)


@contextlib.contextmanager
def started(server: DatabaseServer, subjects: Sequence[Subject]) -> Iterator[dict[str, str]]:
    """All of the subjects running and seen to answer; all of them stopped at the end.

    Yields the TLS version and cipher of each, by its name.
    """
    ciphers = {}
    with contextlib.ExitStack() as stack:
        for subject in subjects:
            stack.callback(subject.stop)
            subject.start()
            ciphers[subject.name] = require_answer(server, subject)
        yield ciphers


def require_answer(server: DatabaseServer, subject: Subject) -> str:
    """Log in plain and with TLS and run a statement; returns the TLS version and cipher."""
    description = "none"
    for tls in (False, True):
        try:
            client = server.connect(subject.endpoint(tls=tls))
        except (OSError, BenchmarkError) as error:
            leg = "with TLS" if tls else "in plaintext"
            raise BenchmarkError(f"No login {leg} through {subject.title}: {error}") from None
        with contextlib.closing(client):
            client.query("SELECT 1")
            client.drain(seconds=20)
            description = client.tls_description()
    return description
