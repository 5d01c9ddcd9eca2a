"""Odyssey as a subject, configured for its best figures, pooling by transaction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.peers import Program
from benchmarks.processes import Server, free_port, give, owned_folder
from benchmarks.servers import DATABASE, Certificate, PostgresServer, write_certificate
from benchmarks.sessions import Endpoint
from benchmarks.subjects import MAX_SHARING, SHARED_CONNECTIONS, SHARED_SUFFIX, OneProcess


class Odyssey(OneProcess):
    """Odyssey with one worker thread, plaintext, SCRAM on both legs."""

    name = "odyssey" + SHARED_SUFFIX
    title = "Odyssey, transaction pooling"
    is_shared = True

    def __init__(
        self, program: Program, server: PostgresServer, certificate: Certificate, scratch: Path
    ) -> None:
        super().__init__(owned_folder(scratch / self.name, server.account))
        self._certificate = write_certificate(certificate, self._folder, "client", server.account)
        self._program = program
        self._server = server
        self.version = program.version
        self.notes = (
            f"{program.origin}; workers 1, pool_discard no, pool_smart_discard no, "
            "pool_reserve_prepared_statement yes, readahead 16384, logging off; upstream SCRAM "
            "with the password, for it takes no verifier there"
        )

    def start(self) -> None:
        """Write odyssey.conf and start in the foreground."""
        self._port = free_port()
        certificate, key = self._certificate
        rules = "".join(
            f'  user "{role.name}" {{\n'
            '    authentication "scram-sha-256"\n'
            f'    password "{role.password}"\n'
            '    storage "server"\n'
            f'    storage_user "{role.name}"\n'
            f'    storage_password "{role.password}"\n'
            '    pool "transaction"\n'
            f"    pool_size {SHARED_CONNECTIONS}\n"
            "    pool_timeout 0\n"
            # Nothing between two transactions, as with the others.
            "    pool_discard no\n"
            "    pool_smart_discard no\n"
            "    pool_reserve_prepared_statement yes\n"
            "    client_fwd_error yes\n"
            "  }\n"
            for role in self._server.roles.values()
        )
        configuration = self._folder / "odyssey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            "daemonize no\n"
            f'pid_file "{self._folder}/odyssey.pid"\n'
            f'locks_dir "{self._folder}"\n'
            'log_format "%l %m\\n"\n'
            "log_to_stdout no\nlog_session no\nlog_stats no\nlog_query no\n"
            f"workers 1\nreadahead 16384\nclient_max {MAX_SHARING}\n"
            # Its default of 4 pages is too few for what its libraries need of the stack.
            "coroutine_stack_size 24\ncache_coroutine 64\n"
            f'listen {{\n  host "127.0.0.1"\n  port {self._port}\n'
            f'  tls "allow"\n  tls_cert_file "{certificate}"\n  tls_key_file "{key}"\n}}\n'
            'storage "server" {\n  type "remote"\n  host "127.0.0.1"\n'
            f'  port {self._server.port}\n  tls "disable"\n}}\n'
            f'database "{DATABASE}" {{\n{rules}}}\n'
        )
        account = self._server.account
        give(configuration, account)
        self._running = Server(
            self.title,
            [*self._program.command, str(configuration)],
            log=self._folder / "log",
            cwd=self._folder,
        )
        self._running.wait_for_port(self._port)

    def endpoint(self, *, tls: bool = False, iterations: int = 4096) -> Endpoint:
        """The same roles as on the server."""
        return replace(self._server.endpoint(tls=tls, iterations=iterations), port=self._port)
