"""What is measured: a way to the PostgreSQL server, started, asked for its address, stopped.

Knows how each program is configured for its best session-pooling or relaying figures. Must
never know what load will come.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from benchmarks.peers import Program
from benchmarks.processes import (
    Account,
    BenchmarkError,
    Server,
    free_port,
    give,
    owned_folder,
)
from benchmarks.servers import DATABASE, Certificate, PostgresServer, write_certificate
from benchmarks.wire import Endpoint, RawClient

# More than any case opens at once.
MAX_SESSIONS = 2000


class Subject(Protocol):
    """One way to the server."""

    name: str
    title: str
    version: str
    # What a reader must know to judge the comparison: settings and differences.
    notes: str
    # Whether client TLS ends here; a relay passes the server's through.
    ends_tls: bool

    @property
    def pid(self) -> int | None:
        """The root of the process tree to be measured; None where there is no proxy."""

    def start(self) -> None:
        """Start and wait until it takes connections. Raises BenchmarkError."""

    def stop(self) -> None:
        """Stop, if started."""

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """Where a client connects, and as whom; ``iterations`` of SCRAM on both legs."""


class Direct:
    """PostgreSQL itself."""

    name = "direct"
    title = "direct"
    ends_tls = True
    pid: int | None = None

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.version = server.version()
        self.notes = "no proxy; with TLS, PostgreSQL itself does it"

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


class PgBouncer(OneProcess):
    """PgBouncer, session pooling, plaintext upstream, SCRAM on both legs."""

    name = "pgbouncer"
    title = "PgBouncer"

    def __init__(
        self,
        program: Program,
        server: PostgresServer,
        certificate: Certificate,
        scratch: Path,
        account: Account | None,
    ) -> None:
        super().__init__(owned_folder(scratch / self.name, account))
        self._program = program
        self._server = server
        self._account = account
        self._certificate = write_certificate(certificate, self._folder, "client", account)
        self.version = program.version
        self.notes = (
            f"{program.origin}; pool_mode=session, server_tls_sslmode=disable, SCRAM verifiers "
            "in auth_file (no password stretching in the proxy), pkt_buf=16384, logging off"
        )

    def start(self) -> None:
        """Write pgbouncer.ini and start."""
        self._port = free_port()
        users = self._folder / "users.txt"
        roles = self._server.roles.values()
        users.write_text("".join(f'"{role.name}" "{role.verifier}"\n' for role in roles))
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self._port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": users,
            "pool_mode": "session",
            "max_client_conn": MAX_SESSIONS,
            "default_pool_size": MAX_SESSIONS,
            "server_tls_sslmode": "disable",
            # One instance for both: plaintext clients stay plaintext.
            "client_tls_sslmode": "allow",
            "client_tls_cert_file": self._certificate[0],
            "client_tls_key_file": self._certificate[1],
            "log_connections": 0,
            "log_disconnections": 0,
            "log_stats": 0,
            # Measured here: against the default of 4,096 a third less CPU for large results,
            # and nothing lost elsewhere; 65,536 is no better.
            "pkt_buf": 16384,
        }
        configuration = self._folder / "pgbouncer.ini"
        configuration.write_text(
            f"[databases]\n{DATABASE} = host=127.0.0.1 port={self._server.port}\n[pgbouncer]\n"
            + "".join(f"{key} = {value}\n" for key, value in settings.items())
        )
        for path in (users, configuration):
            give(path, self._account)
        # It refuses to run as root and changes to the account itself, after it has loaded its
        # libraries from a cache folder that the account may not be able to read.
        become = ["-u", self._account.name] if self._account else []
        self._running = Server(
            self.title,
            [*self._program.command, "-q", *become, str(configuration)],
            log=self._folder / "log",
            cwd=self._folder,
        )
        self._running.wait_for_port(self._port)

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """The same roles as on the server."""
        return replace(self._server.endpoint(tls=tls, iterations=iterations), port=self._port)


class HaProxyTcp(OneProcess):
    """HAProxy in TCP mode: a relay that does not look inside, in front of one loopback port."""

    name = "haproxy"
    title = "HAProxy TCP"
    ends_tls = False

    def __init__(self, program: Program, server_port: int, scratch: Path, tls_notes: str) -> None:
        super().__init__(scratch / self.name)
        self._folder.mkdir()
        self._program = program
        self._server_port = server_port
        self.version = program.version
        self.notes = f"{program.origin}; mode tcp, one thread, logging off; {tls_notes}"

    def start(self) -> None:
        """Write haproxy.cfg and start in the foreground."""
        self._port = free_port()
        configuration = self._folder / "haproxy.cfg"
        configuration.write_text(
            f"global\n  maxconn {MAX_SESSIONS}\n  nbthread 1\n"
            "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1h\n"
            "  timeout server 1h\n"
            f"listen database\n  bind 127.0.0.1:{self._port}\n"
            f"  server database 127.0.0.1:{self._server_port}\n"
        )
        self._running = Server(
            self.title,
            [*self._program.command, "-db", "-q", "-f", str(configuration)],
            log=self._folder / "log",
            cwd=self._folder,
        )
        self._running.wait_for_port(self._port)


class HaProxy(HaProxyTcp):
    """HAProxy in front of PostgreSQL."""

    def __init__(self, program: Program, server: PostgresServer, scratch: Path) -> None:
        super().__init__(
            program,
            server.port,
            scratch,
            "it does not speak PostgreSQL's TLS negotiation, so with TLS it passes PostgreSQL's "
            "own through and spends nothing on encryption",
        )
        self._server = server

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """The same roles as on the server."""
        return replace(self._server.endpoint(tls=tls, iterations=iterations), port=self._port)


@contextlib.contextmanager
def started(subjects: list[Subject]) -> Iterator[list[Subject]]:
    """All of the subjects running and seen to answer; all of them stopped at the end."""
    with contextlib.ExitStack() as stack:
        for subject in subjects:
            stack.callback(subject.stop)
            subject.start()
            require_answer(subject)
        yield subjects


def require_answer(subject: Subject) -> str:
    """Log in plain and with TLS and run a statement; returns the TLS version and cipher."""
    description = "none"
    for tls in (False, True):
        try:
            client = RawClient(subject.endpoint(tls=tls))
        except (OSError, BenchmarkError) as error:
            leg = "with TLS" if tls else "in plaintext"
            raise BenchmarkError(f"No login {leg} through {subject.title}: {error}") from None
        with contextlib.closing(client):
            client.query("SELECT 1")
            client.drain(seconds=20)
            description = client.tls_description()
    return description
