"""The StatementSink of one session: the audit log's hot path.

Knows one session. Called for every statement, so it is kept to a memcpy into the
journal and an append to the queue; encoding and hashing happen later, in batches.
"""

from __future__ import annotations

from collections.abc import Callable

import cython

from policies.redaction import fingerprint_if_secret
from protocols.errors import Reason, Refusal
from protocols.statements import Statement, StatementSink
from proxy.audit.context import SessionContext
from proxy.audit.encode import SessionFragments
from proxy.audit.events import session_closed
from proxy.audit.journal import Journal, JournalFullError
from proxy.audit.ocsf import Event
from proxy.audit.pressure import RECORD_COST, Pressure

if cython.compiled:
    from cython.cimports.policies.stems import has_stem
else:
    from policies.stems import has_stem

_RECORD_COST = RECORD_COST


def unavailable(private: str) -> Refusal:
    """The refusal of everything that cannot be recorded."""
    return Refusal(Reason.AUDIT_UNAVAILABLE, "the audit log cannot be written", private)


Append = Callable[[tuple["SessionRecorder", Statement]], None]
RecordClosing = Callable[["SessionRecorder", Event], None]
"""Queues a session's last event."""


class SessionRecorder(StatementSink):
    """Records one session's statements. ``begin`` and ``end`` are protocols.statements'."""

    def __init__(
        self,
        context: SessionContext,
        session: int,
        journal: Journal,
        queue: Pressure,
        append: Append,
        record_closing: RecordClosing,
        fingerprint_key: bytes,
    ) -> None:
        self.context = context
        self.fragments = SessionFragments.of(context)
        self.wall_base = context.wall_base
        self.session = session
        self.number = 0
        """Statements begun so far."""
        self.place = 0
        self._journal = journal
        self._queue = queue
        self._append = append
        self._record_closing = record_closing
        self._fingerprint_key = fingerprint_key
        self._is_closed = False

    def begin(self, statement: Statement) -> Refusal | None:
        """Journal a statement before its bytes leave; always allows it.

        A text that may hold a secret is replaced by its fingerprint, in the statement
        too. Raises Refusal (AUDIT_UNAVAILABLE) where nothing can be recorded.
        """
        queue = self._queue
        if queue.is_failed:
            raise unavailable(queue.failure)
        if has_stem(statement.text):
            shown = fingerprint_if_secret(statement.text, self._fingerprint_key)
            if shown is not None:
                statement.text = shown.encode()
        self.number = number = self.number + 1
        statement.number = number
        try:
            statement.place = self._journal.begin(
                statement,
                self.session,
                number,
                self.wall_base + statement.started,
                statement.text,
                statement.text_length,
            )
        except JournalFullError:
            raise unavailable("the audit journal is full of running statements") from None
        return None

    def end(self, statement: Statement) -> None:
        """Queue an ended statement's record. Never raises; what is lost is counted."""
        queue = self._queue
        cost = len(statement.text) + _RECORD_COST
        if statement.values is not None:
            cost += statement.values.cost
        if queue.pending_bytes + queue.unwritten_bytes + cost > queue.maximum_queued:
            queue.count_lost()
            self._journal.settle(statement)
            return
        queue.pending_bytes += cost
        self._append((self, statement))
        if not queue.is_awake:
            queue.wake()

    def close(
        self,
        reason: str,
        *,
        bytes_in: int = 0,
        bytes_out: int = 0,
        duration: float,
        detail: str = "",
    ) -> None:
        """Record that the session is over; after its last ``end``. Safe to call twice."""
        if self._is_closed:
            return
        self._is_closed = True
        event = session_closed(
            self.context,
            reason=reason,
            statements=self.number,
            bytes_in=bytes_in,
            bytes_out=bytes_out,
            duration=duration,
            detail=detail,
        )
        self._record_closing(self, event)
