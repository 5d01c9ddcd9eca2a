"""Accode Proxy as a subject: the real command line, the real ``serve``, audit on.

Knows the commands of the product and its configuration variables. Must never import the
product: what is measured is what an operator starts.
"""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from benchmarks.beside import AdminEndpoints
from benchmarks.builds import Build
from benchmarks.mysql_server import MariaDb
from benchmarks.processes import BenchmarkError, Server, free_port, run
from benchmarks.servers import (
    DATABASE,
    SCRAM_ITERATIONS,
    Certificate,
    PostgresServer,
    write_certificate,
)
from benchmarks.sessions import Endpoint
from benchmarks.subjects import (
    MAX_SESSIONS,
    MAX_SHARING,
    SHARED_CONNECTIONS,
    SHARED_SUFFIX,
    OneProcess,
)

SOURCE = "bench"
"""The name of each workspace's one source."""
POLICY_SUFFIX = "-policy"
"""What a subject's name ends with where every statement is judged."""
WORKERS_SUFFIX = "-workers"
"""The same where it has several workers."""
_MYSQL_WORKSPACE = "bench"
_POLICY = 'version = 1\naccess = "read-only"\n'
# Of connections that nobody has. All subjects run all the time and share the server's
# max_connections: what one keeps of its thousand sessions, the next cannot have.
_IDLE = "2s"
# A few logins alone write more than this.
_LEAST_AUDIT_BYTES = 1000


class AccodeProgram(OneProcess, ABC):
    """Accode Proxy with its embedded store and one listener, of ``settings``."""

    settings: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        build: Build,
        certificate: Certificate,
        scratch: Path,
        *,
        has_policy: bool,
        is_shared: bool = False,
        workers: int = 1,
    ) -> None:
        self.has_policy: bool | None = has_policy
        self.is_shared = is_shared
        self._workers = workers
        self.name = build.name + (POLICY_SUFFIX if has_policy else "")
        self.title = build.title + (", read-only policy" if has_policy else "")
        if workers > 1:
            self.name += WORKERS_SUFFIX
            self.title += f", {workers} workers"
        if is_shared:
            self.name += SHARED_SUFFIX
            self.title += ", transaction pooling"
        super().__init__(scratch / self.name)
        self._folder.mkdir()
        self._certificate = write_certificate(certificate, self._folder, "listener", None)
        self._program = build.program
        self._has_store = False
        self.version = run([build.program, "--version"]).strip()
        self.notes = (
            f"revision {build.revision}, embedded store, audit on (every statement, chained, on "
            f"disk), {workers} worker{'' if workers == 1 else 's'}, --tls disable upstream"
            + ("; every workspace has the policy: access = read-only" if has_policy else "")
        )

    def start(self) -> None:
        """Make the store and what is in it if need be, and serve."""
        self._port = free_port()
        if not self._has_store:
            self._command(
                "init", "--port", str(self._port), "--mysql-port", "0", "--metrics-port", "0",
                "--allow-private",
                "--tls-certificate", str(self._certificate[0]),
                "--tls-key", str(self._certificate[1]),
            )  # fmt: skip
            self._fill()
            self._has_store = True
        self._running = Server(
            self.title,
            [self._program, "serve", "--workers", str(self._workers)],
            log=self._folder / "log",
            cwd=self._folder,
            environment=self._environment(),
        )
        self._running.wait_for_port(self._port)

    @abstractmethod
    def _fill(self) -> None:
        """Add the workspaces and their sources."""

    @contextlib.contextmanager
    def administered(self) -> Iterator[AdminEndpoints]:
        """Its admin endpoints, in a process of their own beside it. See ``beside``."""
        workspace, port = self._exports_of, free_port()
        made = self._command("admin", "key", "create", "--workspace", workspace, "--json")
        endpoints = Server(
            f"{self.title}, admin endpoints",
            [self._program, "admin", "serve"],
            log=self._folder / "admin.log",
            cwd=self._folder,
            environment=self._environment() | {"ACCODE_PROXY_ADMIN__PORT": str(port)},
        )
        try:
            endpoints.wait_for_port(port)
            path = f"/v1/workspaces/{workspace}/sources/{SOURCE}"
            yield AdminEndpoints(port, json.loads(made)["key"], path)
        finally:
            endpoints.stop()

    @property
    @abstractmethod
    def _exports_of(self) -> str:
        """The workspace whose rows are exported."""

    def require_audit(self) -> None:
        """Say in the notes what audit was written. Raises BenchmarkError if it was none."""
        files = [path for path in (self._folder / "audit").rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        if size < _LEAST_AUDIT_BYTES:
            raise BenchmarkError(f"The audit log has only {size} bytes: it was not on.")
        system = run(["stat", "--file-system", "--format=%T", str(self._folder)]).strip()
        self.notes += f"; this run wrote {size / 1e6:,.0f} MB of audit on {system}"

    def _add(self, workspace: str, url: str, username: str, password: str, *options: str) -> str:
        """A workspace with one source; returns a token of it."""
        self._command("workspace", "create", workspace, *options)
        self._command(
            "source", "add", workspace, SOURCE, url,
            "--username", username, "--password-stdin", "--tls", "disable", *self._pool_options(),
            stdin=password + "\n",
        )  # fmt: skip
        token = json.loads(self._command("token", "create", workspace, "--json"))["token"]
        if not isinstance(token, str):
            raise BenchmarkError(f"{self.title}: token create did not answer with a token.")
        if self.has_policy:
            self._command("policy", "set", workspace, "-", stdin=_POLICY)
        return token

    def _pool_options(self) -> tuple[str, ...]:
        """A pool that holds every session of a case; a build from before pools knows none."""
        if self.is_shared:
            return ("--pooling", "transaction", "--pool-max", str(SHARED_CONNECTIONS))
        knows_pools = "--pool-max" in self._command("source", "add", "--help")
        if not knows_pools:
            return ()
        return ("--pool-max", str(MAX_SESSIONS), "--pool-idle", _IDLE)

    def _command(self, *words: str, stdin: str | None = None) -> str:
        return run(
            [self._program, *words],
            cwd=self._folder,
            environment=self._environment(),
            stdin=stdin,
            seconds=60,
        )

    def _environment(self) -> dict[str, str]:
        most = MAX_SHARING if self.is_shared else MAX_SESSIONS
        settings = {
            "LISTENERS__0__PORT": self._port,
            # Every client comes from one address, and connects as fast as it can.
            "LIMITS__PENDING_LOGINS_PER_ADDRESS": most,
            "LIMITS__PENDING_LOGINS": most,
            "LIMITS__SESSIONS": most,
            "LIMITS__SESSIONS_PER_WORKSPACE": most,
            "LOGS__FORMAT": "json",
            "LOGS__LEVEL": "warning",
            **self.settings,
        }
        return {f"ACCODE_PROXY_{name}": str(value) for name, value in settings.items()}


class PostgresAccode(AccodeProgram):
    """Its PostgreSQL listener; one workspace for each number of iterations."""

    def __init__(
        self,
        build: Build,
        server: PostgresServer,
        certificate: Certificate,
        scratch: Path,
        *,
        has_policy: bool = False,
        is_shared: bool = False,
        workers: int = 1,
    ) -> None:
        super().__init__(
            build,
            certificate,
            scratch,
            has_policy=has_policy,
            is_shared=is_shared,
            workers=workers,
        )
        self._server = server
        self._tokens: dict[int, str] = {}

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """The workspace as the user, its token as the password, the source as the database."""
        return Endpoint(self._port, _workspace(iterations), self._tokens[iterations], SOURCE, tls)

    @property
    def _exports_of(self) -> str:
        return _workspace(4096)

    def _fill(self) -> None:
        # The credential is always the role with 4,096: the product refuses fewer from a data
        # source without TLS. It makes no difference to a connect: the server checks against
        # stored keys, and the proxy keeps the client key that it derived.
        role = self._server.roles[4096]
        url = f"postgresql://127.0.0.1:{self._server.port}/{DATABASE}"
        self._tokens = {
            count: self._add(
                _workspace(count), url, role.name, role.password, "--scram-iterations", str(count)
            )
            for count in SCRAM_ITERATIONS
        }


class MysqlAccode(AccodeProgram):
    """Its MySQL listener."""

    settings = MappingProxyType({"LISTENERS__0__PROTOCOL": "mysql"})

    def __init__(
        self,
        build: Build,
        server: MariaDb,
        certificate: Certificate,
        scratch: Path,
        *,
        has_policy: bool = False,
    ) -> None:
        super().__init__(build, certificate, scratch, has_policy=has_policy)
        self._server = server
        self._token = ""

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """The workspace as the user, its token as the password, the source as the database."""
        return Endpoint(self._port, _MYSQL_WORKSPACE, self._token, SOURCE, tls)

    @property
    def _exports_of(self) -> str:
        return _MYSQL_WORKSPACE

    def _fill(self) -> None:
        server = self._server.endpoint()
        url = f"mysql://127.0.0.1:{server.port}/{server.database}"
        self._token = self._add(_MYSQL_WORKSPACE, url, server.user, server.password)


def _workspace(iterations: int) -> str:
    return f"bench{iterations}"
