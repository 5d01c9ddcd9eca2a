# cython: annotation_typing=False
"""What the server still owes: the queue of expected answers, and nothing else.

Every command that the server answers has one entry here, in the order in which the
answers come: the server reads one command after another and answers each before it
reads the next. The scanner pushes while it reads the client and takes while it reads
the server. This file must never know bytes on the wire, policies or the log.

Plain Python; compiled with the types in ``ledger.pxd`` where there is a C compiler.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from protocols.mysql import expected
from protocols.statements import Outcome, Statement

_NOTHING = expected.NOTHING
_NO_FILE = expected.NO_FILE


class InPlace:
    """An ERR of ours in the place of the server's answer to a command that it never got.

    ``outcome`` and ``sqlstate`` are what the statement's record is told.
    """

    def __init__(self, number: int, sqlstate: str, text: bytes, outcome: Outcome) -> None:
        self.number = number
        self.sqlstate = sqlstate
        self.text = text
        self.outcome = outcome


class Expected:
    """One answer to come.

    ``statement`` is what the log is told when it ends. ``prepared`` is what a
    COM_STMT_PREPARE will make. ``weight`` is how many bytes of text it keeps.
    ``sequence`` is the number the client expects the answer's first packet to have.
    ``is_whole``: the last packet of the command has been seen. ``is_replaced``: a
    COM_PING went upstream instead; ``in_place`` is then what its OK becomes (None: it
    stays an OK). ``has_cursor``: the client asked for a cursor. ``runs``: the prepared
    statement that is executed or fetched from. ``text``: the statement where it may ask
    the client for files, else empty; ``files``: for how many more.
    """

    def __init__(self, code: int, statement: Statement | None, weight: int) -> None:
        self._fill(code, statement, weight)

    def _fill(self, code: int, statement: Statement | None, weight: int) -> None:
        self.code = code
        self.statement = statement
        self.weight = weight
        self.prepared: Any = None
        self.sequence = 1
        self.is_whole = True
        self.is_replaced = False
        self.in_place: InPlace | None = None
        self.has_cursor = False
        self.runs: Any = None
        self.text = b""
        self.files = 0


class Ledger:
    """The expected answers of one session, oldest first.

    ``count`` is how many there are, ``weight`` the sum of theirs in bytes.
    ``file_state`` and ``file_sequence`` (the next packet's number) belong to the LOAD
    DATA LOCAL at the head; ``is_file_continued``: its last packet was a full one;
    ``files``: how many files the server has asked for in all.
    ``is_client_between``: the client is not in the middle of a
    command; ``has_silent_behind``: one that has no answer stands behind the last entry.
    ``status`` is the server's status flags, ``is_fatal`` its announced end.
    """

    def __init__(self, status: int) -> None:
        self._entries: deque[Expected] = deque()
        self.count = 0
        self.weight = 0
        self.file_state = _NO_FILE
        self.file_sequence = 0
        self.is_file_continued = False
        self.files = 0
        self.is_client_between = True
        self.has_silent_behind = False
        self.status = status
        self.is_fatal = False

    def push(self, code: int, statement: Statement | None, weight: int) -> Expected:
        """Expect one more answer, after all others."""
        entry = Expected.__new__(Expected)
        entry._fill(code, statement, weight)
        self.add(entry)
        return entry

    def add(self, entry: Expected) -> None:
        """The same, with an entry made before."""
        self._entries.append(entry)
        self.has_silent_behind = False
        self.count += 1
        self.weight += entry.weight

    def first(self) -> Expected:
        """The entry whose answer comes next; there must be one."""
        entry: Expected = self._entries[0]
        return entry

    def take(self) -> Expected:
        """Take the entry that has been answered."""
        entry: Expected = self._entries.popleft()
        self.count -= 1
        self.weight -= entry.weight
        self.file_state = _NO_FILE
        return entry

    def drain(self) -> list[Expected]:
        """Take everything: the session is over."""
        entries = list(self._entries)
        self._entries.clear()
        self.count = 0
        self.weight = 0
        self.file_state = _NO_FILE
        return entries
