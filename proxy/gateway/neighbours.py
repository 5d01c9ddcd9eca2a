"""The other workers' sessions, as a worker sees them: their numbers, and how to stop them.

A proxy of one process has none. Knows no process; ``proxy.workers`` knows how to reach them.
"""

from __future__ import annotations

import secrets
from typing import Protocol

from protocols.interface import CancelArrival

# Session numbers look like process ids: positive, 31 bits.
NUMBER_LIMIT = 0x7FFFFFFF


class Neighbours(Protocol):
    """Other workers of the same proxy."""

    def new_number(self) -> int:
        """A random number that no session of another worker can have."""
        ...

    def has(self, number: int) -> bool:
        """Whether a session of this number would be another worker's."""
        ...

    def opened(self, number: int, upstream_number: int, workspace: str, source: str) -> None:
        """A session of ours is open; ``workspace`` and ``source`` are ids."""
        ...

    def ended(self, number: int) -> None:
        """It is over."""
        ...

    def kill(self, number: int, only_statement: bool, workspace: str, source: str) -> bool:
        """See ``protocols.interface.Kill``: among the sessions of the others."""
        ...

    async def cancel(self, protocol: str, number: int, arrival: CancelArrival) -> bool:
        """Take a cancel request to the worker that ``number`` says; whether one took it.

        Returns when its data source has taken note, or could have.
        """
        ...


class NoNeighbours:
    """There is no other worker."""

    def new_number(self) -> int:
        """Any."""
        return secrets.randbelow(NUMBER_LIMIT) + 1

    def has(self, number: int) -> bool:
        """Never."""
        return False

    def opened(self, number: int, upstream_number: int, workspace: str, source: str) -> None:
        """Nobody asks."""

    def ended(self, number: int) -> None:
        """Nobody asks."""

    def kill(self, number: int, only_statement: bool, workspace: str, source: str) -> bool:
        """There is none."""
        return False

    async def cancel(self, protocol: str, number: int, arrival: CancelArrival) -> bool:
        """There is none."""
        return False


NO_NEIGHBOURS = NoNeighbours()
