# cython: annotation_typing=False
"""How the records of a session's statements end: what the server has sent for each, and when.

In the extended protocol an implicit transaction is committed at the Sync, behind the
answer to its last statement ("Extended Query": the Sync closes it). Constraints that are
deferred, and serialization, are checked only there. So the record of the last Execute
waits until its commit is known; only one ever waits. This file must never know bytes on
the wire.

Plain Python; compiled with the types in ``records.pxd``.
"""

from __future__ import annotations

from protocols.errors import Refusal
from protocols.postgres.prepared import UNKNOWN_TEXT
from protocols.statements import Outcome, Statement, StatementSink, kind_of_word

# A member of an Enum is looked up through its class; these are read for every statement.
_FAILED = Outcome.FAILED
_INTERRUPTED = Outcome.INTERRUPTED
_PENDING = Outcome.PENDING


class Records:
    """Ends each statement's record, once.

    ``rows`` and ``size`` (bytes) count what the server has sent for the one that runs.
    """

    def __init__(self, sink: StatementSink) -> None:
        self._sink = sink
        self.rows = 0
        self.size = 0
        # The last Execute that was answered, while its commit may still fail.
        self._last_run: Statement | None = None

    def why_stopped(self) -> Refusal | None:
        """What stands for the server's error that a statement was cancelled, or None."""
        return self._sink.why_stopped()

    def end(self, statement: Statement, outcome: Outcome, now: float) -> None:
        """Nothing can happen to this statement any more."""
        if statement.outcome is _PENDING:
            self.settle()
            self._fill(statement, outcome, now)
            self._sink.end(statement)

    def answer(self, statement: Statement, outcome: Outcome, now: float) -> None:
        """The server has answered an Execute; whether that is committed is not known yet."""
        self.settle()
        if statement.outcome is _PENDING:
            self._fill(statement, outcome, now)
            self._last_run = statement

    def fail_commit(self, sqlstate: str, now: float) -> None:
        """An error has come in answer to a Sync: what it should have committed is undone."""
        statement = self._last_run
        if statement is not None and not statement.code:
            statement.outcome = _FAILED
            statement.code = sqlstate
            statement.ended = now

    def settle(self) -> None:
        """What ran last is committed, or its failure told."""
        statement = self._last_run
        if statement is not None:
            self._last_run = None
            self._sink.end(statement)

    def abandon(self) -> None:
        """The session is over before it was known whether what ran last is committed."""
        statement = self._last_run
        if statement is not None and not statement.code:
            statement.outcome = _INTERRUPTED
        self.settle()

    def _fill(self, statement: Statement, outcome: Outcome, now: float) -> None:
        statement.outcome = outcome
        statement.ended = now
        statement.rows += self.rows
        statement.bytes_out = self.size
        self.size = 0
        self.rows = 0
        text = statement.text
        # WITH may be any kind, as its tag tells.
        if statement.tag and (
            not text or text[0] == 0x57 or text[0] == 0x77 or text is UNKNOWN_TEXT
        ):
            statement.kind = kind_of_word(statement.tag.split(b" ", 1)[0])
