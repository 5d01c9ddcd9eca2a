"""What is counted over all workers of a proxy: as seen from one of them.

``Places`` say how many there are of something now, ``Share`` what an owner has used. A proxy
of one process has the plain ones here; ``proxy.workers`` has others, over shared memory.
Knows no protocol and no process.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from enum import IntEnum
from typing import Protocol


class Minute(IntEnum):
    """What is counted for each second of a minute."""

    SESSIONS = 0
    STATEMENTS = 1


class Places(Protocol):
    """How many there are of something, by its owner's name."""

    def enter(self, owner: str, limit: int) -> bool:
        """Count one more; False, and nothing counted, where there are ``limit`` already."""
        ...

    def leave(self, owner: str) -> None:
        """The opposite, once for each ``enter`` that was True."""
        ...


class OwnPlaces:
    """``Places`` of one process alone."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def enter(self, owner: str, limit: int) -> bool:
        """See ``Places``."""
        count = self._counts.get(owner, 0)
        if count >= limit:
            return False
        self._counts[owner] = count + 1
        return True

    def leave(self, owner: str) -> None:
        """See ``Places``."""
        left = self._counts[owner] - 1
        if left > 0:
            self._counts[owner] = left
        else:
            del self._counts[owner]


class Share(Protocol):
    """What the other workers have counted for an owner, and where they find our own count."""

    def minute(self, what: Minute, second: int) -> int:
        """How often the others did it in the sixty seconds that end with ``second``."""
        ...

    def tell_minute(self, what: Minute, second: int, count: int) -> None:
        """We did it ``count`` times in this second."""
        ...

    def day(self, today: date) -> tuple[int, int]:
        """Rows and bytes that the others have let pass this day."""
        ...

    def tell_day(self, today: date, rows: int, size: int) -> None:
        """We have let so much pass this day."""
        ...

    def forget(self) -> None:
        """We remember nothing of this owner any more."""
        ...


class NoShare:
    """There are no others."""

    def minute(self, what: Minute, second: int) -> int:
        """None."""
        return 0

    def tell_minute(self, what: Minute, second: int, count: int) -> None:
        """Nobody asks."""

    def day(self, today: date) -> tuple[int, int]:
        """Nothing."""
        return 0, 0

    def tell_day(self, today: date, rows: int, size: int) -> None:
        """Nobody asks."""

    def forget(self) -> None:
        """Nobody remembers."""


NO_SHARE = NoShare()

Shares = Callable[[str], Share]
"""The share of an owner, by its id. Raises Refusal where no more owners can be counted."""


def no_shares(owner: str) -> Share:
    """Those of a proxy of one process."""
    return NO_SHARE
