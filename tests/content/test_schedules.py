from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.content.schedules import GRACE, check_cron, decide, next_due

NIGHTLY = "0 3 * * *"


def utc(year: int, month: int, day: int, *clock: int) -> datetime:
    hour, minute, second = (*clock, 0, 0, 0)[:3]
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "due"),
    [
        (NIGHTLY, "UTC", utc(2026, 5, 4, 2, 59), utc(2026, 5, 4, 3)),
        (NIGHTLY, "UTC", utc(2026, 5, 4, 3), utc(2026, 5, 5, 3)),
        (NIGHTLY, "Europe/Rome", utc(2026, 5, 4, 0, 59), utc(2026, 5, 4, 1)),
        ("*/15 9 * * MON-FRI", "UTC", utc(2026, 5, 8, 9, 50), utc(2026, 5, 11, 9)),
        # Summer time begins: 02:30 does not exist on that day and is run at its end.
        ("30 2 * * *", "Europe/Rome", utc(2026, 3, 28, 12), utc(2026, 3, 29, 1)),
        # It ends: 02:30 comes twice and is run once.
        ("30 2 * * *", "Europe/Rome", utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)),
    ],
)
def test_the_next_due_time_is_in_the_schedules_zone(
    cron: str, zone: str, after: datetime, due: datetime
):
    assert next_due(cron, zone, after) == due


@pytest.mark.parametrize("missed", ["skip", "run_once"])
def test_in_time_it_runs_for_its_time(missed: Any):
    due = utc(2026, 5, 4, 3)
    decision = decide(NIGHTLY, "UTC", missed, due, due + timedelta(seconds=1))
    assert decision.due == due
    assert decision.next == utc(2026, 5, 5, 3)


def test_missed_times_are_skipped_or_run_once_for_the_newest():
    due, now = utc(2026, 5, 4, 3), utc(2026, 5, 7, 12)
    skipped = decide(NIGHTLY, "UTC", "skip", due, now)
    assert (skipped.due, skipped.next) == (None, utc(2026, 5, 8, 3))
    once = decide(NIGHTLY, "UTC", "run_once", due, now)
    assert (once.due, once.next) == (utc(2026, 5, 7, 3), utc(2026, 5, 8, 3))


def test_after_missed_times_the_one_that_is_due_now_is_run():
    due, now = utc(2026, 5, 4, 3), utc(2026, 5, 7, 3, 0, 10)
    assert decide(NIGHTLY, "UTC", "skip", due, now).due == utc(2026, 5, 7, 3)


def test_years_of_missed_minutes_are_gone_over_in_bounded_time():
    due, now = utc(2020, 1, 1), utc(2026, 1, 1, 0, 0, 30)
    decision = decide("* * * * *", "UTC", "skip", due, now)
    assert (decision.due, decision.next) == (utc(2026, 1, 1), utc(2026, 1, 1, 0, 1))


@given(
    st.sampled_from(["* * * * *", "*/5 * * * *", NIGHTLY, "0 0 1 * *"]),
    st.sampled_from(["UTC", "Europe/Rome", "America/New_York"]),
    st.sampled_from(["skip", "run_once"]),
    st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31)),  # noqa: DTZ001 - UTC is added
    st.integers(0, 3 * 86_400),
)
def test_whatever_was_missed_the_next_time_is_ahead_and_the_last_is_not(
    cron: str, zone: str, missed: Any, start: datetime, late: int
):
    due = next_due(cron, zone, start.replace(tzinfo=UTC))
    now = due + timedelta(seconds=late)
    decision = decide(cron, zone, missed, due, now)
    assert decision.next > now
    if decision.due is not None:
        assert due <= decision.due <= now
        assert missed == "run_once" or now - decision.due <= GRACE
    else:
        assert missed == "skip"


@pytest.mark.parametrize(
    "cron", ["", "* * * * * *", "61 * * * *", "0 0 30 2 *", "@daily", "é * * * *"]
)
def test_what_is_no_schedule_or_never_due_is_refused(cron: str):
    with pytest.raises(ValueError, match="schedule"):
        check_cron(cron)
