"""A session's statements, to the audit log and to the metrics at once."""

from __future__ import annotations

from protocols.errors import Reason
from protocols.statements import Outcome, Statement
from proxy.audit.recorder import SessionRecorder
from proxy.metrics.metrics import Metrics

_REFUSED = Outcome.REFUSED


class MeteredRecorder:
    """The StatementSink of one session: the log's recorder, and counting."""

    def __init__(self, recorder: SessionRecorder, metrics: Metrics) -> None:
        self._recorder = recorder
        self._metrics = metrics
        # The log's own method: a call less for every statement.
        self.begin = recorder.begin

    def end(self, statement: Statement) -> None:
        """Record and count a statement that has ended."""
        outcome = statement.outcome
        self._recorder.end(statement)
        self._metrics.statement(statement.kind, outcome, statement.ended - statement.started)
        if outcome is _REFUSED:
            self._metrics.refused(Reason.NOT_PERMITTED)

    def close(self, reason: str, *, bytes_in: int, bytes_out: int, duration: float) -> None:
        """The session is over."""
        self._recorder.close(reason, bytes_in=bytes_in, bytes_out=bytes_out, duration=duration)
