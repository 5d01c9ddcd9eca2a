"""The store's own benchmark as a case: run as a program, its JSON taken into the results."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.processes import BenchmarkError, clean_environment

# Filling a store with 100,000 tokens is most of it.
_PATIENCE_SECONDS = 600.0


def run_store_scale(is_quick: bool) -> dict[str, Any]:
    """Run it, its progress on our stderr, and return what it measured. Raises BenchmarkError."""
    command = [sys.executable, "-m", "benchmarks.store_scale"]
    if is_quick:
        command.append("--quick")
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=clean_environment(),
            timeout=_PATIENCE_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkError(
            f"The store's benchmark did not end within {_PATIENCE_SECONDS:.0f} s."
        ) from None
    except subprocess.CalledProcessError as error:
        raise BenchmarkError(
            f"The store's benchmark failed with status {error.returncode}."
        ) from None
    found = json.loads(done.stdout)
    if not isinstance(found, dict):
        raise BenchmarkError("The store's benchmark did not answer with a JSON object.")
    return found
