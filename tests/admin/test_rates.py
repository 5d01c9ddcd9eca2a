from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.admin.rates import BUCKETS, Rates


def test_a_burst_is_let_through_and_then_the_rate():
    rates = Rates(60)
    assert [rates.take("a", 0.0).wait for _ in range(11)] == [0] * 10 + [1]
    assert rates.take("a", 1.0).wait == 0
    assert rates.take("a", 1.0).wait == 1
    assert rates.take("b", 1.0).wait == 0


def test_one_no_of_a_run_is_the_first():
    rates = Rates(60)
    for _ in range(10):
        rates.take("a", 0.0)
    assert [rates.take("a", 0.0).is_first for _ in range(3)] == [True, False, False]
    assert rates.take("a", 1.0).wait == 0
    assert rates.take("a", 1.0).is_first is True


def test_a_debt_is_bounded():
    rates = Rates(60)
    for _ in range(100):
        rates.charge("a", 0.0, 10.0)
    assert rates.take("a", 0.0).wait == 11
    assert rates.take("a", 11.0).wait == 0


def test_no_more_names_are_kept_than_there_is_room_for():
    rates = Rates(60)
    for number in range(BUCKETS + 5):
        rates.take(str(number), 0.0)
    assert len(rates._buckets) == BUCKETS


@given(st.lists(st.floats(0, 5), max_size=200))
def test_over_time_no_more_than_the_rate_and_one_burst(pauses: list[float]):
    rates, now, passed = Rates(120), 0.0, 0
    for pause in pauses:
        now += pause
        passed += rates.take("a", now).wait == 0
    assert passed <= 12 + now * 2 + 1
