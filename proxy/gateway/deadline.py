"""How long one statement may take, and what its client is told where it took longer.

The sweep asks what a session is being answered, and since when; the data source is asked to
stop it. Its error says that somebody asked, so the scanner puts our own into its place, with
the rule. Knows no protocol.
"""

from __future__ import annotations

from protocols.errors import Reason, Refusal
from protocols.statements import Outcome, Statement
from proxy.metrics.metrics import Metrics

RULE = "limits.statement_seconds"

ON_ITS_WAY = 64 << 20
"""Bytes that may still come of what was stopped: they were in the buffers of both ends, which
are as large as the kernels let them grow, and a client takes them at its own pace."""
LONGEST_SECONDS = 60.0
"""How long that may take, whatever still comes."""


class Deadline:
    """One session's; ``now`` is monotonic seconds, ``arrived`` the bytes that its data source
    has sent. ``patience``: how long one that was asked to stop a statement may be silent
    before the session ends.
    """

    def __init__(self, seconds: int, metrics: Metrics, patience: float) -> None:
        self._seconds = seconds
        self._metrics = metrics
        self._patience = patience
        self._oldest: object | None = None
        self._since = 0.0
        self._stopped_at: float | None = None
        self._stopped_with = 0
        self._heard_at = 0.0
        self._heard = 0
        self._is_told = False
        unit = "second" if seconds == 1 else "seconds"
        self._sentence = f"refused by policy: the statement ran for more than {seconds} {unit}"

    def is_over(self, oldest: object | None, now: float) -> bool:
        """Whether what the session is being answered has run for too long.

        ``oldest`` is the scanner's: another object where another answer is awaited.
        """
        if oldest is not self._oldest:
            self._oldest = oldest
            self._since = now
            self._stopped_at = None
            self._is_told = False
        return oldest is not None and now - self._since >= self._seconds

    def stop(self, now: float, arrived: int) -> None:
        """The data source is being asked to stop it, perhaps once more."""
        if self._stopped_at is None:
            self._stopped_at = self._heard_at = now
            self._stopped_with = self._heard = arrived
            self._metrics.policy_refusals.add("limits")

    def is_ignored(self, now: float, arrived: int) -> bool:
        """Whether the data source was asked, and neither stops nor sends what it had sent off."""
        if self._stopped_at is None:
            return False
        if arrived != self._heard:
            self._heard, self._heard_at = arrived, now
        return (
            now - self._heard_at > self._patience
            or arrived - self._stopped_with > ON_ITS_WAY
            or now - self._stopped_at > LONGEST_SECONDS
        )

    def why_stopped(self) -> Refusal | None:
        """What is said instead of the data source's error that a statement was stopped."""
        if self._stopped_at is None:
            return None
        self._is_told = True
        return Refusal(Reason.STATEMENT_TIMEOUT, f"{self._sentence} ({RULE})")

    def why_ended(self) -> Refusal:
        """What is said where the data source does not stop, and the session ends."""
        return Refusal(
            Reason.STATEMENT_TIMEOUT,
            f"{self._sentence} and the data source does not stop it ({RULE})",
        )

    def end(self, statement: Statement) -> None:
        """A statement has ended: name the rule where that is why, and forget what is over."""
        if self._is_told:
            if statement.outcome is not Outcome.FAILED:
                # One before it in the pipeline, whose end had been waiting for this.
                return
            statement.rule = RULE
        self._stopped_at = None
        self._is_told = False
