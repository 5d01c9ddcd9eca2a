"""When a schedule is due: pure decisions over a given moment. Reads no clock.

A time that the change to summer time leaves out is run when it is over; one that happens
twice is run once (cron(8) of Debian, which cronsim follows).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

GRACE = timedelta(seconds=60)
"""A time is missed where nobody looked for so long: the finest that cron(5) can say."""


def check_cron(expression: str) -> str:
    """The expression, where it is one of five fields that is ever due. Raises ValueError."""
    if len(expression.split()) != 5 or not expression.isascii():
        raise ValueError("a schedule has five fields: minute, hour, day, month, day of the week")
    try:
        next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(f"this is no schedule: {str(error).lower()}") from None
    except StopIteration:
        raise ValueError("this schedule is never due") from None
    return expression


def check_zone(name: str) -> str:
    """The name, where it is a time zone's. Raises ValueError."""
    _zone(name)
    return name


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name[:64]!r} is no time zone") from None


def next_due(cron: str, zone: str, after: datetime) -> datetime:
    """The first due time after a moment, in UTC."""
    local = after.astimezone(_zone(zone))
    try:
        return next(CronSim(cron, local)).astimezone(UTC)
    except StopIteration:
        # cronsim looks fifty years ahead; what is due later may wait for the next save.
        return after + timedelta(days=365 * 50)


def _newest_due(cron: str, zone: str, now: datetime) -> datetime:
    """The last due time that is not after a moment, in UTC."""
    local = (now + timedelta(seconds=1)).astimezone(_zone(zone))
    try:
        return next(CronSim(cron, local, reverse=True)).astimezone(UTC)
    except StopIteration:
        return datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about a due time. ``due``: the time to run for, or None."""

    due: datetime | None
    next: datetime


def decide(
    cron: str, zone: str, missed: Literal["skip", "run_once"], due: datetime, now: datetime
) -> Decision:
    """What to do at ``now`` about a workflow that has been due since ``due``.

    In time: run for it. Late by more than GRACE: ``skip`` runs for the newest due time only
    where that one is in time; ``run_once`` runs once, for the newest.
    """
    # Looked up backwards: how long nobody looked must not decide how long this takes.
    newest = max(due, _newest_due(cron, zone, now))
    following = next_due(cron, zone, now)
    is_in_time = now - newest <= GRACE
    return Decision(newest if is_in_time or missed == "run_once" else None, following)
