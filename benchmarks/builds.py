"""Which Accode Proxy is measured: this checkout, and with ``--against`` another one beside it.

Knows checkouts, their environments and their compiled modules. Must never import the product.
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.processes import BenchmarkError, find_program, run

OURS, AGAINST = "accode", "against"
_COMMAND = "accode-proxy"
# Said by the other environment's own interpreter: whose packages does it run?
_WHERE = "import pathlib, proxy; print(pathlib.Path(proxy.__file__).resolve().parent.parent)"


@dataclass(frozen=True, slots=True)
class Build:
    """One Accode Proxy: ``name`` and ``title`` as a subject, the path of its command."""

    name: str
    title: str
    program: str
    revision: str

    @property
    def is_ours(self) -> bool:
        """Whether it is the one of this checkout."""
        return self.name == OURS


def this_build() -> Build:
    """The one installed beside this interpreter. Raises BenchmarkError."""
    program = find_program(_COMMAND, str(Path(sys.executable).parent))
    if program is None:
        raise BenchmarkError(f"{_COMMAND} is not installed beside {sys.executable}.")
    return Build(OURS, "Accode Proxy", program, _revision(machine.ROOT))


def other_build(checkout: Path) -> Build:
    """The one of another checkout with its own .venv, compiled. Raises BenchmarkError."""
    root = checkout.resolve()
    if root == machine.ROOT:
        raise BenchmarkError(f"{root} is this checkout itself: there is nothing to compare.")
    python = root / ".venv" / "bin" / "python"
    program = python.parent / _COMMAND
    if not program.is_file():
        raise BenchmarkError(f"{root} has no {_COMMAND} in its .venv (./run build there).")
    where = run([str(python), "-c", _WHERE], cwd=python.parent).strip()
    if where != str(root):
        raise BenchmarkError(f"The .venv of {root} runs the packages of {where}.")
    stale = uncompiled_modules(root)
    if stale:
        raise BenchmarkError(
            f"{root} has modules that are not compiled from their present source: "
            f"{', '.join(stale)} (./run build there)."
        )
    revision = _revision(root)
    return Build(AGAINST, f"Accode Proxy ({revision})", str(program), revision)


def uncompiled_modules(root: Path) -> list[str]:
    """The modules that a checkout says it compiles, and whose compiled file is absent or old."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())
    names: list[str] = settings["tool"]["accode-proxy"]["compiled-modules"]
    return [name for name in names if not _is_compiled(root / name.replace(".", "/"))]


def describe_compiled(root: Path = machine.ROOT) -> str:
    """Whether a checkout's modules are compiled, in words for the report."""
    missing = uncompiled_modules(root)
    return f"all but {', '.join(missing)}" if missing else "all that are to be"


def _is_compiled(module: Path) -> bool:
    source = module.with_suffix(".py")
    if not source.exists():
        # setup.py leaves out a module that does not exist.
        return True
    changed = source.stat().st_mtime
    return any(
        compiled.stat().st_mtime >= changed
        for compiled in module.parent.glob(f"{module.name}.*.so")
    )


def _revision(root: Path) -> str:
    revision, is_modified = machine.revision(root)
    return revision + (" with changes" if is_modified else "")
