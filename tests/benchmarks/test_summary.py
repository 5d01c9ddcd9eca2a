from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.summary import Metrics, Results, Round, Spread, percentile, spread


def a_round(subject: str, number: int, metrics: Metrics, case: str = "simple-1") -> Round:
    return Round(case, subject, number, 0, metrics)


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50.0), (99, 99.0), (100, 100.0), (1, 1.0), (0, 1.0)]
)
def test_a_percentile_is_the_value_at_its_nearest_rank(percent: float, expected: float):
    assert percentile([float(number) for number in range(1, 101)], percent) == expected


@given(st.lists(st.floats(0, 1e9), min_size=1), st.floats(0, 100))
def test_a_percentile_is_always_one_of_the_values(values: list[float], percent: float):
    assert percentile(sorted(values), percent) in values


def test_a_spread_has_the_median_and_both_ends():
    assert spread([3.0, 1.0, 2.0, 10.0]) == Spread(2.5, 1.0, 10.0, 4)


def test_nothing_has_no_spread():
    assert spread([]) is None


def test_ratios_are_taken_within_each_round_before_the_median():
    results = Results(
        [
            a_round("accode", 0, {"cpu_us": 20.0}),
            a_round("pgbouncer", 0, {"cpu_us": 10.0}),
            a_round("accode", 1, {"cpu_us": 30.0}),
            a_round("pgbouncer", 1, {"cpu_us": 30.0}),
            a_round("accode", 2, {"cpu_us": 12.0}),
            a_round("pgbouncer", 2, {"cpu_us": 10.0}),
        ]
    )
    assert results.ratio("simple-1", "accode", "pgbouncer", "cpu_us") == Spread(1.2, 1.0, 2.0, 3)


def test_a_round_that_one_of_them_lacks_counts_for_neither():
    results = Results(
        [
            a_round("accode", 0, {"p50_us": 100.0}),
            a_round("accode", 1, {"p50_us": 500.0}),
            a_round("direct", 0, {"p50_us": 70.0}),
        ]
    )
    assert results.difference("simple-1", "accode", "direct", "p50_us") == Spread(30, 30, 30, 1)


def test_what_was_not_measured_has_no_value():
    results = Results([a_round("direct", 0, {"tps": 1.0})])
    assert results.value("simple-1", "direct", "cpu_us") is None
    assert results.ratio("simple-1", "accode", "direct", "tps") is None
    assert not results.has("simple-8")
