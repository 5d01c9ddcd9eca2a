# cython: annotation_typing=False
"""The command that a client is sending: judged, its answer expected, perhaps replaced.

A refused command is replaced by a COM_PING, whose OK becomes the refusal: so it has its
place in the order of answers, also where commands are pipelined. Which command it is,
``dispatch`` knows.

Plain Python; compiled with the types in ``command.pxd``.
"""

from __future__ import annotations

from protocols.mysql import expected
from protocols.mysql.in_place import refused
from protocols.mysql.ledger import Expected, InPlace, Ledger
from protocols.statements import Outcome, Statement, StatementSink

_QUERY = expected.QUERY
_PREPARE = expected.PREPARE

# A member of an Enum is looked up through its class; this is read for every statement.
_PENDING = Outcome.PENDING


class Command:
    """The newest one. ``entry`` is its answer's in the ledger, None where it has no answer."""

    def __init__(self, sink: StatementSink, ledger: Ledger) -> None:
        self._sink = sink
        self._ledger = ledger
        self.entry: Expected | None = None

    def clear(self) -> None:
        """Another one begins."""
        self.entry = None

    def expect(self, code: int) -> None:
        """It is no statement: nothing to judge."""
        self.entry = self._ledger.push(code, None, 0)

    def begin(self, code: int, statement: Statement, length: int, weight: int) -> bool:
        """Judge a statement, then expect its answer; whether it is allowed."""
        statement.bytes_in += length + 4
        entry = Expected(code, statement, weight)
        refusal = self._sink.begin(statement)
        if refusal is not None:
            entry.is_replaced = True
            entry.in_place = refused(refusal)
        # Behind the verdict: a sink that raises has begun nothing.
        self._ledger.add(entry)
        self.entry = entry
        return refusal is None

    def replace(self, answer: InPlace | None) -> None:
        """A COM_PING goes upstream in the place of this one."""
        entry = self.entry
        assert entry is not None, "only what is answered is replaced"
        entry.is_replaced = True
        entry.in_place = answer

    def grow(self, length: int, sequence: int, is_whole: bool) -> None:
        """One more packet of it, with this number."""
        entry = self.entry
        if entry is None:
            return
        if entry.prepared is not None:
            entry.prepared.text_length += length
        if entry.statement is not None:
            statement = entry.statement
            if statement.outcome is _PENDING:
                statement.bytes_in += length + 4
                if entry.code == _QUERY or entry.code == _PREPARE:
                    statement.text_length += length
        entry.sequence = sequence
        entry.is_whole = is_whole
