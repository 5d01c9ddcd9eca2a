"""A session's statements, to the audit log and to the metrics at once."""

from __future__ import annotations

from collections.abc import Callable

from policies.decide import Verdict
from protocols.errors import Reason, Refusal
from protocols.statements import Outcome, Statement, StatementSink
from proxy.audit.recorder import SessionRecorder
from proxy.gateway.deadline import Deadline
from proxy.gateway.quotas import Meter
from proxy.metrics.metrics import Metrics

_REFUSED = Outcome.REFUSED
_FAILED = Outcome.FAILED


class MeteredRecorder(StatementSink):
    """The sink of one session: the log's recorder, and counting."""

    def __init__(
        self, recorder: SessionRecorder, metrics: Metrics, deadline: Deadline | None = None
    ) -> None:
        self._recorder = recorder
        self._metrics = metrics
        self._deadline = deadline

    def why_stopped(self) -> Refusal | None:
        """The policy's limit of time, where that is why."""
        return None if self._deadline is None else self._deadline.why_stopped()

    def begin(self, statement: Statement) -> Refusal | None:
        """Journal a statement before its bytes leave."""
        return self._recorder.begin(statement)

    def end(self, statement: Statement) -> None:
        """Record and count a statement that has ended."""
        outcome = statement.outcome
        if self._deadline is not None:
            self._deadline.end(statement)
        self._recorder.end(statement)
        self._metrics.statement(statement.kind, outcome, statement.ended - statement.started)
        if outcome is _REFUSED:
            self._metrics.refused(Reason.NOT_PERMITTED)

    def close(
        self, reason: str, *, bytes_in: int, bytes_out: int, duration: float, detail: str
    ) -> None:
        """The session is over."""
        self._recorder.close(
            reason, bytes_in=bytes_in, bytes_out=bytes_out, duration=duration, detail=detail
        )


class JudgedRecorder(MeteredRecorder):
    """The sink of a session with a policy: each statement is judged, then recorded."""

    def __init__(
        self,
        recorder: SessionRecorder,
        metrics: Metrics,
        verdict: Callable[[Statement], Verdict],
        deadline: Deadline | None = None,
    ) -> None:
        super().__init__(recorder, metrics, deadline)
        self._verdict = verdict

    def begin(self, statement: Statement) -> Refusal | None:
        """Judge the text as it was sent: the log may keep another."""
        verdict = self._verdict(statement)
        if verdict.is_allowed:
            return self._recorder.begin(statement)
        statement.rule = verdict.rule
        self._metrics.policy_refusals.add(verdict.rule.partition(".")[0])
        self._recorder.begin(statement)
        return Refusal(verdict.reason, f"refused by policy: {verdict.message} ({verdict.rule})")


class LimitedRecorder(JudgedRecorder):
    """The sink of a session whose statements or answers are counted."""

    def __init__(
        self,
        recorder: SessionRecorder,
        metrics: Metrics,
        meter: Meter,
        judged: Callable[[Statement], Verdict] | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        def both(statement: Statement) -> Verdict:
            # Counted first: it is cheaper than to read a text.
            found = meter.verdict(statement)
            return found if judged is None or not found.is_allowed else judged(statement)

        super().__init__(recorder, metrics, both, deadline)
        self._meter = meter

    def end(self, statement: Statement) -> None:
        """As before, with the rule that cut its answer."""
        if statement.outcome is _FAILED:
            statement.rule = self._meter.take_rule()
        # By name: compiled, super() would find this method again.
        MeteredRecorder.end(self, statement)
