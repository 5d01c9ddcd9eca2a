"""The store's own benchmark as a case: run as a program, its JSON taken into the results."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.processes import BenchmarkError, run

# Filling a store with 100,000 tokens is most of it.
_PATIENCE_SECONDS = 600.0


def find_store_scale() -> Path | None:
    """The program's file, if there is one."""
    path = ROOT / "benchmarks" / "store_scale.py"
    return path if path.exists() else None


def run_store_scale(is_quick: bool) -> dict[str, Any]:
    """Run it and return what it measured. Raises BenchmarkError."""
    command = [sys.executable, "-m", "benchmarks.store_scale", "--json"]
    if is_quick:
        command.append("--quick")
    words = run(command, cwd=ROOT, seconds=_PATIENCE_SECONDS)
    found = json.loads(words)
    if not isinstance(found, dict):
        raise BenchmarkError("The store's benchmark did not answer with a JSON object.")
    return found
