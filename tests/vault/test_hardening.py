from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from vault.hardening import Hardening

# In a process of its own: the switches cannot be set back.
PROGRAM = """
import ctypes, resource
from vault.hardening import harden_process
done = harden_process()
dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
print(done.are_core_dumps_off, done.is_memory_closed, done.is_complete)
print(resource.getrlimit(resource.RLIMIT_CORE), dumpable)
print(harden_process() == done)
"""


def test_a_hardened_process_dumps_no_core_and_is_not_dumpable():
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout.splitlines() == ["True True True", "(0, 0) 0", "True"]


def test_what_could_not_be_done_is_told():
    assert Hardening(are_core_dumps_off=True, is_memory_closed=True).is_complete
    assert not Hardening(are_core_dumps_off=True, is_memory_closed=False).is_complete
    assert not Hardening(are_core_dumps_off=False, is_memory_closed=True).is_complete
