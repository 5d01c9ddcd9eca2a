"""What has changed among live sessions between two looks at them. Knows neither who looks nor how.

A session that came and went between two looks is in neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Session = Mapping[str, Any]
What = Literal["opened", "changed", "closed"]

ALWAYS_CHANGING: Final = frozenset(
    {"age_seconds", "idle_seconds", "bytes_from_client", "bytes_from_source"}
)
"""Members that count as no change: they would make one of every session at every look."""


@dataclass(frozen=True, slots=True)
class Change:
    """One session as it is now; one that is closed as it was last."""

    what: What
    session: Session


def by_id(sessions: Iterable[Session]) -> dict[str, Session]:
    """A look at the sessions, for ``changes``."""
    return {one["id"]: one for one in sessions}


def changes(before: Mapping[str, Session], now: Mapping[str, Session]) -> list[Change]:
    """What closed, opened and changed, in this order."""
    found = [Change("closed", one) for key, one in before.items() if key not in now]
    found += [Change("opened", one) for key, one in now.items() if key not in before]
    return found + [
        Change("changed", one)
        for key, one in now.items()
        if key in before and _lasting(one) != _lasting(before[key])
    ]


def watch(look: Callable[[], Iterable[Session]], wait: Callable[[], None]) -> Iterator[Change]:
    """All there are as opened, then each change, without an end; ``wait`` may raise to end it."""
    before: dict[str, Session] = {}
    while True:
        now = by_id(look())
        yield from changes(before, now)
        before = now
        wait()


def _lasting(session: Session) -> dict[str, Any]:
    return {name: value for name, value in session.items() if name not in ALWAYS_CHANGING}
