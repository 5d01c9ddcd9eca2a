"""``python -m tests.soak.administrator CONFIG``: ``accode-proxy`` again and again, in one process.

Reads commands as lines of JSON and answers each with its status and what it said. They are the
program's own commands; only the second in which Python imports it is saved each time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from proxy.cli import cli


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command ended with and said."""

    status: int
    output: str
    error: str


class Administrator:
    """The process, seen from outside; safe to use from several threads."""

    def __init__(self, config: Path, environment: Mapping[str, str], folder: Path) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.administrator", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
        )

    def run(self, *words: str, stdin: str = "") -> Answer:
        """Run a command to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps([words, stdin]) + "\n")
            self._process.stdin.flush()
            return Answer(*json.loads(self._process.stdout.readline()))

    def stop(self) -> None:
        """End it: it ends by itself when there is nothing more to read."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


def main() -> None:
    """Serve until the end of the input."""
    for line in sys.stdin:
        words, typed = json.loads(line)
        result = CliRunner().invoke(cli, ["--config", sys.argv[1], *words], input=typed)
        print(json.dumps([result.exit_code, result.stdout, result.stderr]), flush=True)


if __name__ == "__main__":
    main()
