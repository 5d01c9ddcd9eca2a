"""The pace of exports: a rate over all of them, and no burst after a stop."""

from __future__ import annotations

import pytest

from proxy.admin.pace import Pace


class Time:
    """Passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_all_together_keep_the_rate():
    time = Time()
    pace = Pace(1_000_000, time.clock, time.sleep)
    for _ in range(40):
        await pace.keep(65_536)
    assert time.now - 1000.0 == pytest.approx(40 * 65_536 / 1_000_000, abs=0.56)


async def test_it_rests_seldom_and_then_for_a_while():
    time = Time()
    pace = Pace(1_000_000, time.clock, time.sleep)
    rests = []
    for _ in range(160):
        before = time.now
        await pace.keep(65_536)
        rests.append(time.now - before)
    slept = [rest for rest in rests if rest]
    assert min(slept) > 0.5
    assert sum(slept) == pytest.approx(160 * 65_536 / 1_000_000, abs=0.56)


async def test_who_is_slower_never_waits():
    time = Time()
    pace = Pace(1_000_000, time.clock, time.sleep)
    for _ in range(10):
        time.now += 1.0
        before = time.now
        await pace.keep(50_000)
        assert time.now == before


async def test_a_stop_is_not_made_up_for():
    time = Time()
    pace = Pace(1_000_000, time.clock, time.sleep)
    await pace.keep(1_000_000)
    time.now += 3600.0
    before = time.now
    await pace.keep(1_000_000)
    assert time.now - before == pytest.approx(1.0, abs=0.06)
