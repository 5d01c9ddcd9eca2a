"""How many processor cores this process may use.

Its affinity, and the CPU limit of its control group and of those above it: a container that is
given one core of sixty-four still sees them all.
"""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path


def usable_cores(
    affinity: int | None = None,
    groups: Path = Path("/sys/fs/cgroup"),
    own: Path = Path("/proc/self/cgroup"),
) -> int:
    """At least 1. ``affinity`` None: the process's own.

    A limit is ``cpu.max`` of control groups version 2: "quota period", or "max period" where
    there is none (Linux, Documentation/admin-guide/cgroup-v2.rst). A part of a core counts as one.
    """
    cores = len(os.sched_getaffinity(0)) if affinity is None else affinity
    group = _group(groups, own)
    while group is not None:
        limit = _limit(group / "cpu.max")
        if limit is not None:
            cores = min(cores, limit)
        group = group.parent if group != groups else None
    return max(cores, 1)


def _group(groups: Path, own: Path) -> Path | None:
    """The folder of our own control group; None where version 2 does not say one."""
    try:
        lines = own.read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("0::/"):
            parts = line.removeprefix("0::/").split("/")
            # Seen from within a namespace that begins below it, it starts with "..".
            return groups.joinpath(*parts) if ".." not in parts else groups
    return None


def _limit(file: Path) -> int | None:
    try:
        quota, period = file.read_text("ascii", "replace").split()
        return ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        # No such file at the root and in version 1; "max" is no number.
        return None
