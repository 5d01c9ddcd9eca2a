from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import pytest

from benchmarks.bench import QUICK, Sizes
from benchmarks.meters import CpuTimes
from benchmarks.processes import BenchmarkError
from benchmarks.window import Window, run_seconds, run_window, warm_seconds
from tests.benchmarks.fakes import FakeSubject

SIZES = Sizes(warm_seconds=0.0, seconds=0.01)
SUBJECT = FakeSubject("direct", title="direct")


def test_a_window_lies_within_whole_seconds():
    assert [run_seconds(Sizes(), logins) for logins in (1, 8, 32)] == [4, 4, 5]
    assert [run_seconds(QUICK, logins) for logins in (1, 8, 32)] == [1, 1, 2]


def test_more_logins_are_waited_for_longer():
    assert warm_seconds(Sizes(), 32) > warm_seconds(Sizes(), 1) > Sizes().warm_seconds


def run_until_counted(folder: Path, code: str, environment: dict[str, str] | None = None) -> Window:
    """Run Python code that goes on until the window has ended; the counter goes up by 7."""
    counts = itertools.count(100, 7)
    last = folder / "last"

    def count() -> int:
        found = next(counts)
        if found > 100:
            last.touch()
        return found

    wait = "import os, sys\nwhile not os.path.exists('last'): pass\n"
    command = [sys.executable, "-c", wait + code]
    return run_window(
        command, SUBJECT, SIZES, folder, logins=0, environment=environment, counter=count
    )


def test_a_window_has_the_counters_difference_and_the_report(tmp_path: Path):
    window = run_until_counted(tmp_path, "print('ended')")
    assert (window.count, window.report, window.cpu) == (7, "ended\n", None)
    assert window.seconds >= SIZES.seconds
    assert window.cpu_each(10) == {}


def test_a_program_that_fails_is_an_error_with_its_last_words(tmp_path: Path):
    with pytest.raises(BenchmarkError, match="through direct failed: no such table"):
        run_until_counted(tmp_path, "print('no such table'); sys.exit(3)")


def test_a_window_that_outlasts_the_program_is_an_error(tmp_path: Path):
    begun = tmp_path / "begun"

    def wait_for_the_end() -> int:
        # The first count comes before the window: it lasts until the program has ended.
        if not begun.exists():
            begun.touch()
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        return 0

    with pytest.raises(BenchmarkError, match="ended before the window did"):
        run_window(["true"], SUBJECT, SIZES, tmp_path, logins=0, counter=wait_for_the_end)


def test_a_programs_environment_is_its_own(tmp_path: Path):
    window = run_until_counted(tmp_path, "print(os.environ['PGUSER'])", {"PGUSER": "bench"})
    assert window.report == "bench\n"


def test_cpu_is_shared_out_among_what_was_counted():
    window = Window(0.0, 1.0, CpuTimes(user=300.0, kernel=100.0), 0, 0.0, 0.0, "")
    assert window.cpu_each(4) == {"cpu_us": 100.0, "cpu_user_us": 75.0, "cpu_kernel_us": 25.0}
