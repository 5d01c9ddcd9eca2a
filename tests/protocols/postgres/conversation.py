"""PostgreSQL's messages as short words, and a session's scanner to say them to.

A ``Talk`` feeds a scanner in one of several slicings, so that each test of a
conversation is a test of how its bytes may arrive.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest

from protocols.errors import Reason, Refusal
from protocols.interface import ScanLimits
from protocols.postgres.scan import PostgresScanner
from protocols.statements import Outcome, Statement, StatementSink

# --- the client's messages -----------------------------------------------------------


def message(code: bytes, body: bytes = b"") -> bytes:
    return code + struct.pack("!I", len(body) + 4) + body


def query(text: bytes) -> bytes:
    return message(b"Q", text + b"\0")


def parse(text: bytes, name: bytes = b"", types: int = 0) -> bytes:
    return message(b"P", name + b"\0" + text + b"\0" + struct.pack("!H", types) + b"\0" * 4 * types)


def bind(portal: bytes = b"", name: bytes = b"", values: bytes = b"") -> bytes:
    parameters = b"\0\1" + struct.pack("!I", len(values)) + values if values else b"\0\0"
    return message(b"B", portal + b"\0" + name + b"\0\0\0" + parameters + b"\0\0")


def execute(portal: bytes = b"", rows: int = 0) -> bytes:
    return message(b"E", portal + b"\0" + struct.pack("!I", rows))


def describe(name: bytes = b"", kind: bytes = b"P") -> bytes:
    return message(b"D", kind + name + b"\0")


def close(name: bytes = b"", kind: bytes = b"S") -> bytes:
    return message(b"C", kind + name + b"\0")


def function(oid: int, argument: bytes = b"x") -> bytes:
    counts = struct.pack("!IHHHI", oid, 1, 0, 1, len(argument))
    return message(b"F", counts + argument + b"\0\0")


def data(body: bytes = b"1\n") -> bytes:
    return message(b"d", body)


def copy_fail(reason: bytes = b"no") -> bytes:
    return message(b"f", reason + b"\0")


SYNC = message(b"S")
FLUSH = message(b"H")
COPY_DONE = message(b"c")
TERMINATE = message(b"X")


def unnamed(text: bytes) -> bytes:
    """What a driver sends for one statement with parameters, without its Sync."""
    return parse(text) + bind() + execute()


# --- the server's messages -----------------------------------------------------------

PARSED = message(b"1")
BOUND = message(b"2")
CLOSED = message(b"3")
NO_DATA = message(b"n")
EMPTY = message(b"I")
SUSPENDED = message(b"s")
ROW = message(b"D", b"\0\1\0\0\0\1x")
DESCRIBED = message(b"T", b"\0\1c\0" + b"\0" * 18)
PARAMETERS = message(b"t", b"\0\0")
COPY_IN = message(b"G", b"\0\0\1\0\0")
COPY_OUT = message(b"H", b"\0\0\1\0\0")
CALLED = message(b"V", b"\xff\xff\xff\xff")


def complete(tag: bytes) -> bytes:
    return message(b"C", tag + b"\0")


def ready(status: bytes = b"I") -> bytes:
    return message(b"Z", status)


def error(code: bytes = b"42601", severity: bytes = b"ERROR", text: bytes = b"no") -> bytes:
    fields = b"S" + severity + b"\0V" + severity + b"\0"
    if code:
        fields += b"C" + code + b"\0"
    return message(b"E", fields + b"M" + text + b"\0\0")


def notice(text: bytes = b"by the way") -> bytes:
    return message(b"N", b"SNOTICE\0VNOTICE\0C00000\0M" + text + b"\0\0")


def notification() -> bytes:
    return message(b"A", b"\0\0\0\1channel\0payload\0")


def setting(name: bytes, value: bytes) -> bytes:
    return message(b"S", name + b"\0" + value + b"\0")


READY = ready()
RAN = PARSED + BOUND + complete(b"SELECT 0")
"""What a server says to ``unnamed``."""


# --- the scanner, told in slices -----------------------------------------------------


def messages(stream: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(stream):
        length = int.from_bytes(stream[at + 1 : at + 5], "big") + 1
        yield stream[at : at + length]
        at += length


def whole(stream: bytes) -> Iterator[bytes]:
    yield stream


def byte_by_byte(stream: bytes) -> Iterator[bytes]:
    for at in range(len(stream)):
        yield stream[at : at + 1]


def with_a_tail(stream: bytes) -> Iterator[bytes]:
    """Each message with the beginning of the next one's header."""
    tail = b""
    for part in messages(stream):
        yield tail + part[:-1]
        tail = part[-1:]
    yield tail


Slicing = Callable[[bytes], Iterator[bytes]]

three_slicings = pytest.mark.parametrize(
    "slicing", [whole, byte_by_byte, with_a_tail], ids=lambda slicing: slicing.__name__
)


class Recorder(StatementSink):
    """A StatementSink that keeps what it is told, and holds the scanner to its word."""

    def __init__(self, refused: bytes = b"") -> None:
        self.begun: list[Statement] = []
        self.ended: list[Statement] = []
        self.stopped: Refusal | None = None
        self._refused = refused

    def begin(self, statement: Statement) -> Refusal | None:
        assert statement.outcome is Outcome.PENDING
        assert all(statement is not known for known in self.begun[-50:])
        self.begun.append(statement)
        if self._refused and self._refused in statement.text:
            return Refusal(Reason.NOT_PERMITTED, "not here", "the rule that said so")
        return None

    def end(self, statement: Statement) -> None:
        assert statement.outcome is not Outcome.PENDING
        assert all(statement is not known for known in self.ended[-50:])
        self.ended.append(statement)

    def why_stopped(self) -> Refusal | None:
        found, self.stopped = self.stopped, None
        return found


class Talk:
    """One session: say what the client sends, say what the server sends, ask for records."""

    def __init__(
        self, slicing: Slicing = whole, *, refused: bytes = b"", limits: ScanLimits | None = None
    ) -> None:
        self.sink = Recorder(refused)
        self.scanner = PostgresScanner(self.sink, limits or ScanLimits())
        self._slicing = slicing
        self._now = 0.0

    def client(self, *parts: bytes) -> bytes:
        """The client sends; what goes upstream."""
        self._now += 1
        stream = b"".join(parts)
        return b"".join(
            self.scanner.from_client(part, self._now) for part in self._slicing(stream) if part
        )

    def server(self, *parts: bytes) -> bytes:
        """The server sends; what goes to the client."""
        self._now += 1
        stream = b"".join(parts)
        return b"".join(
            self.scanner.from_server(part, self._now) for part in self._slicing(stream) if part
        )

    def passes(self, client: bytes, server: bytes) -> None:
        """The client sends and the server answers, and nothing of it is changed."""
        assert self.client(client) == client
        assert self.server(server) == server

    # Methods, so that a type checker does not take two answers for one.

    def has_outstanding(self) -> bool:
        return self.scanner.has_outstanding

    def is_idle(self) -> bool:
        return self.scanner.is_idle

    def is_crowded(self) -> bool:
        return self.scanner.is_crowded

    def is_in_transaction(self) -> bool:
        return self.scanner.is_in_transaction

    @property
    def told(self) -> list[tuple[str, bytes, str]]:
        """The ended records, as (via, text, outcome)."""
        return [(str(each.via), each.text, str(each.outcome)) for each in self.sink.ended]

    @property
    def last(self) -> Statement:
        return self.sink.ended[-1]

    def finish(self) -> None:
        """Close the session; nothing was owed and every record is told."""
        assert not self.scanner.has_outstanding
        assert self.scanner.is_idle
        self.close()

    def close(self) -> None:
        self._now += 1
        self.scanner.close(self._now)
        assert sorted(map(id, self.sink.begun)) == sorted(map(id, self.sink.ended))
