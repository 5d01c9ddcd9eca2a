"""Installs the servers that tests need, where it may: as root on Debian or Ubuntu.

Run as ``python -m tests.servers.obtain`` by ``./run test``. It never fails for want of
rights: a test that lacks its server says what is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.servers.mariadb import is_installed
from tests.servers.programs import machine_postgres


def missing_packages() -> list[str]:
    """Return the Debian packages whose programs the tests need and the machine lacks."""
    found = {"postgresql": machine_postgres() is not None, "mariadb-server": is_installed()}
    return [name for name, is_there in found.items() if not is_there]


def main() -> int:
    """Install what is missing; return the exit status of apt."""
    missing = missing_packages()
    if not missing:
        return 0
    names = " ".join(missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"run: tests that need {names} will be skipped: apt install {names}", file=sys.stderr)
        return 0
    print(f"run: installing {names} with apt", file=sys.stderr)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--no-install-recommends", *missing]):
        done = subprocess.run(
            ["apt-get", "--quiet=2", "--yes", *arguments],
            env=environment,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )
        if done.returncode != 0:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
