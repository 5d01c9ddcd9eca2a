"""``accode-proxy serve`` and the service manager that started it."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cli.conftest import CommandLine
from tests.cli.serving import ENVIRONMENT, PROGRAM


class Service:
    """A proxy that was started as a service, and what it has told."""

    def __init__(self, manager: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self._manager = manager
        self.process = process

    def hears(self) -> str:
        """The next state it tells, signs of life left out."""
        while True:
            first = self._manager.recv(4096).decode().split("\n")[0]
            if first != "WATCHDOG=1":
                return first

    def lives(self) -> bool:
        return self._manager.recv(4096) == b"WATCHDOG=1"


@contextmanager
def service(line: CommandLine, workers: int) -> Iterator[Service]:
    address = str(line.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(45)
        manager.bind(address)
        process = subprocess.Popen(
            [*PROGRAM, "serve", "--config", str(line.file), "--workers", str(workers)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT | {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2000000"},
        )
        try:
            yield Service(manager, process)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(20)


def test_one_process_tells_its_start_that_it_lives_and_its_end(finance: CommandLine):
    with service(finance, workers=1) as found:
        assert found.hears() == "READY=1"
        assert found.lives()
        # It cannot reload, and it does not end: to systemd that would be a clean exit.
        found.process.send_signal(signal.SIGHUP)
        assert found.lives()
        found.process.send_signal(signal.SIGTERM)
        assert found.hears() == "STOPPING=1"
        assert found.process.wait(45) == 0


def test_several_workers_tell_also_a_reload_and_one_that_is_refused(finance: CommandLine):
    with service(finance, workers=2) as found:
        assert found.hears() == "READY=1"
        assert found.lives()
        found.process.send_signal(signal.SIGHUP)
        assert found.hears() == "RELOADING=1"
        assert found.hears() == "READY=1"
        finance.file.write_text("[nonsense]\n")
        found.process.send_signal(signal.SIGHUP)
        assert found.hears() == "RELOADING=1"
        assert found.hears() == "READY=1"
        found.process.send_signal(signal.SIGTERM)
        assert found.hears() == "STOPPING=1"
        assert found.process.wait(45) == 0
