"""Two nodes: proxies of their own configuration, ports and audit logs on one store, and runners.

Every process is the program's own command. What two nodes share is the store and the key.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.certificates import Certificates
from tests.servers.command import CommandProxy
from tests.servers.proxy import ROOT, Settings
from tests.servers.waiting import wait_until
from tests.soak.administrator import Administrator

WITHIN = 4.0
"""A change reaches every node within a second; the rest is for a busy machine."""


class Node(CommandProxy):
    """A proxy on a store that others have too. ``key_of``: the node whose key it has."""

    def __init__(
        self,
        folder: Path,
        certificates: Certificates,
        store: str,
        overrides: Mapping[str, Settings],
        key_of: Node | None = None,
    ) -> None:
        super().__init__(folder, certificates, store={"url": store}, **overrides)
        if key_of is not None:
            shutil.copy(key_of.key_file, self.key_file)
            self.vault = key_of.vault

        self._commands = Administrator(self.config_file, self.whole_environment, ROOT)

    def run(self, *words: str) -> Any:
        """A command of this node's command line; its JSON."""
        answer = self._commands.run(*words, "--json")
        assert answer.status == 0, answer.error
        return json.loads(answer.output)

    def refused(self, *words: str) -> str:
        """What a command says that must fail."""
        answer = self._commands.run(*words, "--json")
        assert answer.status != 0, answer.output
        return answer.error

    def remove(self) -> None:
        """End its command line too."""
        self._commands.stop()
        super().remove()


class RunnerProcess:
    """``accode-proxy runner`` of a node."""

    def __init__(self, node: Node) -> None:
        self._log = node.folder / "runner.log"
        self._log.unlink(missing_ok=True)
        self._process = node.spawn("runner", log=self._log)
        wait_until(lambda: bool(self._ids()) or not self.is_running, what="the runner to start")
        if not self.is_running:
            raise RuntimeError(self._log.read_text())

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def id(self) -> str:
        """What the store calls it."""
        (found,) = self._ids()
        return found

    def _ids(self) -> list[str]:
        events = [json.loads(line) for line in self._log.read_text().split("\n")[:-1]]
        return [event["id"] for event in events if event["event"] == "runner started"]

    def kill(self) -> None:
        """End it at once: a crash."""
        self._process.kill()
        self._process.wait(20)

    def freeze(self) -> None:
        """Stop it with SIGSTOP: it keeps all it has, and does nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def two_nodes(
    folder: Path, certificates: Certificates, store: str, **overrides: Settings
) -> Iterator[tuple[Node, Node]]:
    """Two nodes that serve; neither may have logged an error of its own at the end."""
    folder.mkdir(mode=0o755)
    first = Node(folder / "first", certificates, store, _copied(overrides))
    second = Node(folder / "second", certificates, store, _copied(overrides), key_of=first)
    try:
        yield first.start(), second.start()
        for node in (first, second):
            lines = node.log_text().splitlines()
            assert [line for line in lines if '"level": "error"' in line] == []
    finally:
        first.remove()
        second.remove()


def _copied(overrides: dict[str, Settings]) -> dict[str, Settings]:
    return {name: dict(section) for name, section in overrides.items()}


@contextmanager
def runner_of(node: Node) -> Iterator[RunnerProcess]:
    """A node's runner, until the end of the block at the latest."""
    runner = RunnerProcess(node)
    try:
        yield runner
    finally:
        runner.kill()
