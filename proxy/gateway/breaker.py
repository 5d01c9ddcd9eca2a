"""When a host that does not answer is tried again: decisions, without any I/O.

Closed, it is tried. After a few failures in a row it opens: nobody waits for it, and after
a pause it is tried by one at a time. Each failure makes the pause longer, up to a few
seconds, so that a server that is back is soon found. Pauses are jittered: what failed
together is not tried together. The clock and the randomness are arguments.
"""

from __future__ import annotations

from collections.abc import Callable

THRESHOLD = 3
"""Failures in a row that open it: one is an accident, and so may be a second."""
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 2.0
"""Seconds. A person who tries again after a server's restart is not sent away for longer."""

Jitter = Callable[[], float]
"""A number from 0 up to 1, another one each time."""


class Breaker:
    """One host's. Times are monotonic seconds."""

    def __init__(self, jitter: Jitter) -> None:
        self._jitter = jitter
        self.failures = 0
        self.due = 0.0
        """When it may be tried again, where it is open."""
        self.is_tried = False
        """Where it is open: whether somebody is trying."""

    @property
    def is_open(self) -> bool:
        """Whether the host is left alone, but for one try at a time."""
        return self.failures >= THRESHOLD

    def may_enter(self, now: float) -> bool:
        """Whether the host can be tried now."""
        return not self.is_open or (now >= self.due and not self.is_tried)

    def enter(self, now: float) -> bool:
        """Try the host, where that may be; then say how it went."""
        if not self.may_enter(now):
            return False
        if self.is_open:
            self.is_tried = True
        return True

    def succeed(self) -> None:
        """The host has answered."""
        self.failures = 0
        self.is_tried = False

    def fail(self, now: float) -> None:
        """The host has not answered."""
        self.failures += 1
        self.is_tried = False
        if self.is_open:
            pause = min(FIRST_PAUSE * 2.0 ** min(self.failures - THRESHOLD, 16), LONGEST_PAUSE)
            # At least half of it: a pause of nothing would be none.
            self.due = now + pause * (0.5 + 0.5 * self._jitter())

    def withdraw(self) -> None:
        """Whoever tried has left before it was known."""
        self.is_tried = False

    def is_back(self, now: float) -> None:
        """Somebody can connect to it again; whether it serves, the next client finds out."""
        self.is_tried = False
        self.due = now
