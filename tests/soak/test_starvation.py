from __future__ import annotations

import os
from pathlib import Path

from tests.soak.disturbances import Disturbances, Failure
from tests.soak.sources import KINDS, Place
from tests.soak.starvation import StarvationWatch


def test_waking_late_excuses_everybody_whom_the_store_did_not_reach():
    disturbances = Disturbances()
    watch = StarvationWatch(disturbances, list)
    watch.note(10.0, 10.1)
    assert disturbances.made == []
    watch.note(10.1, 11.2)
    assert (watch.times, round(watch.longest, 2)) == (1, 1.05)
    for kind, cause in (("57P03", "machine starved"), ("lost", "")):
        failure = Failure("c1", Place("sales", KINDS[0]), "open", kind, 11.0, 11.5, "refused")
        assert disturbances.judge(failure) == cause


def test_a_thread_that_had_no_core_for_half_of_the_time_was_starved_and_one_at_work_was_not():
    disturbances = Disturbances()
    watch = StarvationWatch(disturbances, list)
    at_rest, ready = Path("task/1"), Path("task/2")
    watch.note_waits(9.5, 10.0, {at_rest: 900_000_000, ready: 10_000_000})
    assert watch.times == 0, "before nobody looked"
    watch.note_waits(10.0, 10.5, {at_rest: 900_000_000, ready: 210_000_000})
    assert watch.times == 0
    watch.note_waits(10.5, 11.0, {at_rest: 900_000_000, ready: 470_000_000})
    assert (watch.times, watch.longest) == (1, 0.26)
    assert (disturbances.made[-1].began, disturbances.made[-1].ended) == (10.5, 11.0)


def test_a_watch_that_is_left_has_ended():
    with StarvationWatch(Disturbances(), lambda: [os.getpid()]) as watch:
        thread = watch._thread
    assert not thread.is_alive()
