"""MariaDB and the ways to it: direct, HAProxy in TCP mode, Accode Proxy.

Knows how each is made, started and stopped. Must never know what load will come.
"""

from __future__ import annotations

import os
import pwd
import secrets
from pathlib import Path
from types import MappingProxyType

from benchmarks.accode import SOURCE, AccodeProgram
from benchmarks.builds import Build
from benchmarks.peers import Program
from benchmarks.processes import (
    Account,
    BenchmarkError,
    Server,
    find_program,
    free_port,
    owned_folder,
    run,
)
from benchmarks.servers import Certificate, write_certificate
from benchmarks.subjects import HaProxyTcp
from benchmarks.sysbench import Target

DATABASE = "bench"
_USER = "bench"
_WORKSPACE = "bench"
_INSTALL = "Debian: apt-get install mariadb-server"


def require_program(name: str, advice: str) -> str:
    """The full path of a program. Raises BenchmarkError with the advice."""
    path = find_program(name)
    if path is None:
        raise BenchmarkError(f"{name} is not installed ({advice}).")
    return path


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("mysql")
    except KeyError:
        raise BenchmarkError(
            "MariaDB does not run as root and there is no account named mysql."
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


class MariaDb:
    """A throw-away MariaDB on a free loopback port; also the subject "direct"."""

    name = "direct"
    title = "direct"
    notes = "no proxy; with TLS, MariaDB itself does it"
    pid: int | None = None

    def __init__(self, scratch: Path, certificate: Certificate) -> None:
        self._program = require_program("mariadbd", _INSTALL)
        self._client = require_program("mariadb", _INSTALL)
        self._install = require_program("mariadb-install-db", _INSTALL)
        self._account = _account()
        self._folder = owned_folder(scratch / "mariadb", self._account)
        self._certificate = write_certificate(certificate, self._folder, "server", self._account)
        self._socket = self._folder / "socket"
        self._running: Server | None = None
        self.port = free_port()
        self.password = secrets.token_hex(16)
        self.version = run([self._program, "--version"]).strip().removeprefix(self._program).strip()

    def start(self) -> None:
        """Make the data folder, start, and make the user and the database."""
        if self._running is not None:
            return
        data = self._folder / "data"
        run(
            [self._install, "--no-defaults", f"--datadir={data}", "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            cwd=self._folder, account=self._account, seconds=120,
        )  # fmt: skip
        self._running = Server(
            "MariaDB",
            [self._program, "--no-defaults", f"--datadir={data}", f"--socket={self._socket}",
             f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-name-resolve",
             f"--pid-file={self._folder / 'pid'}", "--max-connections=2500",
             "--innodb-buffer-pool-size=256M", "--innodb-flush-log-at-trx-commit=0",
             f"--ssl-cert={self._certificate[0]}", f"--ssl-key={self._certificate[1]}",
             # sysbench with TLS always presents a certificate: this same one.
             f"--ssl-ca={self._certificate[0]}"],
            log=self._folder / "log", cwd=self._folder, account=self._account,
        )  # fmt: skip
        self._running.wait_for_port(self.port)
        statements = (
            f"CREATE DATABASE {DATABASE}; CREATE USER {_USER}@'127.0.0.1' IDENTIFIED VIA "
            f"mysql_native_password USING PASSWORD('{self.password}'); "
            f"GRANT ALL ON {DATABASE}.* TO {_USER}@'127.0.0.1'"
        )
        run(
            [self._client, "--no-defaults", f"--socket={self._socket}", "--user=root"],
            stdin=statements,
        )

    def stop(self) -> None:
        """Stop, if started."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def target(self) -> Target:
        """The server's own port."""
        return Target(self.port, _USER, self.password, DATABASE)


class MysqlHaProxy(HaProxyTcp):
    """HAProxy in front of MariaDB."""

    def __init__(self, program: Program, server: MariaDb, scratch: Path) -> None:
        super().__init__(
            program,
            server.port,
            scratch,
            "with TLS it passes MariaDB's own through and spends nothing on encryption",
        )
        self._server = server

    def target(self) -> Target:
        """The same user as on the server."""
        return Target(self._port, _USER, self._server.password, DATABASE)


class MysqlAccode(AccodeProgram):
    """Accode Proxy's MySQL listener."""

    settings = MappingProxyType({"LISTENERS__0__PROTOCOL": "mysql"})

    def __init__(
        self, build: Build, server: MariaDb, certificate: Certificate, scratch: Path
    ) -> None:
        super().__init__(build, certificate, scratch)
        self._server = server
        self._token = ""

    def target(self) -> Target:
        """The workspace as the user, its token as the password, the source as the database."""
        return Target(self._port, _WORKSPACE, self._token, SOURCE)

    def _fill(self) -> None:
        url = f"mysql://127.0.0.1:{self._server.port}/{DATABASE}"
        self._token = self._add(_WORKSPACE, url, _USER, self._server.password)


MysqlSubject = MariaDb | MysqlHaProxy | MysqlAccode
