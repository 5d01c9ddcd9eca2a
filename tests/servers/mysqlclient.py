"""mysqlclient, the driver over the C library, built where the machine has its headers.

Published as source alone, so it stands in a lock file of its own: an environment without
a compiler or the headers must still be made.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

_LOCK = Path(__file__).resolve().parents[2] / "requirements-mysqlclient.lock"


def is_installed() -> bool:
    """Whether the locked version is in this environment."""
    try:
        version = metadata.version("mysqlclient")
    except metadata.PackageNotFoundError:
        return False
    return f"mysqlclient=={version} " in _LOCK.read_text()


def missing_packages() -> list[str]:
    """The Debian packages that building it lacks."""
    if is_installed():
        return []
    headers = Path(sysconfig.get_path("include"), "Python.h")
    found = {
        "gcc": shutil.which("cc") is not None,
        "libc6-dev": Path("/usr/include/stdio.h").exists(),
        "python3-dev": headers.exists(),
        "pkg-config": shutil.which("pkg-config") is not None,
        "libmariadb-dev": _has_library(),
    }
    return [name for name, is_there in found.items() if not is_there]


def install() -> str:
    """Build it, unless it is there; returns what went wrong, or nothing."""
    if is_installed():
        return ""
    # Without isolation: the locked setuptools builds it, and nothing else is fetched.
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--require-hashes", "--no-deps", "--no-build-isolation", "--requirement", str(_LOCK)),
        ],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]


def _has_library() -> bool:
    if shutil.which("pkg-config") is None:
        return False
    done = subprocess.run(["pkg-config", "--exists", "libmariadb"], check=False)
    return done.returncode == 0
