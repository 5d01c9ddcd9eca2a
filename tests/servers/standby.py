"""A streaming standby of a real PostgreSQL: copied by pg_basebackup, following, promoted."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.servers import roles
from tests.servers.accounts import give, run_as
from tests.servers.postgres import PostgresServer
from tests.servers.waiting import wait_until


def make_standby(primary: PostgresServer, folder: Path) -> PostgresServer:
    """Start a hot standby of ``primary``; it has caught up when this returns."""
    has_tls = primary.has_tls
    primary.write_hba(roles.hba_lines(has_tls=has_tls) + "local replication all trust\n")
    primary.reload()
    folder.mkdir(mode=0o755)
    give(folder)
    copy = folder / "copy"
    conninfo = f"host={primary.socket_folder} port={primary.port} user={roles.SUPERUSER}"
    subprocess.run(
        [
            *(primary.programs.path("pg_basebackup"), "-d", conninfo, "-D", copy),
            *("-X", "stream", "--checkpoint=fast", "--no-sync"),
        ],
        check=True,
        cwd=folder,
        **run_as(),
    )
    server = PostgresServer(
        primary.programs, copy, folder / "server", certificates=primary.certificates
    )
    (server.data / "standby.signal").touch()
    with (server.data / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"primary_conninfo = '{conninfo}'\n")
    give(server.folder)
    server.start()
    wait_until(
        lambda: server.execute("SELECT status FROM pg_stat_wal_receiver") == [("streaming",)],
        what="the standby to follow its primary",
    )
    return server


def promote(standby: PostgresServer) -> None:
    """Make it a primary; returns when it takes changes."""
    assert standby.execute("SELECT pg_promote()") == [(True,)]
