"""MariaDB's servers: the machine's own, and a newer one from Debian sid (``unpacked``)."""

from __future__ import annotations

import os
import shutil

from tests.servers import sql_accounts
from tests.servers.accounts import give
from tests.servers.sql import SqlServer
from tests.servers.unpacked import MARIADB

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
# What mariadb-install-db feeds to a server in bootstrap mode, in its order.
_SYSTEM_TABLES = (
    "mariadb_system_tables.sql",
    "mariadb_performance_tables.sql",
    "mariadb_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "mariadb_sys_schema.sql",
)
_BEFORE = "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n"


def program(name: str) -> str | None:
    """The path of one of MariaDB's programs on this machine, or None."""
    return shutil.which(name, path=_PATH)


def is_installed() -> bool:
    """Whether this machine has a MariaDB server with all that the tests need."""
    names = ("mariadbd", "mariadb", "mariadb-dump", "mariadb-install-db")
    return all(program(name) is not None for name in names)


class MachineMariadb(SqlServer):
    """The machine's MariaDB: an older one, with mysql_native_password and ed25519."""

    accounts = sql_accounts.MARIADB_OLD
    is_mariadb = True
    options = ("--plugin-load-add=auth_ed25519",)

    def program(self) -> list[str]:
        """mariadbd, where its package put it."""
        return [str(program("mariadbd")), "--no-defaults", f"--datadir={self.data}"]

    def prepare(self) -> None:
        """As its package makes it, with a root that has no password."""
        self.run_to_end(
            str(program("mariadb-install-db")),
            *("--no-defaults", f"--datadir={self.data}", "--skip-test-db"),
            "--auth-root-authentication-method=normal",
        )


class NewMariadb(SqlServer):
    """MariaDB 11.8 or newer, with every plug-in that it has for a password."""

    accounts = sql_accounts.MARIADB
    is_mariadb = True
    options = (
        "--plugin-load-add=auth_ed25519",
        "--plugin-load-add=auth_parsec",
        "--plugin-load-add=auth_mysql_sha2",
        # That of the test suite says nothing of its maturity.
        *("--plugin-maturity=unknown", "--plugin-load-add=auth_test_plugin"),
        # It lets users of mysql_old_password come as far as the question for their hash.
        "--secure-auth=OFF",
    )

    def program(self) -> list[str]:
        """mariadbd, told where its own files are."""
        return [
            *MARIADB.command("sbin/mariadbd"),
            *("--no-defaults", f"--datadir={self.data}", f"--basedir={MARIADB.usr}"),
            f"--lc-messages-dir={MARIADB.usr / 'share/mariadb'}",
            f"--character-sets-dir={MARIADB.usr / 'share/mariadb/charsets'}",
            f"--plugin-dir={MARIADB.usr / 'lib/mysql/plugin'}",
        ]

    def prepare(self) -> None:
        """What mariadb-install-db does; the helpers it calls need the machine's libraries."""
        self.data.mkdir(mode=0o700)
        share = MARIADB.usr / "share/mariadb"
        script = self.folder / "system_tables.sql"
        script.write_text(_BEFORE + "".join((share / part).read_text() for part in _SYSTEM_TABLES))
        give(self.folder)
        with script.open("rb") as statements:
            self.run_to_end(
                *self.program(),
                *("--bootstrap", "--log-warnings=0", "--enforce-storage-engine="),
                *("--max-allowed-packet=8M", "--net-buffer-length=16K"),
                stdin=statements,
            )
