"""How full the audit queue is and whether it works: what every statement asks.

Knows numbers. Its own module, compiled with types, because the recorder and the relay
read it for each statement: C fields instead of properties of the log.
"""

from __future__ import annotations

from collections.abc import Callable

RECORD_COST = 512
"""Bytes counted for a queued record beside its text: about what it takes in memory, and
more than its line will have."""


class Pressure:
    """The part of the audit log that sessions look at. Sizes in bytes.

    Records are dropped, and counted, where they would lie above ``maximum_queued``.
    """

    def __init__(
        self,
        high_mark: int,
        low_mark: int,
        maximum_queued: int,
        *,
        wake: Callable[[], None],
        soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self.is_failed = False
        """Whether nothing can be recorded now: no session opens, no statement starts."""
        self.failure = ""
        """Why, in words without a secret."""
        self.is_awake = False
        """Whether somebody is scheduled to look at the queue."""
        self.pending_bytes = 0
        """An estimate of what is queued and not encoded."""
        self.unwritten_bytes = 0
        """What is encoded and not written."""
        self.lost = 0
        """Records dropped at the queue's bound, during an outage or after the close."""
        self.lost_in_outage = 0
        """Those of them that no record tells of yet."""
        self.high_mark = high_mark
        self.low_mark = low_mark
        self.maximum_queued = maximum_queued
        self.wake = wake
        """Called when something was queued and nobody is scheduled to look."""
        self._soon = soon
        self._waiting: list[Callable[[], None]] = []

    def queued_bytes(self) -> int:
        """An estimate of what is queued and not yet written."""
        return self.pending_bytes + self.unwritten_bytes

    def is_congested(self) -> bool:
        """Whether clients should be read no further until ``on_drained`` calls."""
        return self.pending_bytes + self.unwritten_bytes > self.high_mark

    def on_drained(self, callback: Callable[[], None]) -> None:
        """Call back once, soon after the queue is below its low mark."""
        self._waiting.append(callback)
        self.tell_drained()

    def tell_drained(self) -> None:
        """Let those go on who wait, if the queue is short now."""
        if self._waiting and self.queued_bytes() < self.low_mark:
            waiting, self._waiting = self._waiting, []
            for callback in waiting:
                self._soon(callback)

    def count_lost(self) -> None:
        """A record was dropped at the queue's bound."""
        self.lost += 1
        self.lost_in_outage += 1
