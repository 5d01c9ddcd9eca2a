"""MySQL Router as a subject: a proxy that reads the protocol, and passes TLS on.

It could end TLS itself, but before MariaDB no client of MariaDB's library can log in then: it
asks for the password as caching_sha2_password does and then for MariaDB's own proof, and that
is "Received malformed packet".
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.mysql_server import MariaDb
from benchmarks.peers import Program
from benchmarks.processes import Server, free_port
from benchmarks.sessions import Endpoint
from benchmarks.subjects import MAX_SESSIONS, OneProcess

# Its own limit; a port that is asked whether it is open yet counts as a failed connect.
_MAX_CONNECT_ERRORS = 2**32 - 1


class MysqlRouter(OneProcess):
    """MySQL Router, classic protocol, one session upstream for each client's."""

    name = "router"
    title = "MySQL Router"
    ends_tls = False

    def __init__(
        self,
        program: Program,
        plugins: Path,
        server: MariaDb,
        scratch: Path,
    ) -> None:
        super().__init__(scratch / self.name)
        self._folder.mkdir()
        self._program = program
        self._plugins = plugins
        self._server = server
        self._tls_port = 0
        self.version = program.version
        self.notes = (
            f"{program.origin}; routing plugin, one I/O thread, connection_sharing off (a session "
            "upstream for each), logging off; with TLS it passes the server's own through "
            "(client_ssl_mode=PASSTHROUGH) and spends nothing on encryption"
        )

    def start(self) -> None:
        """Write mysqlrouter.conf and start."""
        self._port, self._tls_port = free_port(), free_port()
        configuration = self._folder / "mysqlrouter.conf"
        sections: dict[str, dict[str, object]] = {
            "DEFAULT": {
                "plugin_folder": self._plugins,
                "logging_folder": "",
                "runtime_folder": self._folder,
                "data_folder": self._folder,
                "max_total_connections": MAX_SESSIONS,
            },
            "logger": {"level": "error"},
            # As every proxy here; with two it would take both of the machine's cores.
            "io": {"threads": 1},
            "routing:plain": {
                **self._routing(self._port),
                "client_ssl_mode": "DISABLED",
                "server_ssl_mode": "DISABLED",
                "connection_sharing": 0,
            },
            "routing:tls": {
                **self._routing(self._tls_port),
                "client_ssl_mode": "PASSTHROUGH",
                "server_ssl_mode": "AS_CLIENT",
            },
        }
        configuration.write_text(
            "\n".join(
                f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())
                for name, settings in sections.items()
            )
        )
        self._running = Server(
            self.title,
            [*self._program.command, "--config", str(configuration)],
            log=self._folder / "log",
            cwd=self._folder,
        )
        self._running.wait_for_port(self._port)
        self._running.wait_for_port(self._tls_port)

    def _routing(self, port: int) -> dict[str, object]:
        return {
            "bind_address": "127.0.0.1",
            "bind_port": port,
            "destinations": f"127.0.0.1:{self._server.port}",
            "routing_strategy": "first-available",
            "protocol": "classic",
            "max_connections": MAX_SESSIONS,
            "max_connect_errors": _MAX_CONNECT_ERRORS,
        }

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """The same account as on the server."""
        endpoint = self._server.endpoint(tls=tls, iterations=iterations)
        return replace(endpoint, port=self._tls_port if tls else self._port)
