"""The memory that workers share: several desks over one of them, in one process."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import Refusal
from proxy.gateway.counting import Minute
from proxy.gateway.quotas import Account, Window
from proxy.workers.counts import Counts, Shape, hash_of
from proxy.workers.desk import Desk, Past

SEATS = 3
TODAY = date(2030, 1, 1)


class Office:
    """A small memory, and a desk at each seat."""

    def __init__(self, rows: int = 16, sessions: int = 8) -> None:
        self.counts = Counts.create(Shape(SEATS, rows, sessions))
        self.counts.seat(range(SEATS))
        self.desks = [Desk(self.counts, seat) for seat in range(SEATS)]
        self.past = Past(self.counts)

    def dies(self, seat: int, second: int = 100, today: date = TODAY) -> None:
        """A worker is gone, and another one takes its seat."""
        self.past.take_over(seat, second, today)
        self.desks[seat] = Desk(self.counts, seat)


@pytest.fixture
def office() -> Iterator[Office]:
    made = Office()
    yield made
    made.counts.close()


steps = st.lists(
    st.tuples(st.booleans(), st.integers(0, SEATS - 1), st.sampled_from("abc")), max_size=80
)


@settings(max_examples=60)
@given(steps)
def test_places_of_all_desks_are_those_of_one_list(steps: list[tuple[bool, int, str]]):
    office, inside = Office(), Counter[tuple[int, str]]()
    for is_entering, seat, owner in steps:
        places = office.desks[seat].places
        if is_entering:
            has_room = sum(inside[one, owner] for one in range(SEATS)) < 4
            assert places.enter(owner, 4) == has_room
            inside[seat, owner] += has_room
        elif inside[seat, owner]:
            places.leave(owner)
            inside[seat, owner] -= 1
    office.counts.close()


def test_the_places_of_a_dead_worker_are_free(office: Office):
    assert [office.desks[seat].places.enter("a", 3) for seat in (0, 1, 1, 2)] == [
        True, True, True, False,
    ]  # fmt: skip
    office.dies(1)
    assert [office.desks[seat].places.enter("a", 3) for seat in (1, 2, 0)] == [True, True, False]


def test_an_owner_takes_no_room_once_nobody_is_there(office: Office):
    places = office.desks[0].places
    for number in range(1000):
        assert places.enter(f"owner {number}", 1)
        places.leave(f"owner {number}")


def test_one_owner_too_many_is_refused_and_the_others_stand(office: Office):
    places = office.desks[0].places
    assert all(places.enter(f"owner {number}", 2) for number in range(16))
    assert not places.enter("one more", 2)
    with pytest.raises(Refusal):
        office.desks[0].share("one more")
    assert office.desks[1].places.enter("owner 3", 2)
    assert not office.desks[2].places.enter("owner 3", 2)
    places.leave("owner 3")
    assert places.enter("one more", 2)


@settings(max_examples=60)
@given(st.integers(1, 12), st.lists(st.tuples(st.integers(0, SEATS - 1), st.floats(0, 40))))
def test_no_minute_of_all_desks_has_more_than_its_number(
    limit: int, steps: list[tuple[int, float]]
):
    office, now = Office(), 1000.0
    windows = [Window(desk.share("w1"), Minute.STATEMENTS) for desk in office.desks]
    alone = Window()
    for seat, step in steps:
        now += step
        # Told apart from one window of all, which is the rule: never more, never fewer.
        assert windows[seat].take(limit, now) == alone.take(limit, now)
    office.counts.close()


def test_statements_and_sessions_of_a_minute_are_counted_apart(office: Office):
    one, other = (Account(office.desks[seat].share("w1")) for seat in (0, 1))
    assert one.sessions.take(1, 100.0)
    assert not other.sessions.take(1, 100.0)
    assert other.statements.take(1, 100.0)
    assert not one.statements.take(1, 100.0)
    assert Account(office.desks[2].share("w2")).sessions.take(1, 100.0)


def test_a_day_is_that_of_all_desks_and_ends_at_midnight(office: Office):
    one, other = (Account(office.desks[seat].share("w1")) for seat in (0, 1))
    one.spend(7, 1 << 40, TODAY)
    other.spend(3, 5, TODAY)
    assert one.used(TODAY) == other.used(TODAY) == (10, (1 << 40) + 5)
    assert one.used(TODAY + timedelta(days=1)) == (0, 0)


def test_what_the_dead_had_used_counts_on_and_only_as_long_as_it_would_have(office: Office):
    for seat in (0, 1):
        account = Account(office.desks[seat].share("w1"))
        for _ in range(3):
            assert account.statements.take(100, 100.0)
        account.spend(4, 40, TODAY)
    office.dies(0, second=110)
    office.dies(1, second=110)
    left = Account(office.desks[2].share("w1"))
    assert left.used(TODAY) == (8, 80)
    assert not left.statements.take(6, 159.0)
    assert left.statements.take(7, 159.0)
    assert left.used(TODAY + timedelta(days=1)) == (0, 0)
    assert left.statements.take(2, 160.0)


def test_the_past_keeps_room_for_what_still_counts(office: Office):
    for number in range(64):
        Account(office.desks[0].share(f"owner {number % 16} of {number // 16}")).spend(
            1, 1, TODAY + timedelta(days=number // 16)
        )
        if number % 16 == 15:
            office.dies(0, today=TODAY + timedelta(days=number // 16))
    newest = TODAY + timedelta(days=3)
    assert all(
        Account(office.desks[1].share(f"owner {number} of 3")).used(newest) == (1, 1)
        for number in range(16)
    )


def test_an_account_that_is_forgotten_gives_its_room_back(office: Office):
    for number in range(100):
        share = office.desks[0].share(f"owner {number}")
        share.tell_day(TODAY, 5, 5)
        share.forget()
    assert office.desks[0].share("another").day(TODAY) == (0, 0)
    assert office.desks[1].share("another").day(TODAY) == (0, 0)


def test_sessions_are_found_by_both_numbers_within_their_workspace(office: Office):
    mine, theirs = office.desks[0], office.desks[1]
    theirs.opened(257, 77, "w1", "s1")
    theirs.opened(513, 77, "w2", "s2")
    assert mine.find(257, "w1", "other source") == 1
    assert mine.find(257, "w2", "s2") is None
    assert mine.find(77, "w1", "s1") == 1
    assert mine.find(77, "w1", "s2") is None
    assert theirs.find(257, "w1", "s1") is None, "its own are not another's"
    theirs.ended(257)
    assert mine.find(257, "w1", "s1") is None
    assert mine.find(77, "w2", "s2") == 1
    office.dies(1)
    assert mine.find(77, "w2", "s2") is None


@pytest.mark.parametrize("number", [0, -1, 1 << 32, 1 << 70])
def test_a_number_that_none_can_have_is_not_looked_for(office: Office, number: int):
    office.desks[1].opened(257, 0, "w1", "s1")
    assert office.desks[0].find(number, "w1", "s1") is None


def test_sessions_beyond_the_table_are_open_and_only_not_found(office: Office):
    for number in range(1, 20):
        office.desks[1].opened(number << 8 | 1, number, "w1", "s1")
    found = [number for number in range(1, 20) if office.desks[0].find(number << 8 | 1, "w1", "")]
    assert found == list(range(1, 9))
    for number in range(1, 20):
        office.desks[1].ended(number << 8 | 1)
    office.desks[1].opened(99 << 8 | 1, 0, "w1", "s1")
    assert office.desks[0].find(99 << 8 | 1, "w1", "s1") == 1


def test_seats_that_are_not_taken_do_not_count(office: Office):
    assert office.desks[1].places.enter("a", 1)
    office.counts.seat([0, 2])
    assert office.desks[0].places.enter("a", 1)


def test_the_memory_cannot_be_made_smaller(office: Office):

    with pytest.raises(PermissionError):
        os.ftruncate(office.counts.descriptor, 4096)
    with pytest.raises(ValueError, match="another size"):
        Counts.attach(office.counts.descriptor, Shape(SEATS, 17, 8))
    with pytest.raises(ValueError, match="1 to 256 seats"):
        Counts.create(Shape(257))


def test_no_name_is_hashed_to_nobody():
    assert hash_of("") != 0
    assert hash_of("w1") != hash_of("w2")
