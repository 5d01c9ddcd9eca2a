"""One real PostgreSQL server in a temporary directory, on a loopback port of its own.

Started as a child of the test run; its log, with every statement, is a file that tests
read. Roles and passwords are in ``roles``. Knows nothing of the proxy.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.servers import roles
from tests.servers.accounts import give, run_as
from tests.servers.certificates import Certificates
from tests.servers.ports import free_port
from tests.servers.programs import PostgresPrograms
from tests.servers.roles import Role
from tests.servers.waiting import wait_until

_SETTINGS = """
listen_addresses = '127.0.0.1'
max_connections = 300
max_prepared_transactions = 5
fsync = off
synchronous_commit = off
full_page_writes = off
log_statement = all
log_connections = on
log_disconnections = on
log_line_prefix = '%m [%p] %u@%d %a '
# Kept in the data directory, so that a killed server leaves nothing behind in /dev/shm.
dynamic_shared_memory_type = mmap
shared_buffers = 32MB
# SCRAM's count is left at PostgreSQL's default of 4096: tests expect the real one.
"""

_TLS_SETTINGS = """
ssl = on
ssl_ca_file = 'ca.crt'
ssl_cert_file = 'server.crt'
ssl_key_file = 'server.key'
"""


class PostgresServer:
    """A server made from a template directory (see ``make_template``).

    ``host``, ``port``: where it listens (TCP). ``socket_folder``: its Unix socket, on
    which the superuser needs no password. ``certificates`` is None without TLS.
    """

    engine = "postgresql"
    host = "127.0.0.1"
    database = roles.DATABASE

    def __init__(
        self,
        programs: PostgresPrograms,
        template: Path,
        folder: Path,
        *,
        certificates: Certificates | None = None,
    ) -> None:
        self.programs = programs
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.certificates = certificates
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(mode=0o755)
        # Copied by cp: it is four times as fast as shutil.copytree for a thousand files.
        subprocess.run(["cp", "-a", str(template), str(self.data)], check=True)
        settings = _SETTINGS
        if certificates is not None:
            settings += _TLS_SETTINGS
            shutil.copy(certificates.ca, self.data / "ca.crt")
            self._place_certificate("server")
        settings += f"unix_socket_directories = '{folder}'\n"
        (self.data / "postgresql.auto.conf").write_text(settings)
        self.write_hba(roles.hba_lines(has_tls=certificates is not None))
        self.log.touch()
        give(folder)

    @property
    def has_tls(self) -> bool:
        """Whether the server speaks TLS."""
        return self.certificates is not None

    @property
    def socket_folder(self) -> Path:
        """The folder of its Unix socket."""
        return self.folder

    # --- life ---------------------------------------------------------------------

    def start(self) -> PostgresServer:
        """Start and wait until it takes connections. Raises RuntimeError with its log."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs.path("postgres"), "-D", self.data, "-p", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,
                **run_as(),
            )
        try:
            wait_until(self._has_settled, what="PostgreSQL to start")
        except TimeoutError:
            self.kill()
            raise
        if not self._is_ready():
            raise RuntimeError(f"PostgreSQL did not start:\n{self.log_text()}")
        return self

    def _has_settled(self) -> bool:
        return self._is_ready() or not self.is_running

    def _is_ready(self) -> bool:
        # postmaster.pid line 8 is the server's own status (miscadmin.h, LOCK_FILE_LINE_PM_STATUS),
        # "standby" where it serves readers in recovery;
        # line 1 its process id, which differs in a file left behind by a killed server.
        with suppress(FileNotFoundError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return (
                self.process is not None
                and len(lines) >= 8
                and lines[0].strip() == str(self.process.pid)
                and lines[7].strip() in ("ready", "standby")
            )
        return False

    @property
    def is_running(self) -> bool:
        """Whether the postmaster lives."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """Stop as an operator would (fast shutdown: sessions are cut with 57P01)."""
        if self.process is None:
            return
        if self.is_running:
            # Pending before a frozen process goes on; without effect on any other.
            self.process.send_signal(signal.SIGINT)
            self.thaw()
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process = None

    def kill(self) -> None:
        """End every process at once with SIGKILL: a crash."""
        if self.process is None:
            return
        if self.is_running:
            # Stopped, it starts no further child, and none sees it die and says so to its client.
            self._stop_postmaster()
            children = self.backend_pids()
            _signal(children, signal.SIGKILL)
            # What still has its shared memory would be in the way of the next start.
            wait_until(lambda: self._states({*children}) <= {"Z"}, what="its processes to end")
            self.process.kill()
        self.process.wait(20)
        self.process = None

    def restart(self) -> None:
        """Stop and start on the same port with the same data."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop every process with SIGSTOP: connections stay open and nothing answers."""
        assert self.process is not None
        # The postmaster first: once stopped it starts no further child.
        self._stop_postmaster()
        _signal(self.backend_pids(), signal.SIGSTOP)
        wait_until(lambda: self.is_frozen, what="every PostgreSQL process to stop")

    def _stop_postmaster(self) -> None:
        os.kill(self.process_id, signal.SIGSTOP)
        wait_until(
            lambda: self._states({self.process_id}) <= {"T", "Z"}, what="the postmaster to stop"
        )

    def thaw(self) -> None:
        """Let every process go on."""
        _signal([*self.backend_pids(), self.process_id], signal.SIGCONT)

    @property
    def is_frozen(self) -> bool:
        """Whether every process is stopped."""
        # Z: a child that had ended before its parent was stopped, which will read its status.
        return self._states({self.process_id, *self.backend_pids()}) <= {"T", "Z"}

    @property
    def process_id(self) -> int:
        """The postmaster's."""
        assert self.process is not None, "this PostgreSQL has not been started"
        return self.process.pid

    @staticmethod
    def _states(pids: set[int]) -> set[str]:
        """Return the letters proc(5) gives: T is stopped by a signal."""
        return {status[0] for pid, status in _processes() if pid in pids}

    def remove(self) -> None:
        """Stop it and delete its directory."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def backend_pids(self) -> list[int]:
        """Return the process ids of the postmaster's children: backends and helpers."""
        return [pid for pid, status in _processes() if int(status[1]) == self.process_id]

    # --- settings -----------------------------------------------------------------

    def write_hba(self, text: str) -> None:
        """Replace pg_hba.conf; ``reload`` makes a running server read it."""
        (self.data / "pg_hba.conf").write_text(text)

    def configure(self, **settings: str) -> None:
        """Set parameters that a reload applies, for example ``ssl_max_protocol_version``."""
        for name, value in settings.items():
            self.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.reload()

    def use_certificate(self, name: str) -> None:
        """Serve another certificate of ``certificates`` from the next connection on."""
        self._place_certificate(name)
        give(self.data / "server.crt")
        give(self.data / "server.key")
        self.reload()

    def _place_certificate(self, name: str) -> None:
        assert self.certificates is not None, "this PostgreSQL was built without TLS"
        shutil.copy(self.certificates.certificate(name), self.data / "server.crt")
        shutil.copy(self.certificates.key(name), self.data / "server.key")
        (self.data / "server.key").chmod(0o600)

    def reload(self) -> None:
        """Make the server read its configuration again; returns when it has.

        The postmaster logs after it has read the files, so a connection made after this
        returns is judged by the new ones.
        """
        before = self.log_text().count("received SIGHUP, reloading")
        start = self.execute("SELECT pg_conf_load_time()::text")
        self.execute("SELECT pg_reload_conf()")
        wait_until(
            lambda: self.log_text().count("received SIGHUP, reloading") > before,
            what="PostgreSQL to reload",
        )
        wait_until(
            lambda: self.execute("SELECT pg_conf_load_time()::text") != start,
            what="PostgreSQL to have reloaded",
        )

    # --- use ----------------------------------------------------------------------

    def dsn(self, role: Role | None = None, *, tls: str | None = None) -> str:
        """Return a libpq DSN: of ``role`` by TCP, or of the superuser by Unix socket.

        ``tls`` is libpq's sslmode; verifying modes trust the test authority.
        """
        if role is None:
            return (
                f"host={self.socket_folder} port={self.port} "
                f"user={roles.SUPERUSER} dbname={self.database}"
            )
        mode = tls or ("require" if role.needs_tls and role is not roles.PLAIN_ONLY else "disable")
        dsn = (
            f"host={self.host} port={self.port} user={role.name} password={role.password} "
            f"dbname={self.database} sslmode={mode}"
        )
        if mode.startswith("verify") and self.certificates is not None:
            dsn += f" sslrootcert={self.certificates.ca}"
        if role is roles.CERT and self.certificates is not None:
            dsn += (
                f" sslcert={self.certificates.certificate('client')}"
                f" sslkey={self.certificates.key('client')}"
            )
        return dsn

    def url(self, role: Role, *, scheme: str = "postgresql") -> str:
        """Return ``scheme://role:password@127.0.0.1:port/database``."""
        return f"{scheme}://{role.name}:{role.password}@{self.host}:{self.port}/{self.database}"

    def execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run statements as superuser, in autocommit; return the last one's rows."""
        with psycopg.connect(self.dsn(), autocommit=True, connect_timeout=20) as connection:
            # A separate literal type is demanded of SQL made of parts; tests write their own.
            cursor = connection.execute(sql.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def session_count(self, role: Role) -> int:
        """Return how many sessions of ``role`` the server has now."""
        sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
        return int(self.execute(sql, (role.name,))[0][0])

    def log_text(self) -> str:
        """Return the whole server log: connections, statements, errors."""
        return self.log.read_text(errors="replace")


def make_template(programs: PostgresPrograms, folder: Path) -> Path:
    """Make a data directory with every role in it, for servers to be copied from.

    About two seconds; a server copied from it starts in a fraction of one.
    """
    folder.mkdir(mode=0o755)
    give(folder)
    data = folder / "initial"
    done = subprocess.run(
        [
            *(programs.path("initdb"), "-D", data, "-U", roles.SUPERUSER, "--no-sync"),
            *("--encoding=UTF8", "--locale=C", "--auth=trust"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        **run_as(),
    )
    if done.returncode != 0:
        raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")
    server = PostgresServer(programs, data, folder / "first").start()
    try:
        for statement in roles.creation_sql():
            server.execute(statement)
    finally:
        server.stop()
    return server.data


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Yield each process's id and what follows its name in proc(5) stat: state, parent, ..."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                # The name is in parentheses and may itself hold spaces and parentheses.
                yield int(entry.name), (entry / "stat").read_text().rpartition(")")[2].split()


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
