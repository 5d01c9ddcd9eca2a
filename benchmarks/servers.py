"""The one PostgreSQL server behind every subject, and the certificate they all present.

Knows how to make, fill and stop a throw-away cluster. Must never know about proxies.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import secrets
import signal
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.bench import Sizes
from benchmarks.processes import (
    Account,
    BenchmarkError,
    Server,
    find_program,
    free_port,
    give,
    owned_folder,
    run,
    server_account,
)
from benchmarks.sessions import Endpoint, Session
from benchmarks.wire import RawClient, scram_verifier

_DEBIAN_PROGRAMS = "/usr/lib/postgresql/15/bin"
DATABASE = "bench"
# One role for each number of SCRAM iterations: 4,096 is PostgreSQL's own default, and 1 shows
# what a connect costs when neither side stretches.
SCRAM_ITERATIONS = (4096, 1)

# One connection for each idle session, through a pooler that keeps its own, and some to spare.
_MAX_CONNECTIONS = 2500

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": str(_MAX_CONNECTIONS),
    "shared_buffers": "256MB",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Neither a checkpoint nor a vacuum shall fall into one subject's turn by chance.
    "checkpoint_timeout": "1h",
    "max_wal_size": "8GB",
    "autovacuum": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "ssl": "on",
    "ssl_cert_file": "server.crt",
    "ssl_key_file": "server.key",
    "password_encryption": "scram-sha-256",
    "log_checkpoints": "off",
}


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


def make_certificate() -> Certificate:
    """ECDSA P-256, valid for a day: every subject presents this same one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def write_certificate(
    pair: Certificate, folder: Path, name: str, account: Account | None
) -> tuple[Path, Path]:
    """Write ``name.crt`` and ``name.key`` (0600) for the account; returns both paths."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    certificate.write_bytes(pair.certificate)
    key.touch(mode=0o600)
    key.write_bytes(pair.key)
    give(certificate, account)
    give(key, account)
    return certificate, key


@dataclass(frozen=True, slots=True)
class Role:
    """A role of the server: its password and the verifier the server stores for it."""

    name: str
    password: str
    verifier: str


def _make_role(iterations: int) -> Role:
    password = secrets.token_hex(16)
    verifier = scram_verifier(password, iterations, secrets.token_bytes(16))
    return Role(f"bench{iterations}", password, verifier)


class PostgresServer:
    """A cluster of our own on a free loopback port. See ``bench.DatabaseServer``."""

    title = "PostgreSQL"
    settings = MappingProxyType(SETTINGS)

    def __init__(self, scratch: Path, certificate: Certificate) -> None:
        self.port = free_port()
        self.roles = {count: _make_role(count) for count in SCRAM_ITERATIONS}
        self._programs = find_postgres()
        self.account = server_account(self.title, "postgres")
        self._folder = owned_folder(scratch / "postgres", self.account)
        self._data = self._folder / "data"
        self._certificate = certificate
        self._server: Server | None = None

    def version(self) -> str:
        """As ``postgres --version`` says it."""
        return run([self._program("postgres"), "--version"]).strip()

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """The server itself, with nothing in between."""
        role = self.roles[iterations]
        return Endpoint(self.port, role.name, role.password, DATABASE, tls)

    def connect(self, endpoint: Endpoint) -> Session:
        """Log in with the minimal client."""
        return RawClient(endpoint)

    def rows_query(self, rows: int) -> str:
        """Of ``bench_rows``, which ``fill`` makes."""
        return f"SELECT * FROM bench_rows LIMIT {rows}"

    def wide_query(self, rows: int, width: int) -> str:
        """Made up by the server as it goes."""
        return f"SELECT repeat('x', {width}) FROM generate_series(1, {rows})"

    def start(self) -> None:
        """initdb, start, and make the roles and the database."""
        run(
            [self._program("initdb"), "-D", str(self._data), "-U", "postgres", "--auth=trust",
             "--encoding=UTF8", "--no-locale", "--no-sync"],
            cwd=self._folder, account=self.account, seconds=120,
        )  # fmt: skip
        write_certificate(self._certificate, self._data, "server", self.account)
        hba = self._data / "pg_hba.conf"
        hba.write_text(
            "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        with (self._data / "postgresql.conf").open("a") as configuration:
            configuration.writelines(f"{key} = '{value}'\n" for key, value in SETTINGS.items())
        self._server = Server(
            "PostgreSQL",
            [self._program("postgres"), "-D", str(self._data), "-p", str(self.port)],
            log=self._folder / "log",
            cwd=self._folder,
            account=self.account,
            # Fast shutdown (manual 19.5): open sessions are ended.
            stop_signal=signal.SIGINT,
        )
        ready = [self._program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        self._server.wait_until(lambda: _succeeds(ready))
        for role in self.roles.values():
            self._execute("postgres", f"CREATE ROLE {role.name} LOGIN PASSWORD '{role.verifier}'")
        self._execute("postgres", f"CREATE DATABASE {DATABASE} OWNER {self.roles[4096].name}")

    def fill(self, sizes: Sizes) -> None:
        """The pgbench tables, and ``bench_rows`` and ``bench_sink`` for the bulk cases."""
        run(
            [self._program("pgbench"), "-i", "-q", "-s", str(sizes.scale)],
            environment=self.endpoint().libpq_environment(), seconds=300,
        )  # fmt: skip
        self.execute(
            "CREATE UNLOGGED TABLE bench_rows AS SELECT i AS id, i % 10 AS branch,"
            " (i::bigint * 7919 % 100003)::int AS balance, repeat('x', 84) AS filler"
            f" FROM generate_series(1, {sizes.rows}) AS i",
            "CREATE UNLOGGED TABLE bench_sink (LIKE bench_rows)",
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC",
            "VACUUM (FREEZE, ANALYZE)",
            "CHECKPOINT",
        )

    def execute(self, *statements: str) -> None:
        """Run statements as the superuser, in the benchmark's database."""
        self._execute(DATABASE, *statements)

    def _execute(self, database: str, *statements: str) -> None:
        command = [self._program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1"]
        for statement in statements:
            command += ["-c", statement]
        environment = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGDATABASE": database,
            "PGSSLMODE": "disable",
        }
        run(command, environment=environment, seconds=300)

    def stop(self) -> None:
        """Fast shutdown, if it was started."""
        if self._server is not None:
            self._server.stop()

    def _program(self, name: str) -> str:
        return str(self._programs / name)


def find_postgres() -> Path:
    """The folder of the server's own programs, such as pgbench. Raises BenchmarkError."""
    path = find_program("postgres", _DEBIAN_PROGRAMS)
    if path is None or not (Path(path).parent / "pgbench").exists():
        raise BenchmarkError("PostgreSQL 15 is not installed (Debian: apt-get install postgresql).")
    return Path(path).parent


def _succeeds(command: list[str]) -> bool:
    try:
        run(command, seconds=10)
    except BenchmarkError:
        return False
    return True
