"""What is in deploy/, read; and a configuration of it with its files put into a folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from proxy.cli import cli
from proxy.config import Config, load_config

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "accode-proxy"
LEAST_VALUES: dict[str, Any] = {
    "secrets": {"files": "accode-files", "tls": "accode-tls"},
    "store": {"host": "db.internal"},
}
"""What the chart cannot guess."""


def read_yaml(path: Path) -> Any:
    """One YAML document."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def accode_proxy(*arguments: str) -> str:
    """Run a command that must succeed; what it said, on either stream."""
    result = CliRunner().invoke(cli, arguments, prog_name="accode-proxy")
    assert result.exit_code == 0, result.output
    return result.output


def in_a_folder(text: str, places: dict[str, str], folder: Path) -> Path:
    """A configuration file with this text, whose paths begin in ``folder``, where they exist.

    ``places``: a folder that the text names, and which of those that ``init`` makes it holds.
    """
    accode_proxy("init", "--config", str(folder / "init.toml"))
    for written, made in places.items():
        assert written in text
        text = text.replace(written, str(folder / made))
    file = folder / "accode.toml"
    file.write_text(text, encoding="utf-8")
    return file


def config_of(file: Path) -> Config:
    """The configuration as the proxy reads it."""
    return load_config(file, {})


def render(values: dict[str, Any]) -> dict[str, str]:
    """The chart's manifests by the names of their templates, made by Helm's own engine.

    Raises ValueError with Helm's words where it refuses the values.
    """
    answer = _helm({"chart": str(CHART), "values": values})
    if "error" in answer:
        raise ValueError(answer["error"])
    prefix = f"{CHART.name}/templates/"
    return {name.removeprefix(prefix): text for name, text in answer["manifests"].items()}


def lint(values: dict[str, Any]) -> dict[str, Any]:
    """What `helm lint --strict` reports."""
    report: dict[str, Any] = _helm({"chart": str(CHART), "values": values, "lint": True})
    return report


def _helm(asked: dict[str, Any]) -> dict[str, Any]:
    # In a process of its own: the engine brings Go's runtime, with threads and signal handlers.
    done = subprocess.run(
        [sys.executable, "-m", "tests.deploy.helm"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def manifests(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The chart's objects, by kind; Services besides the first by their names' ends."""
    found: dict[str, dict[str, Any]] = {}
    for name, text in render(values).items():
        if not name.endswith(".yaml"):
            continue
        for document in filter(None, yaml.safe_load_all(text)):
            name = document["metadata"]["name"]
            ends = [end for end in ("-pods", "-admin") if name.endswith(end)]
            found[document["kind"] + "".join(ends)] = document
    return found
