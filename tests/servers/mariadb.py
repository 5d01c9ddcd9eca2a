"""A real MariaDB of the run's own: its accounts, its life. Knows no proxy."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from tests.servers.certificates import Certificates
from tests.servers.ports import free_port
from tests.servers.waiting import wait_until

DATABASE = "shop"
# One account for each way to log in: its plug-in and its password.
ACCOUNTS = {
    "native": ("mysql_native_password", "native s3cret"),
    "ed25519": ("ed25519", "ed25519 s3cret"),
}
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def program(name: str) -> str | None:
    """The path of one of MariaDB's programs on this machine, or None."""
    return shutil.which(name, path=_PATH)


def is_installed() -> bool:
    """Whether this machine has a MariaDB server with all that the tests need."""
    names = ("mariadbd", "mariadb", "mariadb-dump", "mariadb-install-db")
    return all(program(name) is not None for name in names)


class MariadbServer:
    """One server on a free port of loopback, with TLS, ended by ``stop``."""

    host = "127.0.0.1"
    database = DATABASE

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        folder.mkdir(mode=0o755)
        self.folder = folder
        self.certificates = certificates
        self.port = free_port()
        self.log = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> MariadbServer:
        """Make the data directory, start, and make the accounts."""
        data, user = self.folder / "data", self._user()
        for name in ("server.crt", "server.key", "ca.crt"):
            shutil.copy(self.certificates.folder / name, self.folder / name)
        if os.geteuid() == 0:
            for path in (self.folder, self.folder / "server.key"):
                shutil.chown(path, user)
        with self.log.open("wb") as log:
            subprocess.run(
                [
                    str(program("mariadb-install-db")),
                    *("--no-defaults", f"--datadir={data}", f"--user={user}", "--skip-test-db"),
                    "--auth-root-authentication-method=normal",
                ],
                check=True,
                stdout=log,
                stderr=log,
                timeout=120,
            )
            self.process = subprocess.Popen(
                [
                    str(program("mariadbd")),
                    *("--no-defaults", f"--datadir={data}", f"--user={user}"),
                    *(f"--port={self.port}", f"--bind-address={self.host}"),
                    *(f"--socket={self.folder / 's'}", "--plugin-load-add=auth_ed25519"),
                    *("--max-allowed-packet=256M", "--innodb-flush-log-at-trx-commit=0"),
                    f"--ssl-cert={self.folder / 'server.crt'}",
                    f"--ssl-key={self.folder / 'server.key'}",
                    f"--ssl-ca={self.folder / 'ca.crt'}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: self.administer("SELECT 1") is not None, what="MariaDB to start")
        statements = [f"CREATE DATABASE {DATABASE}"]
        for name, (plugin, password) in ACCOUNTS.items():
            statements += [
                f"CREATE USER {name}@'%' IDENTIFIED VIA {plugin} USING PASSWORD('{password}')",
                f"GRANT ALL ON *.* TO {name}@'%'",
            ]
        assert self.administer("; ".join(statements)) is not None, self.log.read_text()
        return self

    def stop(self) -> None:
        """End it and wait."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)

    def administer(self, sql: str) -> str | None:
        """Run statements as root over the socket; their output, or None where that failed."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        done = subprocess.run(
            [
                *(str(program("mariadb")), "--no-defaults", "--batch", "--skip-column-names"),
                *("-uroot", f"--socket={self.folder / 's'}", "-e", sql),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout if done.returncode == 0 else None

    def _user(self) -> str:
        # The server refuses to run as root; its package has made a user of its own.
        return "mysql" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
