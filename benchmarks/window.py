"""A load generator's run, with a window inside of it in which everything is measured.

Logins before the window and the end after it count for nobody. Must never know which load
generator it is.
"""

from __future__ import annotations

import contextlib
import math
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Sizes, Subject
from benchmarks.meters import CpuMeter, CpuTimes, machine_shares, read_machine_times
from benchmarks.processes import BenchmarkError, clean_environment
from benchmarks.summary import Metrics

_PATIENCE_SECONDS = 30.0
# Starting the program, its logins and its end, around the run itself.
_AROUND_SECONDS = 0.4
# Between the end of the window and the program's, at least.
_LEFT_SECONDS = 0.2
# Some 2 ms, most of it SCRAM's 4,096 iterations; on a busy machine it is ten times that.
_SECONDS_A_LOGIN = 0.03


@dataclass(frozen=True, slots=True)
class Window:
    """What was seen. ``start`` and ``end`` are UNIX times; ``cpu`` is None without a proxy.

    ``count`` is what a given counter went up by; ``report`` is all that the program said.
    """

    start: float
    end: float
    cpu: CpuTimes | None
    count: int
    idle: float
    stolen: float
    report: str

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start

    def machine(self) -> Metrics:
        """How busy the machine was, so that a doubtful figure can be looked at."""
        return {
            "seconds": self.seconds,
            "machine_idle": self.idle,
            "machine_stolen": self.stolen,
        }

    def cpu_each(self, count: float) -> Metrics:
        """The proxy's CPU time for each of so many; nothing where there is no proxy."""
        if self.cpu is None or not count:
            return {}
        return {
            "cpu_us": self.cpu.total / count,
            "cpu_user_us": self.cpu.user / count,
            "cpu_kernel_us": self.cpu.kernel / count,
        }


def warm_seconds(sizes: Sizes, logins: int) -> float:
    """How long after the start the window begins, with so many logins one after the other."""
    return sizes.warm_seconds + _SECONDS_A_LOGIN * logins


def run_seconds(sizes: Sizes, logins: int) -> int:
    """How long the program is told to run: whole seconds, the window well inside."""
    return math.ceil(warm_seconds(sizes, logins) + sizes.seconds + _LEFT_SECONDS)


def expected_seconds(sizes: Sizes, logins: int) -> float:
    """How long a whole run takes."""
    return run_seconds(sizes, logins) + _AROUND_SECONDS


def run_window(
    command: Sequence[str],
    subject: Subject,
    sizes: Sizes,
    folder: Path,
    *,
    logins: int,
    environment: Mapping[str, str] | None = None,
    counter: Callable[[], int] = lambda: 0,
) -> Window:
    """Run the program, measure within its window, and wait for its end.

    Raises BenchmarkError when it fails or does not end.
    """
    name = Path(command[0]).name
    root = subject.pid
    meter = CpuMeter(root) if root is not None else None
    report = folder / "report"
    with report.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=clean_environment(environment),
            start_new_session=True,
        )
    with contextlib.ExitStack() as stack:
        stack.callback(process.wait, _PATIENCE_SECONDS)
        stack.callback(process.kill)
        time.sleep(warm_seconds(sizes, logins))
        machine_before = read_machine_times()
        counted = counter()
        start = time.time()
        before = meter.read() if meter else None
        time.sleep(sizes.seconds)
        after = meter.read() if meter else None
        end = time.time()
        has_ended = process.poll() is not None
        counted = counter() - counted
        machine_after = read_machine_times()
        try:
            status = process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"{name} through {subject.title} did not end.") from None
    words = report.read_text(errors="replace")
    if status != 0:
        last = " / ".join(words.strip().splitlines()[-3:])
        raise BenchmarkError(f"{name} through {subject.title} failed: {last}")
    if has_ended:
        # We slept for too long: what was counted is of a part of the window only.
        raise BenchmarkError(
            f"{name} through {subject.title} ended before the window did: the machine is too busy."
        )
    idle, stolen = machine_shares(machine_before, machine_after)
    cpu = CpuMeter.between(before, after) if before is not None and after is not None else None
    return Window(start, end, cpu, counted, idle, stolen, words)
