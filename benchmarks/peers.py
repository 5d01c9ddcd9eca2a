"""Where the programs to compare with come from.

Knows Debian packages. PgBouncer, Odyssey and MySQL Router are taken from Debian sid: apt
itself, with a private configuration and an empty package list, resolves and verifies the packages
and downloads them; they are unpacked into a cache folder, and the program runs on its own dynamic
linker and libraries. Nothing is installed on the machine.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.processes import BenchmarkError, find_program, run

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Program:
    """A program to start: the words of its command, its version, where it came from."""

    command: tuple[str, ...]
    version: str
    origin: str


def cache_folder() -> Path:
    """Where downloads are kept between runs, outside of the source tree."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "accode-proxy-bench"


def find_pgbouncer(announce: Callable[[str], None]) -> Program:
    """PgBouncer from Debian sid, else the one of the machine. Raises BenchmarkError."""
    try:
        root = _from_sid("pgbouncer", announce)
        return _foreign(root, "sbin/pgbouncer")
    except (BenchmarkError, OSError) as error:
        announce(f"PgBouncer from Debian sid is not to be had ({error})")
    path = find_program("pgbouncer")
    if path is None:
        raise BenchmarkError("PgBouncer is not installed, nor to be had from Debian sid.")
    return Program((path,), _version((path, "--version")), "installed on the machine")


def find_odyssey(announce: Callable[[str], None]) -> Program:
    """Odyssey from Debian sid: Debian's stable releases have none. Raises BenchmarkError."""
    try:
        return _foreign(_from_sid("odyssey", announce), "bin/odyssey")
    except OSError as error:
        raise BenchmarkError(f"Odyssey is not to be had from Debian sid: {error}") from None


def find_mysql_router(announce: Callable[[str], None]) -> tuple[Program, Path]:
    """MySQL Router from Debian sid, and its folder of plugins. Raises BenchmarkError.

    Of the MySQL proxies it is the one that Debian has: neither ProxySQL nor MaxScale is there.
    """
    try:
        root = _from_sid("mysql-router", announce)
        program = _foreign(root, "bin/mysqlrouter", "lib/mysql-router")
    except OSError as error:
        raise BenchmarkError(f"MySQL Router is not to be had from Debian sid: {error}") from None
    found = re.search(r"Ver (\S+)", program.version)
    version = f"MySQL Router {found[1]}" if found else program.version
    return replace(program, version=version), root / "lib" / "mysqlrouter" / "plugin"


def find_haproxy() -> Program:
    """HAProxy as the machine has it. Raises BenchmarkError."""
    path = find_program("haproxy")
    if path is None:
        raise BenchmarkError("HAProxy is not installed (Debian: apt-get install haproxy).")
    version = re.sub(r"^HAProxy version (\S+).*", r"HAProxy \1", _version((path, "-v")))
    return Program((path,), version, "installed on the machine")


def _version(command: tuple[str, ...]) -> str:
    lines = run(command).splitlines()
    tls = [line.strip() for line in lines if line.startswith("tls:")]
    return " ".join([lines[0].strip(), *(f"({words})" for words in tls)])


def _from_sid(package: str, announce: Callable[[str], None]) -> Path:
    """The /usr of a package and its libraries, fetched the first time. Raises BenchmarkError."""
    folder = cache_folder() / package
    if not (folder / _COMPLETE).exists():
        announce(f"Fetching {package} from Debian sid (about 30 MB, once)")
        shutil.rmtree(folder, ignore_errors=True)
        _unpack(package, _download(package, folder / "apt"), folder / "root")
        shutil.rmtree(folder / "apt")
        (folder / _COMPLETE).touch()
    return folder / "root" / "usr"


def _foreign(root: Path, program: str, *libraries: str) -> Program:
    """A program of sid on its own dynamic linker and libraries. Raises BenchmarkError."""
    linkers = sorted(root.glob("lib/*-linux-gnu*/ld-linux-*.so.*"))
    if not linkers:
        raise BenchmarkError("its libraries have no dynamic linker")
    linker = linkers[0]
    paths = ":".join(map(str, (linker.parent, *(root / name for name in libraries))))
    command = (str(linker), "--library-path", paths, str(root / program))
    return Program(command, _version((*command, "--version")), "Debian sid")


def _download(package: str, folder: Path) -> list[Path]:
    """The package and all it depends on, signatures checked by apt."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    keyring = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
    sources = folder / "sid.list"
    sources.write_text(f"deb {keyring}{_debian_mirror()} sid main\n")
    options = {
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "20",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
    }
    apt = [
        "apt-get",
        *(word for key, value in options.items() for word in ("-o", f"{key}={value}")),
    ]
    run([*apt, "update"], seconds=180)
    run([*apt, "install", "--yes", "--download-only", package], seconds=300)
    return sorted((folder / "cache" / "archives").glob("*.deb"))


def _debian_mirror() -> str:
    """The first Debian mirror of the machine's own apt sources. Raises BenchmarkError."""
    targets = run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"]
    )
    for line in targets.splitlines():
        origin, _, address = line.partition(" ")
        if origin == "Debian" and "security" not in address:
            return address
    raise BenchmarkError("the machine's apt sources name no Debian mirror")


def _unpack(package: str, files: list[Path], root: Path) -> None:
    root.mkdir()
    for file in files:
        # The program and shared libraries; perl, systemd and the like are never run.
        if file.name.startswith((f"{package}_", "lib", "zlib1g_")):
            run(["dpkg-deb", "-x", str(file), str(root)])
