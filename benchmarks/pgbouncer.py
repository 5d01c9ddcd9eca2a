"""PgBouncer as a subject, configured for its best figures, by session or by transaction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.peers import Program
from benchmarks.processes import Server, free_port, give, owned_folder
from benchmarks.servers import DATABASE, Certificate, PostgresServer, write_certificate
from benchmarks.sessions import Endpoint
from benchmarks.subjects import (
    MAX_SESSIONS,
    MAX_SHARING,
    SHARED_CONNECTIONS,
    SHARED_SUFFIX,
    OneProcess,
)


class PgBouncer(OneProcess):
    """PgBouncer, session pooling, plaintext upstream, SCRAM on both legs."""

    name = "pgbouncer"
    title = "PgBouncer"

    def __init__(
        self,
        program: Program,
        server: PostgresServer,
        certificate: Certificate,
        scratch: Path,
        *,
        is_shared: bool = False,
    ) -> None:
        account = server.account
        self.is_shared = is_shared
        if is_shared:
            self.name += SHARED_SUFFIX
            self.title += ", transaction pooling"
        super().__init__(owned_folder(scratch / self.name, account))
        self._program = program
        self._server = server
        self._account = account
        self._certificate = write_certificate(certificate, self._folder, "client", account)
        self.version = program.version
        self.notes = (
            f"{program.origin}; pool_mode={'transaction' if is_shared else 'session'}, "
            "server_tls_sslmode=disable, SCRAM verifiers "
            "in auth_file (no password stretching in the proxy), pkt_buf=16384, logging off"
        )

    def start(self) -> None:
        """Write pgbouncer.ini and start."""
        self._port = free_port()
        users = self._folder / "users.txt"
        roles = self._server.roles.values()
        users.write_text("".join(f'"{role.name}" "{role.verifier}"\n' for role in roles))
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self._port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": users,
            "pool_mode": "transaction" if self.is_shared else "session",
            "max_client_conn": MAX_SHARING if self.is_shared else MAX_SESSIONS,
            "default_pool_size": SHARED_CONNECTIONS if self.is_shared else MAX_SESSIONS,
            # Its default since 1.24, and ours.
            "max_prepared_statements": 200,
            "server_tls_sslmode": "disable",
            # One instance for both: plaintext clients stay plaintext.
            "client_tls_sslmode": "allow",
            "client_tls_cert_file": self._certificate[0],
            "client_tls_key_file": self._certificate[1],
            "log_connections": 0,
            "log_disconnections": 0,
            "log_stats": 0,
            # Measured here: against the default of 4,096 a third less CPU for large results,
            # and nothing lost elsewhere; 65,536 is no better.
            "pkt_buf": 16384,
        }
        configuration = self._folder / "pgbouncer.ini"
        configuration.write_text(
            f"[databases]\n{DATABASE} = host=127.0.0.1 port={self._server.port}\n[pgbouncer]\n"
            + "".join(f"{key} = {value}\n" for key, value in settings.items())
        )
        for path in (users, configuration):
            give(path, self._account)
        # It refuses to run as root and changes to the account itself, after it has loaded its
        # libraries from a cache folder that the account may not be able to read.
        become = ["-u", self._account.name] if self._account else []
        self._running = Server(
            self.title,
            [*self._program.command, "-q", *become, str(configuration)],
            log=self._folder / "log",
            cwd=self._folder,
        )
        self._running.wait_for_port(self._port)

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """The same roles as on the server."""
        return replace(self._server.endpoint(tls=tls, iterations=iterations), port=self._port)
