"""The machine's MariaDB or MySQL, for the demo alone: a server of its own, on loopback.

Nobody can log in to it before it has the password: its accounts are made from a file that
it reads before it listens (``--init-file``), and nobody but that account has a password.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from proxy.demo.server import (
    DemoError,
    RunAs,
    account,
    free_port,
    give,
    run,
    run_as,
    write_private,
)

ACCOUNT, DATABASE = "shop", "shop"
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_PAUSE = 0.05
_VERSION_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class MysqlPrograms:
    """``installer`` makes MariaDB's data directory; None: MySQL's server makes its own."""

    server: str
    installer: str | None

    @property
    def name(self) -> str:
        """What it is, for the reader."""
        return "MySQL" if self.installer is None else "MariaDB"


def find_mysql(path: str) -> MysqlPrograms | None:
    """The server's programs in these folders, written as PATH is; None: there is none.

    ``sbin`` beside a ``bin`` counts too: Debian keeps servers where only root's PATH leads.
    """
    folders = [Path(part) for part in path.split(":") if part]
    beside = [folder.with_name("sbin") for folder in folders if folder.name == "bin"]
    places = ":".join(str(folder) for folder in (*folders, *beside))
    installer = shutil.which("mariadb-install-db", path=places)
    mariadb = shutil.which("mariadbd", path=places)
    if mariadb is not None and installer is not None:
        return MysqlPrograms(mariadb, installer)
    # Where it is MariaDB under its old name, its installer is needed all the same.
    mysql = shutil.which("mysqld", path=places)
    if mysql is None:
        return None
    if not _is_mariadb(mysql):
        return MysqlPrograms(mysql, None)
    return None if installer is None else MysqlPrograms(mysql, installer)


@dataclass(frozen=True, slots=True)
class LocalMysql:
    """A running server. ``ca_pem`` None: it has no TLS."""

    name: str
    port: int
    ca_pem: str | None


@contextmanager
def local_mysql(programs: MysqlPrograms, folder: Path, password: str) -> Iterator[LocalMysql]:
    """Run a server in ``folder`` on loopback until the block ends.

    Its account ``shop`` has that password, of letters, digits, ``-`` and ``_``. Raises
    DemoError.
    """
    user = account("mysql", "nobody")
    who = run_as(user)
    place = folder / "mysql"
    place.mkdir(mode=0o700)
    give(place, user)
    data = place / "data"
    _make_data(programs, data, who)
    first = place / "init.sql"
    write_private(first, _statements(password).encode(), user)
    port = free_port()
    process = subprocess.Popen(
        [
            *(programs.server, "--no-defaults", f"--datadir={data}"),
            *(f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve"),
            *(f"--socket={place / 'socket'}", f"--pid-file={place / 'pid'}"),
            *(f"--init-file={first}", f"--log-error={place / 'log'}"),
            *([] if programs.installer else ["--mysqlx=OFF"]),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        # Ctrl-C is for the demo, which then stops the server.
        start_new_session=True,
        **who,
    )
    try:
        _wait(process, port, programs.name)
        first.unlink()
        # MySQL makes itself a CA and certificates at its first start, MariaDB 10.11 does not.
        ca = data / "ca.pem"
        yield LocalMysql(programs.name, port, ca.read_text() if ca.exists() else None)
    finally:
        _stop(process)


def _is_mariadb(server: str) -> bool:
    try:
        done = subprocess.run(
            [server, "--no-defaults", "--version"],
            capture_output=True,
            timeout=_VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b"MariaDB" in done.stdout


def _make_data(programs: MysqlPrograms, data: Path, who: RunAs) -> None:
    what = f"{programs.name}: making its data directory"
    if programs.installer is None:
        # Its root has no password until the statements below are read, before it listens.
        command = [programs.server, "--no-defaults", "--initialize-insecure"]
        run([*command, f"--datadir={data}"], who, what)
        return
    run(
        [
            *(programs.installer, "--no-defaults", f"--datadir={data}"),
            *("--skip-test-db", "--auth-root-authentication-method=socket"),
        ],
        who,
        what,
    )


def _statements(password: str) -> str:
    """One on each line, as an init file has them."""
    return (
        f"CREATE DATABASE {DATABASE};\n"
        f"CREATE USER {ACCOUNT}@'127.0.0.1' IDENTIFIED BY '{password}';\n"
        f"GRANT ALL ON {DATABASE}.* TO {ACCOUNT}@'127.0.0.1';\n"
        "DROP USER root@localhost;\n"
    )


def _wait(process: subprocess.Popen[bytes], port: int, name: str) -> None:
    deadline = monotonic() + _START_SECONDS
    while monotonic() < deadline:
        if process.poll() is not None:
            raise DemoError(f"{name}: the server ended at once (exit code {process.returncode}).")
        if _greets(port):
            return
        sleep(_PAUSE)
    raise DemoError(f"{name}: the server does not answer after {_START_SECONDS:g} seconds.")


def _greets(port: int) -> bool:
    """Whether the server serves: its port is open before it has read its init file."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as probe:
            return bool(probe.recv(1))
    except OSError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
