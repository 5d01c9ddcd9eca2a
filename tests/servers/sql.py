"""A real MySQL or MariaDB of the run's own: its life, its accounts. Knows no proxy."""

from __future__ import annotations

import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql

from tests.servers.accounts import give, run_as
from tests.servers.certificates import Certificates
from tests.servers.ports import free_port
from tests.servers.sql_accounts import Account
from tests.servers.waiting import wait_until

DATABASE = "shop"
NUMBERS = 20_000
"""Rows of ``shop.numbers``: one column, ``seq``, from 1."""
_DIGITS = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
_FILL = f"""
INSERT INTO {DATABASE}.numbers
SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d
FROM ({_DIGITS}) a, ({_DIGITS}) b, ({_DIGITS}) c, ({_DIGITS}) e, (SELECT 0 AS d UNION SELECT 1) f
"""


class SqlServer(ABC):
    """One server on a free port of loopback, with TLS, ended by ``stop``.

    A subclass says how it is made; ``accounts`` are its users, each with every right.
    """

    engine = "mysql"
    host = "127.0.0.1"
    database = DATABASE
    accounts: Sequence[Account] = ()
    is_mariadb = False
    options: Sequence[str] = ()
    """What the server is started with besides what both kinds understand."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        folder.mkdir(mode=0o755)
        self.folder = folder
        self.data = folder / "data"
        self.socket = folder / "s"
        self.certificates = certificates
        self.port = free_port()
        self.log = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    def account(self, name: str) -> Account:
        """The account of that name."""
        return next(account for account in self.accounts if account.name == name)

    @property
    def public_key(self) -> str:
        """The RSA key, in PEM, that the server would have passwords encrypted with."""
        return (self.data / "public_key.pem").read_text()

    @abstractmethod
    def prepare(self) -> None:
        """Make the data directory; everything written goes to the log."""

    @abstractmethod
    def program(self) -> list[str]:
        """What starts the server; its options follow."""

    def start(self) -> SqlServer:
        """Make the data directory, start, and make the accounts."""
        for name in ("server.crt", "server.key", "ca.crt"):
            shutil.copy(self.certificates.folder / name, self.folder / name)
        self.log.touch()
        give(self.folder)
        self.prepare()
        self.process = self.run(
            *self.program(),
            *(f"--port={self.port}", f"--bind-address={self.host}", f"--socket={self.socket}"),
            *(f"--pid-file={self.folder / 'pid'}", "--max-allowed-packet=256M", "--local-infile=1"),
            *("--max-connections=200", "--innodb-flush-log-at-trx-commit=0"),
            f"--ssl-cert={self.folder / 'server.crt'}",
            f"--ssl-key={self.folder / 'server.key'}",
            f"--ssl-ca={self.folder / 'ca.crt'}",
            *self.options,
        )
        wait_until(self._is_up, within=60, what="the database server to start")
        self.administer(
            f"CREATE DATABASE {DATABASE}",
            f"CREATE TABLE {DATABASE}.numbers (seq INT PRIMARY KEY)",
            _FILL,
        )
        for account in self.accounts:
            self.administer(
                account.creation_sql, f"GRANT ALL ON *.* TO {account.name}@'%' WITH GRANT OPTION"
            )
        return self

    def run(self, *command: str, stdin: int | Any = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start a program as the server's user."""
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdin=stdin, stdout=log, stderr=log, **run_as())

    def run_to_end(self, *command: str, stdin: int | Any = subprocess.DEVNULL) -> None:
        """Run a program as the server's user; it must end well."""
        status = self.run(*command, stdin=stdin).wait(120)
        assert status == 0, self.log.read_text(errors="replace")

    def stop(self) -> None:
        """End it and wait."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)

    def administer(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as root over the socket; the rows of the last one."""
        rows: list[tuple[Any, ...]] = []
        with (
            closing(
                pymysql.connect(unix_socket=str(self.socket), user="root", autocommit=True)
            ) as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)
                rows = list(cursor.fetchall())
        return rows

    def status(self, variable: str) -> int:
        """A counter of SHOW GLOBAL STATUS."""
        ((_, value),) = self.administer(f"SHOW GLOBAL STATUS LIKE '{variable}'")
        return int(value)

    def _is_up(self) -> bool:
        # Asking it would do too, but a driver that is refused warns of its unclosed socket.
        assert self.process is not None
        said = self.log.read_text(errors="replace")
        assert self.process.poll() is None, said
        return "ready for connections" in said
