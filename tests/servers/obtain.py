"""Obtains the servers and drivers that tests need, where it may.

Run as ``python -m tests.servers.obtain`` by ``./run test``. As root on Debian or Ubuntu it
installs packages with apt; newer servers are unpacked in a cache folder, for which it need
not be root. It never fails for want of rights: it says what is missing and why, and a test
that lacks it says so again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from tests.servers import mariadb, mysqlclient, unpacked
from tests.servers.programs import machine_postgres


def missing_packages() -> list[str]:
    """Return the Debian packages whose programs the tests need and the machine lacks."""
    found = {
        "postgresql": machine_postgres() is not None,
        "mariadb-server": mariadb.is_installed(),
        "systemd": shutil.which("systemd-analyze") is not None,
    }
    missing = [name for name, is_there in found.items() if not is_there]
    return missing + mysqlclient.missing_packages()


def main() -> int:
    """Obtain what is missing; return the exit status of apt."""
    missing = missing_packages()
    if missing:
        status = _install(missing)
        if status != 0:
            return status
    for programs in (unpacked.MYSQL, unpacked.MARIADB, unpacked.PROMTOOL):
        try:
            programs.obtain()
        except unpacked.NotObtainedError as error:
            _say(f"tests that need Debian {unpacked.SUITE}'s {programs.name} will lack it: {error}")
    problem = mysqlclient.install()
    if problem:
        _say(f"tests that need mysqlclient will lack it: {problem}")
    return 0


def _install(missing: Sequence[str]) -> int:
    names = " ".join(missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        _say(f"tests that need {names} will be skipped: apt install {names}")
        return 0
    _say(f"installing {names} with apt")
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


def _say(sentence: str) -> None:
    print(f"run: {sentence}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
