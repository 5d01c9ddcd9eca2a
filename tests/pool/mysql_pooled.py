"""A workspace whose source is a pooled MySQL or MariaDB."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pymysql

from proxy.store import PoolSettings
from tests.mysql.conftest import add_source
from tests.pool.pooled import POOLED, SOURCE, Pooled
from tests.servers.proxy import ProxyServer
from tests.servers.sql import SqlServer


class MysqlPooled(Pooled):
    """A workspace, its token, and its pooled source ``orders``."""

    def __init__(
        self,
        proxy: ProxyServer,
        server: SqlServer,
        name: str,
        account: str,
        pooling: PoolSettings = POOLED,
        **source: Any,
    ) -> None:
        super().__init__(proxy, name)
        self.server = server
        add_source(proxy, name, server, account, name=SOURCE, pooling=pooling, **source)
        self.catch_up()

    def connect(self, **options: Any) -> Any:
        """A session through PyMySQL, in autocommit."""
        return pymysql.connect(
            **{
                "host": self.proxy.host,
                "port": self.proxy.port,
                "user": self.name,
                "password": self.token,
                "database": SOURCE,
                "ssl_disabled": True,
                "autocommit": True,
            }
            | options
        )

    def can_connect(self, **login: Any) -> bool:
        """Whether a session opens."""
        with suppress(pymysql.err.MySQLError):
            self.connect(**login).close()
            return True
        return False
