"""MySQL's packets as short words, and a session's scanner to say them to.

A ``Talk`` feeds a scanner in one of several slicings, so that each test of a
conversation is a test of how its bytes may arrive.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest

from protocols.errors import Reason, Refusal
from protocols.interface import ScanLimits
from protocols.metering import ResultMeter
from protocols.mysql.scan import MysqlScanner
from protocols.statements import Outcome, Statement, StatementSink

DEPRECATE_EOF = 1 << 24
IN_TRANS, AUTOCOMMIT, MORE, CURSOR, LAST_ROW = 1, 2, 8, 0x40, 0x80
FULL = 0xFFFFFF


def packet(sequence: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + body


def message(sequence: int, body: bytes) -> bytes:
    """A body in as many packets as it takes; a full one is followed by another."""
    parts = b""
    while True:
        part, body = body[:FULL], body[FULL:]
        parts += packet(sequence, part)
        sequence += 1
        if len(part) < FULL:
            return parts


# --- the client's commands -----------------------------------------------------------


def command(code: int, body: bytes = b"") -> bytes:
    return message(0, bytes((code,)) + body)


def query(text: bytes) -> bytes:
    return command(0x03, text)


def prepare(text: bytes) -> bytes:
    return command(0x16, text)


def execute(number: int, flags: int = 0, rest: bytes = b"") -> bytes:
    return command(0x17, struct.pack("<IBI", number, flags, 1) + rest)


def fetch(number: int, rows: int = 1) -> bytes:
    return command(0x1C, struct.pack("<II", number, rows))


def long_data(number: int, data: bytes) -> bytes:
    return command(0x18, struct.pack("<IH", number, 0) + data)


def close(number: int) -> bytes:
    return command(0x19, struct.pack("<I", number))


def reset(number: int) -> bytes:
    return command(0x1A, struct.pack("<I", number))


def init_db(name: bytes) -> bytes:
    return command(0x02, name)


PING = command(0x0E)
QUIT = command(0x01)
STATISTICS = command(0x09)
RESET_CONNECTION = command(0x1F)


# --- the server's packets: bodies, numbered by ``answer`` ----------------------------


def ok(affected: int = 0, status: int = AUTOCOMMIT, header: int = 0) -> bytes:
    return bytes((header,)) + lenenc(affected) + b"\0" + struct.pack("<HH", status, 0)


def eof(status: int = AUTOCOMMIT) -> bytes:
    return b"\xfe" + struct.pack("<HH", 0, status)


def err(number: int = 1064, sqlstate: bytes = b"42000", text: bytes = b"no") -> bytes:
    return b"\xff" + struct.pack("<H", number) + b"#" + sqlstate + text


def lenenc(value: int) -> bytes:
    if value < 0xFB:
        return bytes((value,))
    if value < 1 << 16:
        return b"\xfc" + value.to_bytes(2, "little")
    if value < 1 << 24:
        return b"\xfd" + value.to_bytes(3, "little")
    return b"\xfe" + value.to_bytes(8, "little")


DEFINITION = b"\3def" + b"\0" * 4 + b"\1c\0\x0c" + b"\0" * 12
ROW = b"\1x"
NULL_ROW = b"\xfb"
EMPTY_ROW = b"\0"
BINARY_ROW = b"\0\0\1x"


def prepared(number: int, parameters: int = 0, columns: int = 0) -> bytes:
    return b"\0" + struct.pack("<IHHBH", number, columns, parameters, 0, 0)


def answer(*bodies: bytes, sequence: int = 1) -> bytes:
    """Bodies as the packets of one answer."""
    parts = []
    for body in bodies:
        parts.append(message(sequence, body))
        sequence += len(body) // FULL + 1
    return b"".join(parts)


def packets(stream: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(stream):
        length = int.from_bytes(stream[at : at + 3], "little") + 4
        yield stream[at : at + length]
        at += length


# --- the scanner, told in slices -----------------------------------------------------


def whole(stream: bytes) -> Iterator[bytes]:
    yield stream


def byte_by_byte(stream: bytes) -> Iterator[bytes]:
    for at in range(len(stream)):
        yield stream[at : at + 1]


def with_a_tail(stream: bytes) -> Iterator[bytes]:
    """Each packet with the beginning of the next one's header."""
    tail = b""
    for part in packets(stream):
        yield tail + part[:-1]
        tail = part[-1:]
    yield tail


Slicing = Callable[[bytes], Iterator[bytes]]

three_slicings = pytest.mark.parametrize(
    "slicing", [whole, byte_by_byte, with_a_tail], ids=lambda slicing: slicing.__name__
)
both_ends = pytest.mark.parametrize("deprecates", [False, True], ids=["eof", "no eof"])


class Recorder(StatementSink):
    """A StatementSink that keeps what it is told, and holds the scanner to its word.

    It refuses a text that holds ``refused``, and redacts one that holds ``redacted``.
    """

    def __init__(self, refused: bytes = b"") -> None:
        self.begun: list[Statement] = []
        self.ended: list[Statement] = []
        self.stopped: Refusal | None = None
        self.refused = refused
        self.redacted = b""

    def begin(self, statement: Statement) -> Refusal | None:
        assert statement.outcome is Outcome.PENDING
        assert all(statement is not known for known in self.begun[-50:])
        self.begun.append(statement)
        if self.redacted and self.redacted in statement.text:
            statement.text = b"(redacted)"
        if self.refused and self.refused in statement.text:
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
        self,
        slicing: Slicing = whole,
        *,
        refused: bytes = b"",
        limits: ScanLimits | None = None,
        deprecates: bool = True,
        is_mariadb: bool = False,
        local_infile: bool = False,
        is_compressed: bool = False,
        sessions: frozenset[int] = frozenset(),
        meter: ResultMeter | None = None,
    ) -> None:
        self.sink = Recorder(refused)
        self.killed: list[tuple[int, bool]] = []
        self._sessions = sessions
        self.scanner = MysqlScanner(
            self.sink,
            limits or ScanLimits(),
            self._kill,
            capabilities=DEPRECATE_EOF if deprecates else 0,
            is_mariadb=is_mariadb,
            local_infile=local_infile,
            is_client_compressed=is_compressed,
            is_server_compressed=is_compressed,
            meter=meter,
        )
        self.deprecates = deprecates
        self._slicing = slicing
        self._now = 0.0

    def _kill(self, number: int, only_statement: bool) -> bool:
        self.killed.append((number, only_statement))
        return number in self._sessions

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

    def rows(self, *rows: bytes, columns: int = 1, status: int = AUTOCOMMIT) -> list[bytes]:
        """The bodies of a result set, with or without EOF packets."""
        middle = [] if self.deprecates else [eof(status & ~CURSOR)]
        return [lenenc(columns), *[DEFINITION] * columns, *middle, *rows, self.end(status)]

    def end(self, status: int = AUTOCOMMIT) -> bytes:
        return ok(0, status, 0xFE) if self.deprecates else eof(status)

    def definitions(self, count: int) -> list[bytes]:
        """So many definitions and, where there are any, their EOF."""
        return [DEFINITION] * count + ([] if self.deprecates or not count else [eof()])

    # Methods, so that a type checker does not take two answers for one.

    def has_outstanding(self) -> bool:
        return self.scanner.has_outstanding

    def is_idle(self) -> bool:
        return self.scanner.is_idle

    def is_in_transaction(self) -> bool:
        return self.scanner.is_in_transaction

    def is_crowded(self) -> bool:
        return self.scanner.is_crowded

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
