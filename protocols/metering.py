"""How much of an answer may pass: what a scanner asks where answers are limited.

Where nothing is limited there is no meter, and nothing is asked. Knows neither bytes on
the wire nor who set a limit; ``proxy/gateway/quotas`` does.
"""

from __future__ import annotations

from typing import Protocol

from protocols.errors import Refusal


class ResultMeter(Protocol):
    """One session's. ``rows`` and ``size`` (bytes) bound the answer to one statement."""

    rows: int
    size: int

    def left(self) -> tuple[int, int]:
        """How many rows and bytes may still pass before a bound of several sessions is met."""
        ...

    def spend(self, rows: int, size: int) -> None:
        """That many more have passed."""
        ...

    def cut(self, rows: int, size: int) -> Refusal:
        """The answer at hand ends here, ``rows`` and ``size`` would be too much of it.

        The data source is asked to stop. What comes back stands in the answer's place.
        """
        ...

    def give_up(self, refusal: Refusal) -> None:
        """End the session with this: an error in the answer's place would tell what is not so."""
        ...


class Share:
    """What has passed of the answer at hand, and how far it may go.

    ``row_cap`` and ``size_cap`` are counted from the answer's beginning.
    """

    def __init__(self, meter: ResultMeter) -> None:
        self._meter = meter
        self._spent = (0, 0)
        self.row_cap = meter.rows
        self.size_cap = meter.size

    def renew(self, rows: int, size: int) -> None:
        """Account for what has passed since the last call, and see what is left."""
        spent_rows, spent_size = self._spent
        if rows != spent_rows or size != spent_size:
            self._meter.spend(rows - spent_rows, size - spent_size)
            self._spent = (rows, size)
        left_rows, left_size = self._meter.left()
        self.row_cap = min(self._meter.rows, rows + left_rows)
        self.size_cap = min(self._meter.size, size + left_size)

    def begin(self, rows: int = 0, size: int = 0) -> None:
        """The next answer, of which so much has passed before (a cursor's)."""
        self._spent = (rows, size)
        self.renew(rows, size)
