# cython: annotation_typing=False
"""What the server still owes: the queue of expected answers, and nothing else.

Every message of the client that the server answers has one entry here, in the order
in which the answers come ("Message Flow" in the PostgreSQL manual). The scanner pushes
while it reads the client and takes while it reads the server. This file must never
know bytes on the wire, policies or the log.

COPY FROM STDIN makes the order uncertain: while the server takes data it swallows
Sync messages ("COPY Operations": Flush and Sync are ignored during copy-in), but it
does not say which ones it met before an error. Such a Sync is a ``MAYBE``: it may be
answered, and nothing waits for it. The next answer to anything else settles it.

Plain Python; compiled with the types in ``ledger.pxd`` where there is a C compiler.
"""

from __future__ import annotations

from typing import Any

from protocols.postgres import expected
from protocols.statements import Statement
from protocols.values import BoundValues

_NOTHING = expected.NOTHING
_QUERY = expected.QUERY
_FUNCTION = expected.FUNCTION
_SYNC = expected.SYNC
_COPY_END = expected.COPY_END
_MAYBE = expected.MAYBE
_OUR_QUERY = expected.OUR_QUERY

_FORGOTTEN = 64
"""Answered entries whose places are given back together."""


class Expected:
    """One answer to come.

    ``name`` is the prepared statement's or portal's name; ``source`` the statement a
    Bind names. ``prepared`` is what a Parse will make, and for a Bind or an Execute what
    it will run if all before it succeeds. ``statement`` is what the log is told when it
    ends. ``refusal`` is set where we replaced the client's message: the server's error
    in this place is rewritten into the refusal. ``weight`` is how many bytes of text it
    keeps. ``segment`` counts the Syncs before it: an error takes along what stands in
    the same segment, and nothing else. ``values`` are a Bind's, where they are kept.
    ``is_stood_in``: something else was sent in the place of a Parse that the server need not
    see again; its answer stands for the Parse's.
    """

    def __init__(
        self,
        code: int,
        name: bytes,
        source: bytes,
        prepared: Any,
        statement: Statement | None,
        refusal: object | None,
        weight: int,
        segment: int,
    ) -> None:
        self._fill(code, name, source, prepared, statement, refusal, weight, segment)

    def _fill(
        self,
        code: int,
        name: bytes,
        source: bytes,
        prepared: Any,
        statement: Statement | None,
        refusal: object | None,
        weight: int,
        segment: int,
    ) -> None:
        self.code = code
        self.name = name
        self.source = source
        self.prepared = prepared
        self.statement = statement
        self.refusal = refusal
        self.weight = weight
        self.segment = segment
        self.values: BoundValues | None = None
        self.is_stood_in = False


class Ledger:
    """The expected answers of one session, oldest first.

    ``head`` is the code of the first entry, ``count`` how many there are, ``weight`` the
    sum of theirs in bytes. ``is_answered``: of the first entry only its ReadyForQuery is
    missing. ``is_skipping``: the server discards what comes until the next Sync.
    ``is_unsynced``: the newest message belongs to a sequence that no Sync has ended yet.
    ``maybes``: how many doubtful Syncs wait; ``spare_ready``: how many of those that
    were passed over may still be answered. ``is_copying``: the server takes copy data, whose
    end the client has not sent yet. ``is_lost``: nobody can tell any more which answer
    belongs to which message.
    """

    def __init__(self) -> None:
        # Answered ones, before ``_start``, are None: a list, which compiles to C, as a queue.
        self._entries: list[Expected | None] = []
        self._start = 0
        self.head = _NOTHING
        self.count = 0
        self.weight = 0
        self.segment = 0
        self.maybes = 0
        self.spare_ready = 0
        self.is_answered = False
        self.is_skipping = False
        self.is_unsynced = False
        self.is_copying = False
        self.is_lost = False
        self._is_uncertain = False
        self._sure = 0

    def push(
        self,
        code: int,
        name: bytes,
        source: bytes,
        prepared: Any,
        statement: Statement | None,
        refusal: object | None,
        weight: int,
    ) -> Expected:
        """Expect one more answer, after all others."""
        entry = Expected.__new__(Expected)
        entry._fill(code, name, source, prepared, statement, refusal, weight, self.segment)
        self._entries.append(entry)
        self.count += 1
        self.weight += weight
        if self.count == 1:
            self.head = code
        if code == _MAYBE:
            self.maybes += 1
        elif code != _COPY_END:
            self._sure += 1
            self.is_unsynced = (
                code != _SYNC and code != _QUERY and code != _FUNCTION and code != _OUR_QUERY
            )
            if code == _SYNC:
                self.segment += 1
            if self._is_uncertain:
                # Behind a doubtful Sync: a sure one clears the doubt. Anything else is
                # answered if the doubtful one was read, and skipped if it was swallowed.
                self._is_uncertain = False
                self.is_lost = code != _SYNC
        return entry

    def add_weight(self, entry: Expected, weight: int) -> None:
        """The newest entry keeps more than its text."""
        entry.weight += weight
        self.weight += weight

    def first(self) -> Expected:
        """The entry whose answer comes next; there must be one."""
        return self._at(self._start)

    def newest(self) -> Expected:
        """The entry that was pushed last; there must be one."""
        return self._at(len(self._entries) - 1)

    def take(self) -> Expected:
        """Take the entry that has been answered."""
        entry = self._pop()
        self.weight -= entry.weight
        self.is_answered = False
        if entry.code == _MAYBE:
            self.maybes -= 1
        else:
            self._sure -= 1
            if entry.code != _SYNC:
                # Answers come in order: no Sync before this one is open any more.
                self.spare_ready = 0
        self._find_head()
        return entry

    def _at(self, place: int) -> Expected:
        # Compiled, an index is not compared with the list's length.
        entry = self._entries[place] if place < len(self._entries) else None
        if entry is None:
            raise LookupError("no answer is expected")
        return entry

    def _pop(self) -> Expected:
        start = self._start
        entry = self._at(start)
        self._entries[start] = None
        self._start = start + 1
        self.count -= 1
        if self._start >= _FORGOTTEN and self._start >= self.count:
            del self._entries[: self._start]
            self._start = 0
        return entry

    def _find_head(self) -> None:
        # A copy's end is answered by nothing: it never stands at the head.
        while self.count > 0:
            entry = self.first()
            if entry.code != _COPY_END:
                self.head = entry.code
                return
            self._pop()
        self.head = _NOTHING

    def owes(self) -> bool:
        """Whether an answer is certain to come."""
        return self._sure > 0

    def is_settled(self) -> bool:
        """Whether no answer can come any more."""
        return self.count == 0 and self.spare_ready == 0

    def begin_copy_in(self) -> None:
        """The head has become copy-in: each Sync before the copy's end may be lost."""
        for entry in self.waiting()[1:]:
            if entry.code == _COPY_END:
                break
            if entry.code == _SYNC:
                entry.code = _MAYBE
                self._sure -= 1
                self.maybes += 1

    def has_copy_end(self) -> bool:
        """Whether the client has already sent the end of the copy at the head."""
        for place in range(self._start, len(self._entries)):
            if self._at(place).code == _COPY_END:
                return True
        return False

    def end_copy_in(self) -> None:
        """The copy at the head succeeded: its end was read, every Sync before it swallowed."""
        kept: list[Expected | None] = []
        is_before_end = True
        for entry in self.waiting():
            if is_before_end and entry.code == _COPY_END:
                is_before_end = False
                self.count -= 1
            elif is_before_end and entry.code == _MAYBE:
                self.count -= 1
                self.maybes -= 1
            else:
                kept.append(entry)
        self._entries = kept
        self._start = 0

    def skip_maybes(self) -> None:
        """An answer to something later has come: the doubtful Syncs were swallowed."""
        while self.head == _MAYBE:
            self.take()
        self.spare_ready = 0

    def sure_head(self) -> int:
        """The code of the first entry that is certain to be answered."""
        for place in range(self._start, len(self._entries)):
            entry = self._at(place)
            if entry.code != _MAYBE and entry.code != _COPY_END:
                return entry.code
        return _NOTHING

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
            # A failed copy-in. Skipping ended at the doubtful Sync or goes on past it.
            behind = self.sure_head()
            if behind == _NOTHING:
                self._is_uncertain = True
            elif behind != _SYNC:
                self.is_lost = True
        return dropped

    def ready(self) -> Expected | None:
        """ReadyForQuery has come: the entry it ends, or None for a doubtful Sync.

        Raises LookupError where nobody waits for it.
        """
        while self.head == _MAYBE:
            self.take()
            self.spare_ready += 1
        if self.head == _SYNC:
            return self.take()
        if self.head == _QUERY or self.head == _FUNCTION:
            # Both are answered by something else first.
            if self.is_answered or self.spare_ready == 0:
                return self.take()
        if self.spare_ready > 0:
            self.spare_ready -= 1
            self._is_uncertain = False
            return None
        raise LookupError("ReadyForQuery out of step")

    def waiting(self) -> list[Expected]:
        """All entries, oldest first."""
        return [entry for entry in self._entries[self._start :] if entry is not None]

    def drain(self) -> list[Expected]:
        """Take everything: the session is over."""
        entries = self.waiting()
        self._entries = []
        self._start = 0
        self.count = 0
        self.weight = 0
        self.maybes = 0
        self.spare_ready = 0
        self._sure = 0
        self.head = _NOTHING
        return entries
