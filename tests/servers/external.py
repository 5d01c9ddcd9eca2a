"""A PostgreSQL that somebody else runs, named by ACCODE_TEST_POSTGRES.

It is used as it is: the test roles are made in it, without superuser rights, and removed
at the end. It is never stopped, frozen or reconfigured, and its log is not ours to read:
a test that needs that is skipped and says so.
"""

from __future__ import annotations

from typing import Any, NoReturn

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.servers import roles
from tests.servers.postgres import PostgresServer
from tests.servers.roles import Role


class ExternalPostgres(PostgresServer):
    """The server of a DSN whose user may create roles. Raises RuntimeError where it cannot be."""

    def __init__(self, dsn: str) -> None:
        # Nothing of the base's constructor applies: it makes a server.
        self._dsn = dsn
        self.process = None
        self.certificates = None
        with psycopg.connect(dsn, autocommit=True, connect_timeout=20) as connection:
            self.host = connection.info.host
            self.port = connection.info.port
            self.database = connection.info.dbname
            taken = connection.execute(
                "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)",
                ([role.name for role in roles.ROLES],),
            ).fetchall()
            if taken:
                raise RuntimeError(
                    f"the server named by ACCODE_TEST_POSTGRES has roles of its own named"
                    f" {', '.join(name for (name,) in taken)}; tests would overwrite them"
                )
            for statement in roles.creation_sql(self.database, superuser=False):
                connection.execute(statement.encode())

    @property
    def has_tls(self) -> bool:
        """Whether the server speaks TLS."""
        return self.execute("SHOW ssl") == [("on",)]

    def dsn(self, role: Role | None = None, *, tls: str | None = None) -> str:
        """Return the DSN given, or that of one role on the same server."""
        if role is None:
            return self._dsn
        mode = tls or str(conninfo_to_dict(self._dsn).get("sslmode", "prefer"))
        return (
            f"host={self.host} port={self.port} user={role.name} password={role.password} "
            f"dbname={self.database} sslmode={mode}"
        )

    def remove(self) -> None:
        """Take the test roles, and what they own, out again."""
        for role in roles.ROLES:
            self.execute(f"DROP OWNED BY {role.name} CASCADE")
            self.execute(f"DROP ROLE {role.name}")

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        pytest.skip("the server named by ACCODE_TEST_POSTGRES is not ours to look into or change")

    start = stop = kill = restart = freeze = thaw = _refuse
    write_hba = configure = use_certificate = reload = log_text = backend_pids = _refuse
