# cython: annotation_typing=False
"""What the server still owes: the queue of expected answers, and nothing else.

Every message of the client that the server answers has one entry here, in the order
in which the answers come ("Message Flow" in the PostgreSQL manual). The scanner pushes
while it reads the client and takes while it reads the server. This file must never
know bytes on the wire, policies or the log.

COPY FROM STDIN makes the order uncertain: while the server takes data it swallows
Sync messages ("COPY Operations": Flush and Sync are ignored during copy-in), but it
does not say which ones it met before an error. Such a Sync is a ``MAYBE``: it may be
answered, and nothing waits for it.

Plain Python; compiled with the types in ``ledger.pxd`` where there is a C compiler.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from protocols.postgres import expected
from protocols.statements import Statement

_NOTHING = expected.NOTHING
_QUERY = expected.QUERY
_FUNCTION = expected.FUNCTION
_SYNC = expected.SYNC
_COPY_END = expected.COPY_END
_MAYBE = expected.MAYBE


class Expected:
    """One answer to come.

    ``name`` is the prepared statement's or portal's name; ``source`` what it comes from:
    for a Bind the statement's name, for a Parse what it will make. ``statement`` is what the log is told when it ends.
    ``refusal`` is set where we replaced the client's message: the server's error in
    this place is rewritten into the refusal.
    """

    def __init__(
        self,
        code: int,
        name: bytes,
        source: Any,
        statement: Statement | None,
        refusal: object | None,
    ) -> None:
        self.code = code
        self.name = name
        self.source = source
        self.statement = statement
        self.refusal = refusal


class Ledger:
    """The expected answers of one session, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[Expected] = deque()
        self.head = _NOTHING
        self.count = 0
        self.is_skipping = False
        self.is_uncertain = False
        self.spare_ready = 0
        self._maybes = 0

    def push(
        self,
        code: int,
        name: bytes,
        source: Any,
        statement: Statement | None,
        refusal: object | None,
    ) -> None:
        """Expect one more answer, after all others."""
        self._entries.append(Expected(code, name, source, statement, refusal))
        self.count += 1
        if code == _MAYBE:
            self._maybes += 1
        if self.count == 1:
            self.head = code

    def first(self) -> Expected:
        """The entry whose answer comes next; there must be one."""
        entry: Expected = self._entries[0]
        return entry

    def take(self) -> Expected:
        """Take the entry that has been answered."""
        entry: Expected = self._entries.popleft()
        self.count -= 1
        if entry.code == _MAYBE:
            self._maybes -= 1
        self._find_head()
        return entry

    def _find_head(self) -> None:
        # A copy's end is answered by nothing: it never stands at the head.
        while self.count > 0:
            entry: Expected = self._entries[0]
            if entry.code != _COPY_END:
                self.head = entry.code
                return
            self._entries.popleft()
            self.count -= 1
        self.head = _NOTHING

    def owes(self) -> bool:
        """Whether an answer is certain to come."""
        return self.count > self._maybes

    def begin_copy_in(self) -> None:
        """The head has become copy-in: each Sync before the copy's end may be lost."""
        for index, entry in enumerate(self._entries):
            if index == 0:
                continue
            if entry.code == _COPY_END:
                break
            if entry.code == _SYNC:
                entry.code = _MAYBE
                self._maybes += 1

    def has_copy_end(self) -> bool:
        """Whether the client has already sent the copy's end."""
        for entry in self._entries:
            if entry.code == _COPY_END:
                return True
        return False

    def end_copy_in(self) -> None:
        """The copy at the head succeeded: every _MAYBE before its end was swallowed."""
        if self._maybes == 0:
            return
        kept: deque[Expected] = deque()
        is_before_end = True
        for entry in self._entries:
            if entry.code == _COPY_END:
                is_before_end = False
            if is_before_end and entry.code == _MAYBE:
                self.count -= 1
                self._maybes -= 1
            else:
                kept.append(entry)
        self._entries = kept
        self._find_head()

    def fail(self) -> list[Expected]:
        """The head of an extended-protocol sequence failed: all that the server now skips.

        The head itself comes first. Everything up to the next Sync is dropped; where
        none is expected yet, ``is_skipping`` says that what the client sends before
        its next Sync will never be answered ("Extended Query": on error the server
        reads and discards messages until a Sync is reached).
        """
        dropped = [self.take()]
        while self.head not in (_NOTHING, _SYNC, _MAYBE):
            dropped.append(self.take())
        if self.head == _NOTHING:
            self.is_skipping = True
        elif self.head == _MAYBE:
            self.is_uncertain = True
        return dropped

    def ready(self) -> Expected | None:
        """ReadyForQuery has come: the entry it ends, or None for a doubtful Sync.

        Raises LookupError where nobody waits for it.
        """
        while self.head == _MAYBE:
            self.take()
            self.spare_ready += 1
        if self.head == _SYNC or self.head == _QUERY or self.head == _FUNCTION:
            return self.take()
        if self.spare_ready > 0:
            self.spare_ready -= 1
            return None
        raise LookupError("ReadyForQuery out of step")

    def drain(self) -> list[Expected]:
        """Take everything: the session is over."""
        entries = list(self._entries)
        self._entries.clear()
        self.count = 0
        self._maybes = 0
        self.head = _NOTHING
        return entries
