"""What starting a database server takes, of whatever kind: a user, a port, a program.

Servers refuse to be root; as root they run as an ordinary user of the machine.
"""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
from pathlib import Path
from typing import TypedDict

_PROGRAM_SECONDS = 60.0


class DemoError(Exception):
    """The demo, or a part of it, cannot run here; one sentence."""


class RunAs(TypedDict, total=False):
    """Keyword arguments of ``subprocess`` that give up root."""

    user: int
    group: int
    extra_groups: list[int]


def account(*names: str) -> pwd.struct_passwd | None:
    """As root, the first of these users that the machine has; else None. Raises DemoError."""
    if os.geteuid() != 0:
        return None
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise DemoError(f"As root the demo needs a user {' or '.join(names)} to run its server as.")


def run_as(user: pwd.struct_passwd | None) -> RunAs:
    """What ``subprocess`` needs to run a program as that user; None: as we are."""
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def give(path: Path, user: pwd.struct_passwd | None) -> None:
    """Make that user the owner of a file or folder."""
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def run(command: list[str], who: RunAs, what: str) -> None:
    """Run a program to its end. Raises DemoError, which says ``what`` failed."""
    try:
        # Not a pipe: a server would inherit it, and reading to its end would wait for it.
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            timeout=_PROGRAM_SECONDS,
            check=False,
            **who,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DemoError(f"{what} failed ({type(error).__name__}).") from None
    if done.returncode != 0:
        raise DemoError(f"{what} failed (exit code {done.returncode}).")


def write_private(path: Path, data: bytes, user: pwd.struct_passwd | None) -> None:
    """A new file that only that user may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(data)
    give(path, user)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
