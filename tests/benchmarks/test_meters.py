from __future__ import annotations

import os

import pytest

from benchmarks.meters import (
    CpuMeter,
    MachineTimes,
    Memory,
    machine_shares,
    parse_machine_times,
    parse_rollup_kilobytes,
    parse_stat_ticks,
    process_tree,
    read_memory,
)

STAT = (
    "4711 (a (strange) name) S 1 4711 4711 0 -1 4194560 900 0 0 0 "
    "125 3750 7 9 20 0 4 0 1234 100000 500 18446744073709551615"
)
ROLLUP = """\
55a0-7ffd ---p 00000000 00:00 0                          [rollup]
Rss:               12345 kB
Pss:                6789 kB
Pss_Dirty:          1000 kB
"""
MACHINE = "cpu  100 5 50 800 20 3 2 20 7 0\ncpu0 50 2 25 400 10 1 1 10 3 0\n"


def test_the_ticks_are_found_behind_a_name_with_parentheses():
    assert parse_stat_ticks(STAT) == (125, 3750)


def test_a_rollup_has_resident_and_proportional_size():
    assert parse_rollup_kilobytes(ROLLUP) == (12345, 6789)


def test_the_machine_is_idle_also_while_it_waits_for_a_disk():
    assert parse_machine_times(MACHINE) == MachineTimes(total=1000, idle=820, steal=20)


def test_shares_are_of_the_time_between_two_readings():
    before = MachineTimes(1000, 500, 0)
    assert machine_shares(before, MachineTimes(1100, 580, 5)) == (0.8, 0.05)
    assert machine_shares(before, before) == (0.0, 0.0)


def test_cpu_time_is_the_clocks_total_in_the_proportion_of_the_ticks():
    used = CpuMeter.between((1_000_000, 10, 10), (5_000_000, 11, 13))
    assert used.total == pytest.approx(4000.0)
    assert used.user == pytest.approx(1000.0)
    assert used.kernel == pytest.approx(3000.0)


def test_cpu_time_without_a_tick_is_counted_as_user_time():
    assert CpuMeter.between((0, 5, 5), (2_000, 5, 5)).user == pytest.approx(2.0)


def test_this_process_has_a_tree_a_clock_and_memory():
    assert os.getpid() in process_tree(os.getpid())
    assert CpuMeter(os.getpid()).read()[0] > 0
    assert read_memory(os.getpid()).rss >= read_memory(os.getpid()).pss > 0


def test_a_process_that_is_gone_has_neither():
    # Linux gives out no process id above 2^22.
    absent = 2**22 + 1
    assert read_memory(absent) == Memory(0, 0)
    assert CpuMeter(absent).read() == (0, 0, 0)
