"""Programs of Debian sid, unpacked in a cache folder and run from there. Installs nothing.

apt fetches the packages with an empty picture of the machine, so with every library they
need, and checks signatures and hashes as it always does; they are unpacked and never
configured. Each program is started by the dynamic loader that came with it, so what the
machine itself runs does not matter. Delete the cache folder to have newer ones.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

SUITE = "sid"
_KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/debian-archive-keyring.gpg",
)
_TIMEOUT = 600  # seconds for the slowest of apt's steps on a slow line


class NotObtainedError(Exception):
    """Why there are no such programs here, in one sentence."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Packages, unpacked together: ``packages`` with all they depend on, ``alone`` without."""

    name: str
    packages: tuple[str, ...]
    alone: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where they are; another list of packages has another folder."""
        words = " ".join((SUITE, *self.packages, "|", *self.alone))
        return cache_folder() / f"{self.name}-{hashlib.sha256(words.encode()).hexdigest()[:12]}"

    @property
    def is_there(self) -> bool:
        """Whether they have been unpacked."""
        return self.folder.is_dir()

    @property
    def usr(self) -> Path:
        """The ``/usr`` of the packages: a server's ``--basedir``."""
        return self.folder / "usr"

    def command(self, program: str) -> list[str]:
        """What starts a program, for example ``sbin/mysqld``; its arguments follow."""
        (libraries,) = self.usr.glob("lib/*-linux-gnu*")
        (loader,) = libraries.glob("ld-linux*.so.*")
        return [str(loader), "--library-path", str(libraries), str(self.usr / program)]

    def obtain(self) -> None:
        """Fetch and unpack them, unless they are there. Raises NotObtainedError."""
        if self.is_there:
            return
        cache = cache_folder()
        cache.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            cache.chmod(0o755)  # whatever root's umask is: servers run as somebody else
        with (cache / "lock").open("w") as lock:
            # Another run may be at it; then it is done when the lock is ours.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.is_there:
                print(f"run: fetching {self.name} from Debian {SUITE}", file=sys.stderr)
                self._fetch(cache)

    def _fetch(self, cache: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="new-", dir=cache) as made:
            folder = Path(made)
            folder.chmod(0o755)  # apt gives up root while it downloads
            apt = _Apt(folder)
            apt.run("update")
            apt.run("install", "--download-only", *self.packages)
            if self.alone:
                apt.run("download", *self.alone)
            unpacked = folder / "unpacked"
            unpacked.mkdir(mode=0o755)
            for package in sorted(apt.archives.glob("*.deb")):
                _run(["dpkg-deb", "--extract", str(package), str(unpacked)])
            unpacked.rename(self.folder)


MYSQL = Unpacked("mysql", ("mysql-server-core", "mysql-client-core"))
# mariadb-server has the plug-ins, mariadb-test the one that asks for a password in the
# clear; what they depend on beyond the server's own is of no use here.
MARIADB = Unpacked("mariadb", ("mariadb-server-core",), ("mariadb-server", "mariadb-test"))

# Checks Prometheus's rules and runs their own tests.
PROMTOOL = Unpacked("promtool", ("promtool",))


class _Apt:
    """apt-get in a folder of its own, with the machine's proxies and the like."""

    def __init__(self, folder: Path) -> None:
        self.archives = folder / "cache" / "archives"
        for part in ("sources", "state/lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(mode=0o755, parents=True)
        (folder / "status").touch()
        mirror, keyring = _debian_mirror(), _keyring()
        (folder / "sources" / "debian.sources").write_text(
            f"Types: deb\nURIs: {mirror}\nSuites: {SUITE}\nComponents: main\nSigned-By: {keyring}\n"
        )
        settings = {
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": folder / "sources",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State": folder / "state",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "APT::Default-Release": "",
            "APT::Install-Recommends": "false",
            "Acquire::Languages": "none",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
            "Acquire::Retries": "3",
        }
        self._options = [f"--option={name}={value}" for name, value in settings.items()]

    def run(self, *arguments: str) -> None:
        """Run apt-get. Raises NotObtainedError with what it said last."""
        _run(
            ["apt-get", "--quiet=2", "--yes", *self._options, *arguments],
            cwd=self.archives if arguments[0] == "download" else None,
        )


def cache_folder() -> Path:
    """Where unpacked programs are kept; the user that servers run as must reach it."""
    if os.geteuid() == 0:
        return Path("/var/cache/accode-proxy")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "accode-proxy")


def _debian_mirror() -> str:
    """The machine's own mirror of Debian, from apt's lists."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise NotObtainedError(f"there is no {program} on this machine")
    wanted = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)"
    shown = _run(["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"])
    for line in shown.splitlines():
        origin, label, component, address = line.split("|", 3)
        if (origin, label, component) == ("Debian", "Debian", "main"):
            return address
    raise NotObtainedError("apt knows no mirror of Debian here: run apt-get update on a Debian")


def _keyring() -> str:
    for keyring in _KEYRINGS:
        if Path(keyring).exists():
            return keyring
    raise NotObtainedError("the keys of Debian's archive are missing: debian-archive-keyring")


def _run(command: list[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=os.environ | {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or ["it said nothing"]
        raise NotObtainedError(f"{command[0]} failed: {lines[-1]}") from error
    except subprocess.TimeoutExpired as error:
        raise NotObtainedError(f"{command[0]} took more than {_TIMEOUT} seconds") from error
    return done.stdout
