"""A small MySQL that follows the manual's rules for packets, and runs no SQL.

It reads commands one after another and answers each: text and prepared statements,
cursors, several results, a client's file. What it runs is written in a few words,
several of them with ``;`` between:

``rows N``, ``insert N``   succeed with so many rows
``fail``                   fails; ``bad`` fails when it is prepared, too
``half N``                 fails behind so many rows
``begin``, ``commit``      open and end a transaction
``load data local infile 'f'``  asks for the file and counts its packets
"""

from __future__ import annotations

import struct

from tests.protocols.mysql.conversation import (
    AUTOCOMMIT,
    BINARY_ROW,
    CURSOR,
    DEFINITION,
    FULL,
    IN_TRANS,
    LAST_ROW,
    MORE,
    ROW,
    eof,
    err,
    lenenc,
    ok,
    packet,
    prepared,
)

LOAD = b"load data local infile 'f'"
LAST_ID = 0xFFFFFFFF
UNKNOWN = b"an unknown statement"


class ModelServer:
    """``take`` bytes of the client, then ``said`` holds what the server has answered.

    ``ran`` is what was run, in order: (text, rows, outcome). ``pings`` counts COM_PING.
    """

    def __init__(self, *, deprecates: bool, is_mariadb: bool, is_loading: bool = True) -> None:
        self.said = b""
        self.ran: list[tuple[bytes, int, str]] = []
        self.pings = 0
        self.is_over = False
        self._deprecates = deprecates
        self._is_mariadb = is_mariadb
        self._is_loading = is_loading
        self._taken = b""
        self._body = b""
        self._is_continued = False
        self._sequence = 0
        self._status = AUTOCOMMIT
        self._statements: dict[int, bytes] = {}
        self._cursors: dict[int, int] = {}
        self._number = 0
        self._last: int | None = None
        # While the client sends a file: the text it is for, rows so far, what is left.
        self._file: tuple[bytes, int, list[bytes]] | None = None
        self._file_rows = 0

    def take(self, stream: bytes) -> None:
        """Process all whole packets."""
        self._taken += stream
        while len(self._taken) >= 4 and not self.is_over:
            length = int.from_bytes(self._taken[:3], "little")
            if len(self._taken) < length + 4:
                return
            sequence, part = self._taken[3], self._taken[4 : length + 4]
            self._taken = self._taken[length + 4 :]
            if not self._is_continued and self._file is None:
                self._sequence = 0
            assert sequence == self._sequence, "packets out of order"
            self._sequence = (sequence + 1) & 0xFF
            self._body += part
            self._is_continued = length == FULL
            if self._is_continued:
                continue
            body, self._body = self._body, b""
            if self._file is not None:
                self._take_file(body)
            else:
                self._command(body[0], body[1:])

    def _say(self, *bodies: bytes) -> None:
        for body in bodies:
            self.said += packet(self._sequence, body)
            self._sequence = (self._sequence + 1) & 0xFF

    def _end(self, status: int = 0) -> bytes:
        status |= self._status
        return ok(0, status, 0xFE) if self._deprecates else eof(status)

    def _definitions(self, count: int, status: int = 0) -> list[bytes]:
        has_eof = count > 0 and not self._deprecates
        return [DEFINITION] * count + ([eof(status | self._status)] if has_eof else [])

    def _command(self, code: int, body: bytes) -> None:
        if code == 0x03:
            self._run(body, 0, body.split(b";"), is_binary=False)
        elif code == 0x0E:
            self.pings += 1
            self._say(ok(0, self._status))
        elif code in (0x02, 0x1A):
            self._say(ok(0, self._status))
        elif code == 0x09:
            self._say(b"Uptime: 5")
        elif code == 0x04:
            self._say(DEFINITION, self._end())
        elif code == 0x1F:
            self._statements.clear()
            self._last = None
            self._status = AUTOCOMMIT
            self._say(ok(0, self._status))
        elif code == 0x16:
            self._prepare(body)
        elif code in (0x17, 0x1C, 0x19):
            self._prepared(code, body)
        elif code == 0x01:
            self.is_over = True
        else:
            assert code == 0x18, f"command {code}"

    def _prepare(self, text: bytes) -> None:
        if text.startswith(b"bad"):
            self._last = None
            self._say(err())
            return
        self._number += 1
        self._statements[self._number] = text
        self._last = self._number
        parameters, columns = self._number % 3, 1 if text.startswith(b"rows") else 0
        self._say(
            prepared(self._number, parameters, columns),
            *self._definitions(parameters),
            *self._definitions(columns),
        )

    def _prepared(self, code: int, body: bytes) -> None:
        number = int(struct.unpack("<I", body[:4])[0])
        if number == LAST_ID and self._is_mariadb:
            number = self._last or 0
        text = self._statements.get(number)
        if code == 0x19:
            self._statements.pop(number, None)
            self._cursors.pop(number, None)
            if number == self._last:
                self._last = None
        elif text is None:
            self._say(err(1243, b"HY000"))
            self.ran.append((UNKNOWN, 0, "failed"))
        elif code == 0x1C:
            self._fetch(number, text, int(struct.unpack("<I", body[4:8])[0]))
        else:
            self._cursors.pop(number, None)
            if body[4] and text.startswith(b"rows") and b";" not in text:
                self._cursors[number] = int(text[5:])
                self._say(lenenc(1), DEFINITION)
                self._say(self._end(CURSOR))
                self.ran.append((text, 0, "suspended"))
            else:
                self._run(text, 0, text.split(b";"), is_binary=True)

    def _fetch(self, number: int, text: bytes, count: int) -> None:
        left = self._cursors.get(number)
        if left is None:
            self._say(err(1421, b"HY000"))
            self.ran.append((text, 0, "failed"))
            return
        sent = min(left, count)
        is_last = sent == left
        self._cursors[number] = left - sent
        if is_last:
            del self._cursors[number]
        self._say(*[BINARY_ROW] * sent, self._end(LAST_ROW if is_last else CURSOR))
        self.ran.append((text, sent, "succeeded" if is_last else "suspended"))

    def _run(self, text: bytes, rows: int, parts: list[bytes], *, is_binary: bool) -> None:
        while parts:
            part = parts.pop(0)
            more = MORE if parts else 0
            word, _, number = part.partition(b" ")
            row = BINARY_ROW if is_binary else ROW
            if part == LOAD and not is_binary and self._is_loading:
                self._say(b"\xfbf")
                self._file = (text, rows, parts)
                self._file_rows = 0
                return
            if word in (b"rows", b"half"):
                rows += int(number)
                self._say(lenenc(2), *self._definitions(2, more), *[row] * int(number))
            if word == b"rows":
                self._say(self._end(more))
            elif word in (b"fail", b"bad", b"half", b"load"):
                self._say(err())
                self.ran.append((text, rows, "failed"))
                return
            else:
                if word == b"insert":
                    rows += int(number)
                elif word == b"begin":
                    self._status |= IN_TRANS
                elif word == b"commit":
                    self._status &= ~IN_TRANS
                self._say(ok(int(number or 0), self._status | more))
        self.ran.append((text, rows, "succeeded"))

    def _take_file(self, body: bytes) -> None:
        assert self._file is not None
        if body:
            self._file_rows += 1
            return
        text, rows, parts = self._file
        self._file = None
        self._say(ok(self._file_rows, self._status | (MORE if parts else 0)))
        if parts:
            self._run(text, rows + self._file_rows, parts, is_binary=False)
        else:
            self.ran.append((text, rows + self._file_rows, "succeeded"))
