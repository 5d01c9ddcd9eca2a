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


class Deadline:
    """One session's; ``now`` is monotonic seconds. ``patience``: how many of them a data
    source has to stop a statement before its session ends.
    """

    def __init__(self, seconds: int, metrics: Metrics, patience: float) -> None:
        self._seconds = seconds
        self._metrics = metrics
        self._patience = patience
        self._oldest: object | None = None
        self._since = 0.0
        self._stopped_at: float | None = None
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

    def stop(self, now: float) -> None:
        """The data source is being asked to stop it, perhaps once more."""
        if self._stopped_at is None:
            self._stopped_at = now
            self._metrics.policy_refusals.add("limits")

    def is_ignored(self, now: float) -> bool:
        """Whether the data source was asked, and goes on."""
        return self._stopped_at is not None and now - self._stopped_at > self._patience

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
