"""Takes everything that a proxy emits, and every file that it writes.

Knows where a process can be looked at from outside: its output, its folder, /proc, its
ports, its control socket, and what its data sources see of it.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from click.testing import CliRunner

from proxy.cli import cli
from proxy.control import ControlError, SocketClient
from tests.canary.forms import Evidence
from tests.hostile.raw import Closed, RawClient, Refused, query
from tests.servers.proxy import ProxyServer

NOTHING: Mapping[str, str] = MappingProxyType({})


class Recorder(ABC):
    """Uses one proxy, and keeps what it says in ``evidence``."""

    def __init__(self, proxy: ProxyServer, evidence: Evidence, name: str) -> None:
        self.proxy = proxy
        self.evidence = evidence
        self._name = name

    def keep(self, what: str, data: bytes | str) -> None:
        """Keep a piece of what this proxy emitted."""
        self.evidence.add(f"{self._name}: {what}", data)

    @abstractmethod
    def log_in(
        self, workspace: str, token: str, source: str, *statements: str, tls: bool = False
    ) -> str:
        """Log in, run statements, leave; the error's text, or nothing. Keeps every byte."""

    # --- the command line -------------------------------------------------------------

    def run(self, *arguments: str, stdin: bytes | None = None, keep: bool = True) -> str:
        """Run a command with and without --json; what it wrote."""
        output = ""
        for extra in ((), ("--json",)):
            output += self.run_once(*arguments, *extra, stdin=stdin, keep=keep)
        return output

    def run_once(self, *arguments: str, stdin: bytes | None = None, keep: bool = True) -> str:
        """Run a command; what it wrote to both its streams."""
        place = ("--config", str(self.proxy.config_file))
        result = CliRunner().invoke(cli, [*place, *arguments], input=stdin)
        output = f"{result.output}{result.stderr}"
        if result.exception is not None:
            output += repr(result.exception)
        if keep:
            self.keep(f"accode-proxy {' '.join(arguments)}", output)
        return output

    # --- from outside ------------------------------------------------------------------

    def look(self, views: Mapping[str, str] = NOTHING) -> None:
        """Everything there is to see of the running process; ``views``: at its data sources."""
        for path in ("metrics", "healthz", "readyz", "", "debug"):
            self.keep(f"GET /{path}", self._get(path))
        client = SocketClient(self.proxy.folder / "control.sock")
        asked: list[tuple[str, dict[str, Any]]] = [
            ("session.list", {}),
            ("session.kill", {"id": "nobody"}),
            ("no.such.verb", {}),
        ]
        for verb, arguments in asked:
            with suppress(ControlError):
                self.keep(f"control {verb}", json.dumps(client.call(verb, arguments)))
            try:
                client.call(verb, arguments)
            except ControlError as error:
                self.keep(f"control {verb}", repr(error))
        process = Path(f"/proc/{self.proxy.pid}")
        for name in ("cmdline", "environ", "comm", "status", "limits", "maps", "mounts"):
            # Closed to an ordinary user: the process is not dumpable.
            with suppress(PermissionError):
                self.keep(f"/proc/PID/{name}", (process / name).read_bytes())
        for thread in process.glob("task/*/comm"):
            self.keep("a thread's name", thread.read_bytes())
        for name, text in views.items():
            self.keep(name, text)

    def _get(self, path: str) -> str:
        url = f"http://{self.proxy.host}:{self.proxy.metrics_port}/{path}"
        try:
            with urlopen(url, timeout=40) as answer:
                return f"{answer.headers}{answer.read().decode()}"
        except HTTPError as error:
            return f"{error.headers}{error.read().decode()}"

    def files(self) -> None:
        """Every file in the proxy's folder, its log and its store among them."""
        for path in sorted(self.proxy.folder.rglob("*")):
            if path.is_file():
                self.keep(f"files/{path.relative_to(self.proxy.folder)}", path.read_bytes())


class PostgresRecorder(Recorder):
    """A recorder whose clients speak PostgreSQL."""

    def log_in(
        self, workspace: str, token: str, source: str, *statements: str, tls: bool = False
    ) -> str:
        received = bytearray()

        class Listening(RawClient):
            def read(self, count: int) -> bytes:
                data = super().read(count)
                received.extend(data)
                return data

        error = ""
        with Listening(self.proxy.port) as client:
            try:
                if tls:
                    client.start_tls()
                client.log_in(workspace, token, source)
                for statement in statements:
                    client.send(query(statement))
                    client.until(b"Z")
            except Refused as refused:
                error = refused.text
                received += client.read_to_end()
                self.keep("error's fields", json.dumps(refused.fields))
            except Closed:
                error = "closed"
        self.keep(f"bytes to the client of {source}", bytes(received))
        return error
