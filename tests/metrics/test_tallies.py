from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.metrics import Histogram, Tally

EDGES = (0.1, 1.0, 10.0)


def test_an_observation_on_an_edge_belongs_to_the_bucket_below_it():
    histogram = Histogram(EDGES)
    histogram.observe(1.0)
    assert histogram.read() == ([("0.1", 0), ("1.0", 1), ("10.0", 1), ("+Inf", 1)], 1.0)


@given(st.lists(st.floats(0, 100)))
def test_buckets_are_cumulative_and_the_last_one_counts_everything(values: Sequence[float]):
    histogram = Histogram(EDGES)
    for value in values:
        histogram.observe(value)
    buckets, total = histogram.read()
    counts = [count for _, count in buckets]
    assert counts == [sum(value <= edge for value in values) for edge in (*EDGES, math.inf)]
    assert total == pytest.approx(sum(values))


def test_what_was_read_does_not_change_afterwards():
    tally, histogram = Tally(("a", "b")), Histogram(EDGES)
    counts, buckets = tally.read(), histogram.read()
    tally.add("a")
    histogram.observe(1)
    assert counts == {"a": 0, "b": 0}
    assert buckets[0][-1] == ("+Inf", 0)


def test_a_label_that_was_not_announced_is_a_bug():
    with pytest.raises(KeyError):
        Tally(("a",)).add("b")
