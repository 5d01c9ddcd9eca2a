"""Fails where a module that should be compiled is not: run in the environment it checks."""

from __future__ import annotations

import sys
import tomllib
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

settings = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
modules = settings["tool"]["accode-proxy"]["compiled-modules"]
plain = [
    name
    for name in modules
    if (spec := find_spec(name)) is None
    or not (spec.origin or "").endswith(tuple(EXTENSION_SUFFIXES))
]
if plain or not modules:
    sys.exit(f"not compiled: {', '.join(plain) or 'the list is empty'}")
print(f"{len(modules)} modules are compiled")
