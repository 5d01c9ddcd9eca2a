"""The servers of a soak, the proxy before them, and what it serves: all made, all stopped.

A PostgreSQL and a MariaDB that log every statement, and ``accode-proxy serve`` as an operator
starts it. Knows nothing of the load.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.meters import process_tree
from tests.servers import roles
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.command import CommandProxy
from tests.servers.mariadb import MachineMariadb, is_installed
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer, make_template
from tests.servers.programs import machine_postgres
from tests.servers.proxy import ROOT, Settings
from tests.servers.roles import Role
from tests.servers.waiting import wait_until
from tests.soak.administrator import Administrator
from tests.soak.client import Access
from tests.soak.sources import MYSQL, POSTGRES, WORKSPACES, Place, places
from tests.soak.statement_logs import ServerSide, read_general_log, read_postgres_file

# PostgreSQL's own collector writes JSON, a line for each entry (manual, 20.8.1).
_LOG = "logging_collector = on\nlog_destination = jsonlog\nlog_directory = 'said'\n" + (
    "log_filename = 'all.log'\nlog_rotation_age = 0\nlog_rotation_size = 0\n"
)


class Unavailable(Exception):
    """What the soak needs is missing: one sentence."""


class SoakProxy(CommandProxy):
    """``accode-proxy serve``, with a listener for each protocol."""

    def __init__(self, folder: Path, certificates: Certificates, workers: int) -> None:
        self.workers = workers
        self._mysql_port = free_port()
        # Each execution of a prepared statement has its mark in a bound value.
        super().__init__(
            folder, certificates, workers={"count": workers}, audit={"parameters": True}
        )
        self.ports = {POSTGRES: self.port, MYSQL: self._mysql_port}

    def _write_config(self, overrides: dict[str, Settings]) -> None:
        super()._write_config(overrides)
        with self.config_file.open("a") as configuration:
            configuration.write(
                f'[[listeners]]\nprotocol = "mysql"\nport = {self._mysql_port}\n'
                # MySQL's own driver asks a MySQL 8 for a collation that MariaDB lacks.
                'server_version = "10.11.6-MariaDB"\n'
                f'tls_certificate = "{self.certificates.certificate("server")}"\n'
                f'tls_key = "{self.certificates.key("server")}"\n'
            )

    def reload(self) -> None:
        """Have every worker replaced, and wait for the old ones' end."""
        old = set(process_tree(self.pid)) - {self.pid}
        os.kill(self.pid, signal.SIGHUP)
        wait_until(
            lambda: old.isdisjoint(process_tree(self.pid)), within=90, what="the old workers' end"
        )


class LoggingMariadb(MachineMariadb):
    """The machine's MariaDB, with every statement in a table."""

    def program(self) -> list[str]:
        return [*super().program(), "--general-log=1", "--log-output=TABLE"]


class Setting:
    """Everything that runs. ``secrets``: every password and token that there ever was, named."""

    def __init__(
        self,
        postgres: PostgresServer | None,
        mariadb: MachineMariadb | None,
        proxy: SoakProxy,
        engines: tuple[str, ...],
    ) -> None:
        self.postgres = postgres
        self.mariadb = mariadb
        self.proxy = proxy
        self.places = places(engines)
        self.secrets: list[tuple[str, str]] = []
        tokens = {}
        for workspace in WORKSPACES:
            tokens[workspace] = proxy.create_workspace(workspace)
            self.secrets.append((f"a token of {workspace}", tokens[workspace]))
        for place in self.places:
            self._make(place)
        self.access = Access(proxy.ports, tokens)
        self.administrator = Administrator(proxy.config_file, proxy.whole_environment, ROOT)

    @property
    def accounts(self) -> set[str]:
        """The sources' users at the servers."""
        return {place.account for place in self.places}

    def _make(self, place: Place) -> None:
        account, password, pooling = place.account, self.new_password(place), place.kind.pooling
        if place.kind.engine == POSTGRES:
            assert self.postgres is not None
            self.postgres.execute(
                f"CREATE ROLE {account} LOGIN PASSWORD '{password}';"
                f" CREATE SCHEMA {account} AUTHORIZATION {account};"
                f" CREATE TABLE {account}.entries (owner text, note text);"
                f" ALTER TABLE {account}.entries OWNER TO {account}"
            )
            server: Any = self.postgres
            database = server.database
        else:
            assert self.mariadb is not None
            self.mariadb.administer(
                f"CREATE USER {account}@'%' {_identified(password)}",
                f"CREATE DATABASE {account}",
                f"CREATE TABLE {account}.entries (owner VARCHAR(200), note TEXT)",
                f"GRANT ALL ON {account}.* TO {account}@'%'",
                f"GRANT SELECT ON {self.mariadb.database}.* TO {account}@'%'",
            )
            server, database = self.mariadb, account
        self.proxy.add_source(
            place.workspace,
            place.source,
            server,
            Role(account, password, ""),
            database=database,
            pooling=replace(pooling, maximum=pooling.maximum * self.proxy.workers),
        )

    def new_password(self, place: Place) -> str:
        """A password for a source, remembered as a secret."""
        password = f"Pw-{secrets.token_hex(12)}"
        self.secrets.append((f"a password of {place}", password))
        return password

    # --- at the servers -----------------------------------------------------------------

    def change_password(self, place: Place, password: str) -> None:
        """At the server alone."""
        if place.kind.engine == POSTGRES and self.postgres is not None:
            self.postgres.execute(f"ALTER ROLE {place.account} PASSWORD '{password}'")
        elif self.mariadb is not None:
            self.mariadb.administer(f"ALTER USER {place.account}@'%' {_identified(password)}")

    def terminate(self, place: Place, backend: int) -> None:
        """End a connection at the server, as its administrator would."""
        if place.kind.engine == POSTGRES and self.postgres is not None:
            self.postgres.execute("SELECT pg_terminate_backend(%s)", (backend,))
        elif self.mariadb is not None:
            # One that has ended meanwhile is no error.
            self.mariadb.administer(
                "BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR 1094 BEGIN END;"
                f" KILL CONNECTION {backend}; END"
            )

    def server_connections(self) -> int:
        """How many connections the servers have of the proxy's."""
        count = 0
        if self.postgres is not None:
            sql = "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'soak%'"
            count += int(self.postgres.execute(sql)[0][0])
        if self.mariadb is not None:
            sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE user LIKE 'soak%'"
            count += int(self.mariadb.administer(sql)[0][0])
        return count

    def statements(self) -> ServerSide:
        """What the servers' own logs have of the sources' users."""
        found = ServerSide()
        if self.postgres is not None:
            found.add(read_postgres_file(self.postgres.data / "said" / "all.json", self.accounts))
        if self.mariadb is not None:
            rows = self.mariadb.administer(
                "SET GLOBAL general_log = OFF",
                "SELECT CAST(user_host AS CHAR), command_type, CAST(argument AS CHAR)"
                " FROM mysql.general_log",
            )
            found.add(read_general_log((_row(row) for row in rows), self.accounts))
        return found


def _row(row: Sequence[Any]) -> tuple[str, str, str]:
    user_host, command, text = row
    return user_host, command, text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def _identified(password: str) -> str:
    return f"IDENTIFIED VIA mysql_native_password USING PASSWORD('{password}')"


@contextmanager
def running(folder: Path, *, only: str, workers: int) -> Iterator[Setting]:
    """Start everything in ``folder``, whose path is short; stop all of it at the end.

    Raises Unavailable.
    """
    programs = machine_postgres()
    wants_mysql = only in ("", MYSQL)
    if only != MYSQL and programs is None:
        raise Unavailable("PostgreSQL's server programs are missing (apt install postgresql).")
    if only == MYSQL and not is_installed():
        raise Unavailable("MariaDB is missing (apt install mariadb-server).")
    tls = folder / "tls"
    tls.mkdir(mode=0o755)
    certificates = make_certificates(tls)
    with ExitStack() as stack:
        postgres = mariadb = None
        with ThreadPoolExecutor(1) as thread:
            starting = None
            if wants_mysql and is_installed():
                mariadb = LoggingMariadb(folder / "mariadb", certificates)
                stack.callback(mariadb.stop)
                starting = thread.submit(mariadb.start)
            if only != MYSQL and programs is not None:
                (folder / "pg").mkdir(mode=0o755)
                template = make_template(programs, folder / "pg" / "template")
                postgres = PostgresServer(
                    programs, template, folder / "pg" / "server", certificates=certificates
                )
                postgres.write_hba(
                    roles.hba_lines(has_tls=True) + "host all all 127.0.0.1/32 scram-sha-256\n"
                )
                with (postgres.data / "postgresql.auto.conf").open("a") as settings:
                    settings.write(_LOG)
                stack.callback(postgres.stop)
                postgres.start()
            if starting is not None:
                starting.result(180)
        proxy = SoakProxy(folder / "proxy", certificates, workers)
        stack.callback(proxy.stop)
        engines = ((POSTGRES,) if postgres else ()) + ((MYSQL,) if mariadb else ())
        setting = Setting(postgres, mariadb, proxy, engines)
        stack.callback(setting.administrator.stop)
        proxy.start()
        yield setting
