"""A proxy as an operator starts it: ``accode-proxy serve``, at ports its configuration names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.servers.certificates import Certificates
from tests.servers.ports import free_port
from tests.servers.proxy import ROOT, ProxyServer, Settings
from tests.servers.waiting import wait_until


class CommandProxy(ProxyServer):
    """``accode-proxy serve``. ``port`` is the first listener's, known before it starts."""

    def __init__(self, folder: Path, certificates: Certificates, **overrides: Settings) -> None:
        port, metrics_port = free_port(), free_port()
        listener = overrides.pop("listener", {}) | {"port": port}
        metrics = overrides.pop("metrics", {}) | {"port": metrics_port}
        super().__init__(folder, certificates, listener=listener, metrics=metrics, **overrides)
        self.port, self.metrics_port = port, metrics_port

    def start(self) -> Self:
        """Start it by its command, and wait until it takes sessions."""
        self.process = self.spawn("serve", log=self.log)
        wait_until(lambda: self.is_ready or not self.is_running, within=60, what="the proxy")
        if not self.is_running:
            raise RuntimeError(f"the proxy did not start:\n{self.log_text()}")
        return self

    def spawn(self, *words: str, log: Path) -> subprocess.Popen[bytes]:
        """A command that stays, in a process of its own which writes to a log."""
        with log.open("ab") as file:
            return subprocess.Popen(
                [*self.command, *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=ROOT,
                env=self.whole_environment,
                start_new_session=True,
            )

    @property
    def command(self) -> list[str]:
        """The program with this proxy's configuration."""
        return [sys.executable, "-m", "proxy.cli", "--config", str(self.config_file)]

    @property
    def whole_environment(self) -> dict[str, str]:
        """What its processes see, and those of its command line."""
        kept = {name: value for name, value in os.environ.items() if name[:7] != "ACCODE_"}
        pure = os.environ.get("ACCODE_PROXY_PURE")
        return (
            kept
            | {"ACCODE_PROXY_LOGS__FORMAT": "json"}
            | ({"ACCODE_PROXY_PURE": pure} if pure else {})
        )
