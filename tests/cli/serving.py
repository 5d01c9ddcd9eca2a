"""``accode-proxy serve`` as a process of its own, for the tests of the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.conftest import CommandLine
from tests.servers.waiting import wait_until

PROGRAM = [sys.executable, "-m", "proxy.cli"]
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith("ACCODE_PROXY_L")
}


class Served:
    """A running ``accode-proxy serve`` and what it logged so far."""

    def __init__(self, line: CommandLine, log: Path, *arguments: str) -> None:
        self.log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*PROGRAM, "serve", "--config", str(line.file), "--workers", "1", *arguments],
                stdin=subprocess.DEVNULL,
                stderr=stderr,
                env=ENVIRONMENT,
            )

    def events(self) -> list[dict[str, object]]:
        lines = self.log.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def has(self, event: str) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return any(entry["event"] == event for entry in self.events())

    @property
    def port(self) -> int:
        """The port it announced."""
        (listening,) = [
            entry
            for entry in self.events()
            if entry["event"] == "listening" and entry["protocol"] == "postgres"
        ]
        port = listening["port"]
        assert isinstance(port, int)
        return port


@contextmanager
def serving(line: CommandLine, *arguments: str) -> Iterator[Served]:
    served = Served(line, line.folder / "stderr.log", *arguments)
    try:
        wait_until(lambda: served.has("listening"), what="the proxy to listen")
        yield served
    finally:
        if served.process.poll() is None:
            served.process.kill()
        served.process.wait(20)
