"""The operating-system user a server runs as.

PostgreSQL refuses to run as root; as root its processes therefore run as ``postgres``
where that user exists, else as ``nobody``. An ordinary user runs them itself.
"""

from __future__ import annotations

import os
import pwd
from functools import cache
from pathlib import Path
from typing import TypedDict


class RunAs(TypedDict, total=False):
    """Keyword arguments of ``subprocess`` that give up root."""

    user: int
    group: int
    extra_groups: list[int]


@cache
def run_as() -> RunAs:
    """Return what ``subprocess.Popen`` needs to start a server as an ordinary user."""
    if os.geteuid() != 0:
        return {}
    entry = _server_account()
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def give(path: Path) -> None:
    """Make the server's user the owner of ``path`` and of all that lies in it."""
    if os.geteuid() != 0:
        return
    entry = _server_account()
    os.chown(path, entry.pw_uid, entry.pw_gid)
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(Path(folder, name), entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def _server_account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def can_reach(path: Path) -> bool:
    """Whether the server's user may enter every folder on the way to ``path``."""
    if os.geteuid() != 0:
        return True
    entry = _server_account()
    for folder in (path, *path.parents):
        status = folder.stat()
        if status.st_uid == entry.pw_uid:
            allowed = status.st_mode & 0o100
        elif status.st_gid == entry.pw_gid:
            allowed = status.st_mode & 0o010
        else:
            allowed = status.st_mode & 0o001
        if not allowed:
            return False
    return True
