"""Which seat a new worker gets."""

from __future__ import annotations

import pytest

from proxy.workers.member import WorkerFailed
from proxy.workers.seats import Seats


def seats(count: int) -> tuple[Seats, list[list[int]]]:
    told: list[list[int]] = []
    return Seats(count, told.append), told


def test_each_worker_has_a_seat_of_its_own_until_it_leaves():
    ours, told = seats(2)
    assert [ours.take(), ours.take()] == [0, 1]
    assert not ours.has_free(1)
    with pytest.raises(WorkerFailed, match="still draining"):
        ours.take()
    ours.leave(0)
    assert ours.take() == 0
    assert told == [[0], [0, 1], [1], [0, 1]]


def test_one_whose_worker_left_something_is_taken_before_others():
    ours, _ = seats(4)
    for _ in range(3):
        ours.take()
    ours.leave(0)
    ours.leave(2, is_unfinished=True)
    assert ours.take() == 2
    assert ours.take() == 0


def test_one_that_is_being_recovered_is_given_to_nobody():
    ours, told = seats(3)
    ours.keep_free([0, 7])
    assert ours.has_free(2)
    assert not ours.has_free(3)
    assert ours.take() == 1
    ours.give_back([0, 7])
    assert ours.take() == 0
    assert ours.taken == [0, 1]
    assert told[-1] == [0, 1]
