from __future__ import annotations

from tests.soak.disturbances import Disturbances, Failure
from tests.soak.sources import KINDS, Place
from tests.soak.starvation import StarvationWatch


def test_waking_late_excuses_everybody_whom_the_store_did_not_reach():
    disturbances = Disturbances()
    watch = StarvationWatch(disturbances)
    watch.note(10.0, 10.1)
    assert disturbances.made == []
    watch.note(10.1, 11.2)
    assert (watch.times, round(watch.longest, 2)) == (1, 1.05)
    for kind, cause in (("57P03", "machine starved"), ("lost", "")):
        failure = Failure("c1", Place("sales", KINDS[0]), "open", kind, 11.0, 11.5, "refused")
        assert disturbances.judge(failure) == cause


def test_a_watch_that_is_left_has_ended():
    with StarvationWatch(Disturbances()) as watch:
        thread = watch._thread
    assert not thread.is_alive()
