"""MySQL's server, 9.7 or newer, from Debian sid: see ``unpacked``."""

from __future__ import annotations

from tests.servers import sql_accounts
from tests.servers.sql import SqlServer
from tests.servers.unpacked import MYSQL


class MysqlServer(SqlServer):
    """MySQL with caching_sha2_password and sha256_password."""

    accounts = sql_accounts.MYSQL
    # The folder that Debian's build names is made by a package that is not unpacked.
    options = ("--mysqlx=OFF", "--skip-log-bin", "--secure-file-priv=NULL")

    def program(self) -> list[str]:
        """mysqld, told where its own files are."""
        return [
            *MYSQL.command("sbin/mysqld"),
            *("--no-defaults", f"--datadir={self.data}", f"--basedir={MYSQL.usr}"),
            f"--lc-messages-dir={MYSQL.usr / 'share/mysql'}",
            f"--character-sets-dir={MYSQL.usr / 'share/mysql/charsets'}",
            f"--plugin-dir={MYSQL.usr / 'lib/mysql/plugin'}",
        ]

    def prepare(self) -> None:
        """As MySQL makes it, with a root that has no password."""
        self.run_to_end(*self.program(), "--initialize-insecure")
