from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.gateway.breaker import FIRST_PAUSE, LONGEST_PAUSE, THRESHOLD, Breaker


def breaker(jitter: float = 0.0) -> Breaker:
    return Breaker(lambda: jitter)


def opened(now: float = 0.0, jitter: float = 0.0) -> Breaker:
    made = breaker(jitter)
    for _ in range(THRESHOLD):
        assert made.enter(now)
        made.fail(now)
    return made


def test_it_opens_at_so_many_failures_in_a_row_and_no_sooner():
    made = breaker()
    for _ in range(THRESHOLD - 1):
        assert made.enter(0.0)
        made.fail(0.0)
    assert made.enter(0.0)
    made.succeed()
    for _ in range(THRESHOLD - 1):
        made.fail(0.0)
        assert not made.is_open
    made.fail(0.0)
    assert made.is_open
    assert not made.enter(0.0)


def test_behind_the_pause_one_at_a_time_may_try():
    made = opened()
    assert not made.enter(made.due - 0.001)
    assert made.enter(made.due)
    assert not made.enter(made.due)
    made.withdraw()
    assert made.enter(made.due)


def test_whoever_succeeds_closes_it_for_all():
    made = opened()
    made.succeed()
    assert not made.is_open
    assert made.enter(0.0)
    assert made.enter(0.0)


def test_a_host_that_can_be_connected_to_is_tried_at_once_and_by_one():
    made = opened()
    made.is_back(0.01)
    assert made.is_open
    assert made.enter(0.01)
    assert not made.enter(0.01)


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999999])
def test_pauses_grow_to_their_bound_and_are_never_less_than_half(jitter: float):
    made = opened(jitter=jitter)
    now, pauses = 0.0, []
    for _ in range(12):
        pauses.append(made.due - now)
        now = made.due
        assert made.enter(now)
        made.fail(now)
    assert pauses == pytest.approx(sorted(pauses))
    assert FIRST_PAUSE / 2 <= pauses[0] <= FIRST_PAUSE
    assert LONGEST_PAUSE / 2 <= pauses[-1] <= LONGEST_PAUSE


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "succeed", "fail", "withdraw", "back"]),
        st.floats(0.0, 3.0),
        st.floats(0.0, 0.999),
    ),
    max_size=60,
)


@given(ACTS)
def test_whatever_happens_a_host_can_be_tried_again_within_the_longest_pause(
    acts: list[tuple[str, float, float]],
):
    jitters = iter([jitter for _, _, jitter in acts] * 2)
    made = Breaker(lambda: next(jitters, 0.5))
    now = 0.0
    for act, later, _ in acts:
        now += later
        if act == "enter":
            assert made.enter(now) or made.is_open
        elif act == "back":
            made.is_back(now)
        elif act == "fail":
            made.fail(now)
        elif act == "succeed":
            made.succeed()
        else:
            made.withdraw()
    made.withdraw()
    assert made.enter(now + LONGEST_PAUSE)
