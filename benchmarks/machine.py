"""What a run was made on: machine, versions, revision, and how quiet it was.

Knows /proc, git and package metadata. Must never hold names of hosts or users.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import ssl
import time
from pathlib import Path

from benchmarks.meters import machine_shares, read_machine_times
from benchmarks.processes import BenchmarkError, run

ROOT = Path(__file__).resolve().parent.parent
# What the data path is made of, besides the standard library.
_LIBRARIES = ("aiofastnet", "cryptography", "cython")


def describe_machine() -> dict[str, str]:
    """Processor, memory, kernel and system."""
    processor = _first(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo"))
    memory = _first(r"^MemTotal:\s*(\d+) kB$", Path("/proc/meminfo"))
    system = _first(r'^PRETTY_NAME="?([^"\n]+)', Path("/etc/os-release"))
    virtual = "hypervisor" in _first(r"^flags\s*:\s*(.+)$", Path("/proc/cpuinfo")).split()
    return {
        "processor": processor + (", virtual machine" if virtual else ""),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(memory or 0) / 1024 / 1024:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "system": system,
    }


def describe_python() -> dict[str, str]:
    """The interpreter and the libraries that the proxy runs on."""
    versions = {
        "python": platform.python_version(),
        "openssl of python": ssl.OPENSSL_VERSION,
    }
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def revision(root: Path = ROOT) -> tuple[str, bool]:
    """A checkout's short git revision ("unknown" without one), and whether files differ from it."""
    git = ["git", "-C", str(root)]
    try:
        return (
            run([*git, "rev-parse", "--short", "HEAD"]).strip(),
            bool(run([*git, "status", "--porcelain", "--untracked-files=no"]).strip()),
        )
    except BenchmarkError:
        return "unknown", True


def busy_at_rest(seconds: float = 1.0) -> float:
    """The share of the machine's time, 0 to 1, that is in use while we do nothing."""
    before = read_machine_times()
    time.sleep(seconds)
    idle, _ = machine_shares(before, read_machine_times())
    return 1 - idle


def _first(pattern: str, path: Path) -> str:
    try:
        found = re.search(pattern, path.read_text(), re.MULTILINE)
    except OSError:
        return ""
    return found[1].strip() if found else ""
