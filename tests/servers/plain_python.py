"""Our modules as plain Python even where compiled ones exist, if ACCODE_PROXY_PURE asks.

Must be imported before any module it is about; imports none of them.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("protocols", "policies", "vault", "proxy")


class _PlainPython:
    """Finds our modules by their .py alone; the import system would prefer the .so."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in _PACKAGES:
            return None
        source = _ROOT.joinpath(*name.split(".")).with_suffix(".py")
        if not source.is_file():
            return None
        return importlib.util.spec_from_file_location(name, source)


def prefer_plain_python_if_asked() -> None:
    """Look for the .py first from now on, where the environment says so."""
    if os.environ.get("ACCODE_PROXY_PURE"):
        sys.meta_path.insert(0, _PlainPython)
