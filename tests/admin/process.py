"""``accode-proxy admin serve`` in a process of its own, beside a real proxy."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.servers.proxy import ROOT, ProxyServer
from tests.servers.waiting import wait_until


def run(proxy: ProxyServer, *arguments: str) -> Any:
    """A command of the command line beside the proxy; its JSON."""
    command = [sys.executable, "-m", "proxy.cli", "--config", str(proxy.config_file)]
    ended = subprocess.run(
        [*command, *arguments, "--json"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    return json.loads(ended.stdout)


class AdminProcess:
    """The endpoints of a proxy; ``captured`` is every answer's bytes, and its headers'."""

    def __init__(self, proxy: ProxyServer) -> None:
        self.log = proxy.folder / "admin.log"
        self.captured: list[bytes] = []
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "proxy.cli", "--config", str(proxy.config_file)),
                    *("admin", "serve"),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(os.environ) | {"ACCODE_PROXY_LOGS__FORMAT": "json"},
            )
        wait_until(lambda: bool(self._ports()) or not self.is_running, what="the endpoints")
        if not self._ports():
            raise RuntimeError(self.log.read_text())
        context = ssl.create_default_context(cafile=str(proxy.certificates.ca))
        self.http = httpx.Client(
            base_url=f"https://127.0.0.1:{self._ports()[0]}",
            verify=context,
            timeout=60,
            event_hooks={"response": [self._capture]},
        )

    def memory(self, name: str = "VmRSS") -> int:
        """Bytes that it holds; ``VmHWM``: the most that it has held."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition(f"{name}:")[2].split()[0]) * 1024

    def forget_peak(self) -> None:
        """Have ``VmHWM`` begin anew (proc(5), ``clear_refs``): the start alone took 64 MiB for
        one Argon2id, which would hide what comes after it.
        """
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def _ports(self) -> list[int]:
        # A last line that is half written is none yet.
        lines = self.log.read_text().split("\n")[:-1]
        return [json.loads(line)["port"] for line in lines if "admin endpoints open" in line]

    def _capture(self, answer: httpx.Response) -> None:
        self.captured.append(answer.read() + repr(answer.headers.raw).encode())

    def ok(self, key: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Call; the answer's value."""
        sent = {"Authorization": f"Bearer {key}"} | headers
        answer = self.http.request(method, path, json=body, headers=sent)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def stop(self) -> int:
        """End it as an operator would; its exit code."""
        self.http.close()
        if self.is_running:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def files(self, folder: Path) -> dict[str, bytes]:
        """What both processes have written, the store and the keys apart."""
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix in (".log", ".jsonl", ".json", ".toml")
        }
