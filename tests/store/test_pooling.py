"""A data source's pool settings: what each of several workers may have of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.store.pooling import MOST_CONNECTIONS, PoolSettings, check

LIMITS = st.integers(1, MOST_CONNECTIONS).flatmap(
    lambda most: st.tuples(st.integers(0, most), st.just(most))
)


@given(LIMITS, st.integers(1, 64))
def test_workers_together_have_no_more_than_the_maximum(
    limits: tuple[int, int], workers: int
) -> None:
    whole = PoolSettings("session", *limits)
    part = whole.share_of_one(workers)
    check(part)
    assert part.maximum * workers <= max(whole.maximum, workers)
    assert part.maximum * workers > whole.maximum - workers
    assert part.minimum in (part.maximum, -(-whole.minimum // workers))


@given(LIMITS)
def test_one_alone_has_all(limits: tuple[int, int]) -> None:
    whole = PoolSettings("session", *limits)
    assert whole.share_of_one(1) == whole
