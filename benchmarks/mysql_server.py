"""The one MariaDB behind every subject of MySQL's protocol.

Knows how to make, fill and stop a throw-away server. Must never know about proxies.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from types import MappingProxyType

from benchmarks.bench import Sizes
from benchmarks.mysql_wire import MysqlClient
from benchmarks.processes import (
    BenchmarkError,
    Server,
    find_program,
    free_port,
    owned_folder,
    run,
    server_account,
)
from benchmarks.servers import DATABASE, Certificate, write_certificate
from benchmarks.sessions import Endpoint, Session
from benchmarks.sysbench import prepare

_USER = "bench"
# One connection for each idle session and some to spare.
_MAX_CONNECTIONS = 2500
SETTINGS = {
    "bind-address": "127.0.0.1",
    "skip-name-resolve": "ON",
    "max-connections": str(_MAX_CONNECTIONS),
    "innodb-buffer-pool-size": "256M",
    "innodb-flush-log-at-trx-commit": "0",
}


class MariaDb:
    """A server of our own on a free loopback port. See ``bench.DatabaseServer``."""

    title = "MariaDB"
    settings = MappingProxyType(SETTINGS)

    def __init__(self, scratch: Path, certificate: Certificate) -> None:
        self.port = free_port()
        self._password = secrets.token_hex(16)
        self._program = _find("mariadbd")
        self._client = _find("mariadb")
        self._install = _find("mariadb-install-db")
        self._account = server_account("MariaDB", "mysql")
        self._scratch = scratch
        self._folder = owned_folder(scratch / "mariadb", self._account)
        self._socket = self._folder / "socket"
        self._pair = certificate
        self._certificate = write_certificate(certificate, self._folder, "server", self._account)
        self._running: Server | None = None

    def version(self) -> str:
        """As ``mariadbd --version`` says it."""
        words = run([self._program, "--version"]).strip()
        return words.removeprefix(self._program).strip().removeprefix("Ver ").strip()

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """The server itself; SCRAM's ``iterations`` mean nothing to it."""
        return Endpoint(self.port, _USER, self._password, DATABASE, tls)

    def connect(self, endpoint: Endpoint) -> Session:
        """Log in with the minimal client."""
        return MysqlClient(endpoint)

    def rows_query(self, rows: int) -> str:
        """Of ``bench_rows``, which ``fill`` makes."""
        return f"SELECT * FROM bench_rows LIMIT {rows}"

    def wide_query(self, rows: int, width: int) -> str:
        """Made up by the server as it goes: its SEQUENCE engine."""
        return f"SELECT REPEAT('x', {width}) FROM seq_1_to_{rows}"

    def start(self) -> None:
        """Make the data folder, start, and make the user and the database."""
        data = self._folder / "data"
        run(
            [self._install, "--no-defaults", f"--datadir={data}", "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            cwd=self._folder, account=self._account, seconds=120,
        )  # fmt: skip
        self._running = Server(
            self.title,
            [self._program, "--no-defaults", f"--datadir={data}", f"--socket={self._socket}",
             f"--port={self.port}", f"--pid-file={self._folder / 'pid'}",
             *(f"--{key}={value}" for key, value in SETTINGS.items()),
             f"--ssl-cert={self._certificate[0]}", f"--ssl-key={self._certificate[1]}",
             # sysbench with TLS always presents a certificate: this same one.
             f"--ssl-ca={self._certificate[0]}"],
            log=self._folder / "log", cwd=self._folder, account=self._account,
        )  # fmt: skip
        self._running.wait_for_port(self.port)
        self._execute(
            "mysql",
            f"CREATE DATABASE {DATABASE}",
            f"CREATE USER {_USER}@'127.0.0.1' IDENTIFIED VIA mysql_native_password"
            f" USING PASSWORD('{self._password}')",
            f"GRANT ALL ON {DATABASE}.* TO {_USER}@'127.0.0.1'",
        )

    def fill(self, sizes: Sizes) -> None:
        """The table of sysbench's scripts, ``bench_rows``, and the files sysbench wants."""
        for name, content in (
            ("cacert.pem", self._pair.certificate),
            ("client-cert.pem", self._pair.certificate),
            ("client-key.pem", self._pair.key),
        ):
            path = self._scratch / name
            path.touch(mode=0o600)
            path.write_bytes(content)
        prepare(self.endpoint(), sizes, self._scratch)
        self.execute(
            # Every row of one length, which ``mysql_wire`` counts by.
            "CREATE TABLE bench_rows ENGINE = MyISAM AS SELECT"
            " 1000000 + seq AS id, seq % 10 AS branch, 100000 + seq * 7919 % 100003 AS balance,"
            f" REPEAT('x', 84) AS filler FROM seq_1_to_{sizes.rows}",
            "FLUSH TABLES",
        )

    def execute(self, *statements: str) -> None:
        """Run statements as the administrator, in the benchmark's database."""
        self._execute(DATABASE, *statements)

    def _execute(self, database: str, *statements: str) -> None:
        run(
            [self._client, "--no-defaults", f"--socket={self._socket}", "--user=root", database],
            stdin=";\n".join(statements),
            seconds=300,
        )

    def stop(self) -> None:
        """Stop, if started."""
        if self._running is not None:
            self._running.stop()
            self._running = None


def _find(name: str) -> str:
    path = find_program(name)
    if path is None:
        raise BenchmarkError(f"{name} is not installed (Debian: apt-get install mariadb-server).")
    return path
