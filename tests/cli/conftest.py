"""A proxy's configuration of each test's own, and the command line over it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxy.cli import cli


@dataclass(frozen=True, slots=True)
class CommandLine:
    """``accode-proxy`` with one configuration."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "accode.toml"

    def run(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        """Run a command; its result, whatever it is."""
        place = ["--config", str(self.file)]
        return CliRunner().invoke(cli, [*place, *arguments], input=stdin, prog_name="accode-proxy")

    def ok(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        """Run a command that must succeed; what it printed."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def value(self, *arguments: str, stdin: str | bytes | None = None) -> Any:
        """The same with --json, parsed."""
        return json.loads(self.ok(*arguments, "--json", stdin=stdin))

    def refused(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        """Run a command that must fail with one sentence on stderr; the sentence."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: ")
        assert line.endswith((".", "!"))
        return line.removeprefix("Error: ")

    def records(self) -> list[dict[str, Any]]:
        """Every audit record, without the chain's own."""
        found = self.ok("audit", "search", "--json").splitlines()
        records = [json.loads(line) for line in found]
        return [record for record in records if record["class_uid"] != 6002]


@pytest.fixture
def command(tmp_path: Path) -> CommandLine:
    """The command line before ``init``."""
    return CommandLine(tmp_path / "proxy")


@pytest.fixture
def line() -> Iterator[CommandLine]:
    """The command line after ``init``, on free ports; a short path, for its socket."""
    with tempfile.TemporaryDirectory(prefix="accode-") as folder:
        made = CommandLine(Path(folder))
        made.ok(
            *("init", "--port", "0", "--mysql-port", "0", "--metrics-port", "0"), "--allow-private"
        )
        yield made


@pytest.fixture
def finance(line: CommandLine) -> CommandLine:
    """With a workspace ``finance``."""
    line.ok("workspace", "create", "finance")
    return line
