"""CPU time and memory of a process tree, as the Linux kernel counts them.

Knows /proc and the CPU-time clocks. Must never know which program it measures.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# CPUCLOCK_SCHED, the scheduler's clock of a whole process (Linux, posix-timers.h).
_PROCESS_CPU_CLOCK = 2


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """CPU time used so far, in microseconds; ``user`` + ``kernel`` = ``total``.

    The total is exact to the nanosecond; its split is the kernel's, sampled at every tick.
    """

    user: float
    kernel: float

    @property
    def total(self) -> float:
        """User and kernel time together."""
        return self.user + self.kernel


def process_tree(root: int) -> list[int]:
    """The process and all its living descendants."""
    found = [root]
    for pid in found:
        found += _children(pid)
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    except OSError:
        # It ended while we looked: then it has no children any more.
        return []
    return children


def parse_stat_ticks(stat: str) -> tuple[int, int]:
    """User and kernel ticks of /proc/PID/stat (proc(5)), ended threads included."""
    # The command name may hold spaces and parentheses: fields count from the last ")".
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]), int(fields[12])


class CpuMeter:
    """CPU time of a process and its living descendants, all their threads included.

    /proc/PID/stat has a resolution of 10 ms, too coarse for short runs: it gives the user and
    kernel shares, and each process's CPU-time clock gives the total.
    """

    def __init__(self, root: int) -> None:
        self._root = root

    def read(self) -> tuple[int, int, int]:
        """Nanoseconds by the clocks, user ticks, kernel ticks."""
        nanoseconds = user = kernel = 0
        for pid in process_tree(self._root):
            try:
                ticks = parse_stat_ticks(Path(f"/proc/{pid}/stat").read_text())
                clock = time.clock_gettime_ns((~pid << 3) | _PROCESS_CPU_CLOCK)
            except OSError:
                continue
            nanoseconds += clock
            user += ticks[0]
            kernel += ticks[1]
        return nanoseconds, user, kernel

    @staticmethod
    def between(before: tuple[int, int, int], after: tuple[int, int, int]) -> CpuTimes:
        """What was used between two readings."""
        total = (after[0] - before[0]) / 1000
        user = after[1] - before[1]
        kernel = after[2] - before[2]
        ticks = user + kernel
        share = kernel / ticks if ticks else 0.0
        return CpuTimes(total * (1 - share), total * share)


def parse_rollup_kilobytes(rollup: str) -> tuple[int, int]:
    """RSS and PSS in KB of a /proc/PID/smaps_rollup (proc(5))."""
    values = {
        line.split()[0]: int(line.split()[1])
        for line in rollup.splitlines()
        if line.startswith(("Rss:", "Pss:"))
    }
    return values["Rss:"], values["Pss:"]


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident and proportional set size of a process tree, in KB."""

    rss: int
    pss: int


def read_memory(root: int) -> Memory:
    """Memory of the process and its descendants now."""
    rss = pss = 0
    for pid in process_tree(root):
        try:
            values = parse_rollup_kilobytes(Path(f"/proc/{pid}/smaps_rollup").read_text())
        except OSError:
            continue
        rss += values[0]
        pss += values[1]
    return Memory(rss, pss)


def settled_memory(root: int, seconds: float = 10.0) -> Memory:
    """Memory once it has stopped changing: three equal readings, at most ``seconds`` long."""
    return _settle(lambda: read_memory(root), seconds)


def _settle(read: Callable[[], Memory], seconds: float) -> Memory:
    deadline = time.monotonic() + seconds
    last = read()
    equal = 0
    while equal < 2 and time.monotonic() < deadline:
        time.sleep(0.3)
        now = read()
        equal = equal + 1 if now.rss == last.rss else 0
        last = now
    return last


@dataclass(frozen=True, slots=True)
class MachineTimes:
    """Ticks of the whole machine from /proc/stat: to see whether it was shared or idle."""

    total: int
    idle: int
    steal: int


def parse_machine_times(stat: str) -> MachineTimes:
    """The first line of /proc/stat (proc(5)): user nice system idle iowait irq softirq steal."""
    ticks = [int(field) for field in stat.splitlines()[0].split()[1:9]]
    return MachineTimes(total=sum(ticks), idle=ticks[3] + ticks[4], steal=ticks[7])


def read_machine_times() -> MachineTimes:
    """The machine's ticks so far."""
    return parse_machine_times(Path("/proc/stat").read_text())


def machine_shares(before: MachineTimes, after: MachineTimes) -> tuple[float, float]:
    """Idle and stolen shares of the time between two readings, 0 to 1."""
    total = max(1, after.total - before.total)
    return (after.idle - before.idle) / total, (after.steal - before.steal) / total
