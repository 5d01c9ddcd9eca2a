"""Keeps the process's memory from others: no core dumps, no ptrace by the same user.

Knows Linux's switches. Never raises: a platform without them runs on, and the caller
reports what could not be done.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from dataclasses import dataclass

_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
# The numbers are <linux/prctl.h>'s.


@dataclass(frozen=True, slots=True)
class Hardening:
    """What could be done."""

    are_core_dumps_off: bool
    is_memory_closed: bool

    @property
    def is_complete(self) -> bool:
        """Whether everything could be done."""
        return self.are_core_dumps_off and self.is_memory_closed


def harden_process() -> Hardening:
    """Set RLIMIT_CORE to 0 and PR_SET_DUMPABLE to 0, for this process and for good.

    Both, because a core_pattern that pipes to a program ignores the limit (core(5)),
    and only the second one closes /proc/PID/mem and ptrace (prctl(2)).
    """
    return Hardening(_turn_core_dumps_off(), _close_memory())


def _turn_core_dumps_off() -> bool:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        return False
    return True


def _close_memory() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return False
    # prctl(2) is variadic with unsigned long arguments; without the types ctypes would
    # pass 32-bit ints and leave the upper halves to chance.
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    prctl.restype = ctypes.c_int
    if prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        return False
    return bool(prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) == 0)
