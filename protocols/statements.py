# cython: annotation_typing=False
"""The vocabulary shared by protocols, policies and audit: what a statement is.

Knows neither bytes on the wire nor rules; ``protocols/<name>/scan`` makes statements,
a ``StatementSink`` judges and records them.
"""

from __future__ import annotations

import re
from enum import StrEnum

from protocols.errors import Refusal
from protocols.values import BoundValues


class Via(StrEnum):
    """How a statement reached the server."""

    SIMPLE = "simple"
    PREPARE = "prepare"
    EXECUTE = "execute"
    FUNCTION = "function"


class Outcome(StrEnum):
    """How a statement ended.

    PENDING: not yet. SUSPENDED: a portal stopped at its row limit. PREPARED: it was
    parsed and never run. SKIPPED: an earlier error in its pipeline kept the server
    from reading it. INTERRUPTED: the session ended first, its effect is unknown.
    """

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    SUSPENDED = "suspended"
    PREPARED = "prepared"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"


class Kind(StrEnum):
    """The sort of statement, from its first word or the server's command tag."""

    SELECT = "select"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    MERGE = "merge"
    COPY = "copy"
    FETCH = "fetch"
    CALL = "call"
    EXPLAIN = "explain"
    CREATE = "create"
    ALTER = "alter"
    DROP = "drop"
    TRUNCATE = "truncate"
    GRANT = "grant"
    TRANSACTION = "transaction"
    SET = "set"
    SHOW = "show"
    LISTEN = "listen"
    PREPARED = "prepared"
    MAINTENANCE = "maintenance"
    FUNCTION = "function"
    OTHER = "other"


_WORDS: dict[bytes, Kind] = {
    b"SELECT": Kind.SELECT,
    b"WITH": Kind.SELECT,
    b"VALUES": Kind.SELECT,
    b"TABLE": Kind.SELECT,
    b"INSERT": Kind.INSERT,
    b"REPLACE": Kind.INSERT,
    b"LOAD": Kind.INSERT,
    b"UPDATE": Kind.UPDATE,
    b"DELETE": Kind.DELETE,
    b"MERGE": Kind.MERGE,
    b"COPY": Kind.COPY,
    b"DECLARE": Kind.FETCH,
    b"FETCH": Kind.FETCH,
    b"MOVE": Kind.FETCH,
    b"CLOSE": Kind.FETCH,
    b"CALL": Kind.CALL,
    b"DO": Kind.CALL,
    b"EXPLAIN": Kind.EXPLAIN,
    b"CREATE": Kind.CREATE,
    b"IMPORT": Kind.CREATE,
    b"ALTER": Kind.ALTER,
    b"COMMENT": Kind.ALTER,
    b"SECURITY": Kind.ALTER,
    b"RENAME": Kind.ALTER,
    b"DROP": Kind.DROP,
    b"TRUNCATE": Kind.TRUNCATE,
    b"GRANT": Kind.GRANT,
    b"REVOKE": Kind.GRANT,
    b"REASSIGN": Kind.GRANT,
    b"BEGIN": Kind.TRANSACTION,
    b"START": Kind.TRANSACTION,
    b"COMMIT": Kind.TRANSACTION,
    b"END": Kind.TRANSACTION,
    b"ROLLBACK": Kind.TRANSACTION,
    b"ABORT": Kind.TRANSACTION,
    b"SAVEPOINT": Kind.TRANSACTION,
    b"RELEASE": Kind.TRANSACTION,
    b"SET": Kind.SET,
    b"RESET": Kind.SET,
    b"DISCARD": Kind.SET,
    b"USE": Kind.SET,
    b"SHOW": Kind.SHOW,
    b"DESCRIBE": Kind.SHOW,
    b"DESC": Kind.SHOW,
    b"LISTEN": Kind.LISTEN,
    b"NOTIFY": Kind.LISTEN,
    b"UNLISTEN": Kind.LISTEN,
    b"PREPARE": Kind.PREPARED,
    b"EXECUTE": Kind.PREPARED,
    b"DEALLOCATE": Kind.PREPARED,
    b"VACUUM": Kind.MAINTENANCE,
    b"ANALYZE": Kind.MAINTENANCE,
    b"REINDEX": Kind.MAINTENANCE,
    b"CLUSTER": Kind.MAINTENANCE,
    b"CHECKPOINT": Kind.MAINTENANCE,
    b"REFRESH": Kind.MAINTENANCE,
    b"LOCK": Kind.MAINTENANCE,
    b"OPTIMIZE": Kind.MAINTENANCE,
}


def kind_of_word(word: bytes) -> Kind:
    """The kind for a first word or the first word of a command tag, any case."""
    return _WORDS.get(word.upper(), Kind.OTHER)


# Each byte has one way to be read: with two, a text without a word would take a time that
# doubles with each blank or comment, and stop the whole process.
_FIRST_WORD = re.compile(
    rb"(?:[\s(;]|--[^\n]*(?:\n|\Z)|/\*[^*]*\*+(?:[^/*][^*]*\*+)*/)*([A-Za-z]+)"
)

# The words that begin nearly every statement, in the two ways drivers write them: one
# look-up of the first six bytes instead of a regular expression.
_QUICK: dict[bytes, Kind] = {
    spelling[:6]: kind
    for word, kind in _WORDS.items()
    if word in (b"SELECT", b"INSERT", b"UPDATE", b"DELETE", b"COMMIT", b"ROLLBACK", b"BEGIN")
    for spelling in (word, word.lower(), word + b";", word.lower() + b";")
    if len(spelling) >= 6
} | {b"BEGIN": Kind.TRANSACTION, b"begin": Kind.TRANSACTION}


def kind_of_text(text: bytes) -> Kind:
    """The kind of a statement from its first word, past comments and parentheses.

    A first guess for the log and the metrics, never a verdict.
    """
    p = text
    if len(text) > 6 and p[0] | 0x20 == 0x73 and p[1] | 0x20 == 0x65 and p[2] | 0x20 == 0x6C:
        if p[3] | 0x20 == 0x65 and p[4] | 0x20 == 0x63 and p[5] | 0x20 == 0x74:
            return _SELECT
    kind = _QUICK.get(p[0:6] if len(text) > 6 else text)
    if kind is not None:
        return kind
    match = _FIRST_WORD.match(text)
    return _WORDS.get(match[1].upper(), Kind.OTHER) if match else Kind.OTHER


# Looking up a member of an Enum walks its class; these are read for every statement.
_OTHER = Kind.OTHER
_SELECT = Kind.SELECT
_PENDING = Outcome.PENDING


class Statement:
    """One statement on its way: made by a scanner, ended once, then recorded.

    ``text`` is the statement as sent, cut at the scanner's text limit; ``text_length``
    is its whole length in bytes. ``started`` and ``ended`` are the scanner's ``now``
    (monotonic seconds). ``rows`` counts rows sent to the client or, where the server
    only tells a number (INSERT, COPY), that number. ``tag`` is the server's last
    command tag. ``code`` is the SQLSTATE of the error that ended it, or "".
    ``values`` are those bound to it, where the log is to have them.
    ``number`` and ``place`` belong to the sink: the statement's number in its session
    and its place in the journal. ``rule`` names the rule of a policy that refused it.
    """

    def __init__(self, via: Via, text: bytes, text_length: int, started: float) -> None:
        self._begin(via, text, text_length, started)

    def _begin(self, via: Via, text: bytes, text_length: int, started: float) -> None:
        self.via = via
        self.text = text
        self.text_length = text_length
        self.started = started
        self.ended = 0.0
        self.kind = _OTHER
        self.name = b""
        self.outcome = _PENDING
        self.rows = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.tag = b""
        self.code = ""
        self.values: BoundValues | None = None
        self.number = 0
        self.place = 0
        self.rule = ""


def new_statement(via: Via, text: bytes, text_length: int, started: float) -> Statement:
    """A Statement, for scanners: compiled, without the way by which Python calls a class."""
    statement = Statement.__new__(Statement)
    statement._begin(via, text, text_length, started)
    return statement


class StatementSink:
    """Who judges and records the statements of one session; a base, so that it is called in C."""

    def begin(self, statement: Statement) -> Refusal | None:
        """Judge a statement before its bytes leave; the verdict is kept on return.

        None allows it. A Refusal is given to the client in the statement's place and
        the session goes on. Raises Refusal where the session itself must end (the
        audit log cannot be written).
        """
        return None

    def end(self, statement: Statement) -> None:
        """Record how a statement ended. Called exactly once for each ``begin``."""

    def why_stopped(self) -> Refusal | None:
        """What stands for the server's error that a statement was cancelled; None: that error.

        Called before that statement's ``end``.
        """
        return None


class AllowAll(StatementSink):
    """A StatementSink that allows everything and remembers it: the fake for tests."""

    def __init__(self) -> None:
        self.begun: list[Statement] = []
        self.ended: list[Statement] = []

    def begin(self, statement: Statement) -> Refusal | None:
        """Allow it."""
        self.begun.append(statement)
        return None

    def end(self, statement: Statement) -> None:
        """Remember it."""
        self.ended.append(statement)
