"""A small PostgreSQL that follows the manual's rules for messages, and runs no SQL.

It answers byte streams: simple and extended protocol, skipping until Sync after an
error, COPY with its swallowed Syncs, portals that end with their transaction. What it
runs is written in a few words:

``rows N``, ``insert N``, ``copy out N``   succeed with so many rows
``copy in N``     takes data; fails at the N-th CopyData, or never where N is 0
``fail``, ``bad`` fail when run, fail when parsed
``begin``, ``commit``, ``rollback``
"""

from __future__ import annotations

from tests.protocols.postgres.conversation import (
    BOUND,
    CALLED,
    CLOSED,
    COPY_DONE,
    COPY_IN,
    COPY_OUT,
    DESCRIBED,
    EMPTY,
    NO_DATA,
    PARAMETERS,
    PARSED,
    ROW,
    SUSPENDED,
    complete,
    data,
    error,
    ready,
)


class _Failed(Exception):
    """The message being processed draws an ErrorResponse."""


class _Portal:
    def __init__(self, text: bytes) -> None:
        self.text = text
        self.left: int | None = None
        self.is_done = False


class ModelServer:
    """``take`` bytes of the client, then ``said`` holds what the server has answered.

    ``ran`` is what was run, in order: (text, rows, outcome).
    """

    def __init__(self) -> None:
        self.said = b""
        self.ran: list[tuple[bytes, int, str]] = []
        self.is_over = False
        self._taken = b""
        self._statements: dict[bytes, bytes] = {}
        self._portals: dict[bytes, _Portal] = {}
        self._status = b"I"
        self._is_skipping = False
        # In copy-in: (text, what is left of the query behind it or None, data to go).
        self._copy: tuple[bytes, list[bytes] | None, int] | None = None
        self._query = b""
        self._query_rows = 0

    def take(self, stream: bytes) -> None:
        """Process all whole messages."""
        self._taken += stream
        while len(self._taken) >= 5 and not self.is_over:
            length = int.from_bytes(self._taken[1:5], "big") + 1
            if len(self._taken) < length:
                return
            code, body = self._taken[:1], self._taken[5:length]
            self._taken = self._taken[length:]
            self._process(code, body)

    def _process(self, code: bytes, body: bytes) -> None:
        if self._copy is not None:
            self._copying(code)
            return
        if self._is_skipping and code not in (b"S", b"X"):
            return
        if code in (b"P", b"B", b"E", b"D", b"C"):
            try:
                self._extended(code, body)
            except _Failed as failed:
                self._fail(failed)
                self._is_skipping = True
        elif code == b"Q":
            self._query, self._query_rows = body[:-1], 0
            # A simple query makes away with the unnamed statement, and uses its portal.
            self._statements.pop(b"", None)
            parts = [part for part in body[:-1].split(b";") if part]
            if any(part.startswith((b"bad", b"accode")) for part in parts):
                # The whole text is parsed before any of it runs.
                parts = [b"bad"]
            elif parts:
                self._portals.pop(b"", None)
            self.said += b"" if parts else EMPTY
            self._run_query(parts)
        elif code == b"F":
            self.said += CALLED
            self.ran.append((b"function call of oid %d" % int.from_bytes(body[:4], "big"), 0, "ok"))
            self._ready()
        elif code == b"S":
            self._is_skipping = False
            self._ready()
        elif code == b"X":
            self.is_over = True

    def _fail(self, failed: _Failed) -> None:
        self.said += error(str(failed).encode())
        if self._status == b"T":
            self._status = b"E"

    def _ready(self) -> None:
        if self._status == b"I":
            self._portals.clear()
        self.said += ready(self._status)

    # --- running -------------------------------------------------------------------

    def _check(self, text: bytes) -> None:
        if text.startswith((b"bad", b"accode")):
            raise _Failed("42601")
        if self._status == b"E" and text not in (b"rollback", b"commit"):
            raise _Failed("25P02")

    def _transaction(self, text: bytes) -> bytes:
        if text == b"begin":
            self._status = b"T"
            return b"BEGIN"
        tag = b"ROLLBACK" if self._status == b"E" else text.upper()
        self._status = b"I"
        self._portals.clear()
        return tag

    def _run_query(self, parts: list[bytes]) -> None:
        while parts:
            text = parts.pop(0)
            word, _, number = text.rpartition(b" ")
            try:
                self._check(text)
                if text == b"fail":
                    raise _Failed("22012")
            except _Failed as failed:
                self._fail(failed)
                self.ran.append((self._query, self._query_rows, "failed"))
                self._ready()
                return
            if word == b"rows":
                self.said += DESCRIBED + ROW * int(number) + complete(b"SELECT " + number)
                self._query_rows += int(number)
            elif word == b"insert":
                self.said += complete(b"INSERT 0 " + number)
                self._query_rows += int(number)
            elif word == b"copy out":
                self.said += COPY_OUT + data() * int(number) + COPY_DONE
                self.said += complete(b"COPY " + number)
                self._query_rows += int(number)
            elif word == b"copy in":
                self.said += COPY_IN
                self._copy = (text, parts, int(number) or -1)
                return
            else:
                self.said += complete(self._transaction(text))
        self.ran.append((self._query, self._query_rows, "succeeded"))
        self._ready()

    def _copying(self, code: bytes) -> None:
        assert self._copy is not None
        text, parts, left = self._copy
        failure = ""
        if code == b"d":
            if left == 1:
                failure = "22P02"
            self._copy = (text, parts, left - 1)
        elif code == b"c":
            self._copy = None
            self.said += complete(b"COPY 3")
            if parts is None:
                self.ran.append((text, 3, "succeeded"))
            else:
                self._query_rows += 3
                self._run_query(parts)
        elif code == b"f":
            failure = "57014"
        elif code not in (b"S", b"H"):
            self.said += error(b"08P01") + error(b"08P01", b"FATAL")
            self.is_over = True
        if failure:
            self._copy = None
            self._fail(_Failed(failure))
            if parts is None:
                self.ran.append((text, 0, "failed"))
                self._is_skipping = True
            else:
                self.ran.append((self._query, self._query_rows, "failed"))
                self._ready()

    # --- the extended protocol -----------------------------------------------------

    def _extended(self, code: bytes, body: bytes) -> None:
        if code == b"P":
            name, text = body.split(b"\0")[:2]
            if not name:
                # Also where its successor fails.
                self._statements.pop(name, None)
            if text:
                self._check(text)
            if name and name in self._statements:
                raise _Failed("42P05")
            self._statements[name] = text
            self.said += PARSED
        elif code == b"B":
            portal, name = body.split(b"\0")[:2]
            if name not in self._statements:
                raise _Failed("26000")
            self._check(self._statements[name])
            if portal and portal in self._portals:
                raise _Failed("42P03")
            self._portals[portal] = _Portal(self._statements[name])
            self.said += BOUND
        elif code == b"D":
            is_portal, name = body[:1] == b"P", body[1:-1]
            if name not in (self._portals if is_portal else self._statements):
                raise _Failed("34000" if is_portal else "26000")
            text = self._portals[name].text if is_portal else self._statements[name]
            if self._status == b"E" and text.startswith((b"rows", b"fail")):
                raise _Failed("25P02")
            self.said += NO_DATA if is_portal else PARAMETERS + DESCRIBED
        elif code == b"C":
            (self._portals if body[:1] == b"P" else self._statements).pop(body[1:-1], None)
            self.said += CLOSED
        else:
            self._execute(body[:-5], int.from_bytes(body[-4:], "big"))

    def _execute(self, name: bytes, limit: int) -> None:
        portal = self._portals.get(name)
        if portal is None:
            raise _Failed("34000")
        text = portal.text
        word, _, number = text.rpartition(b" ")
        if text:
            self._check(text)
        if portal.is_done:
            raise _Failed("55000")
        portal.is_done = word != b"rows" and text != b""
        if text == b"fail":
            self.ran.append((text, 0, "failed"))
            raise _Failed("22012")
        if text == b"":
            self.said += EMPTY
            self.ran.append((text, 0, "succeeded"))
        elif word == b"rows":
            left = int(number) if portal.left is None else portal.left
            sent = min(left, limit) if limit else left
            portal.left = left - sent
            self.said += ROW * sent
            is_suspended = bool(limit) and sent == limit
            self.said += SUSPENDED if is_suspended else complete(b"SELECT %d" % sent)
            self.ran.append((text, sent, "suspended" if is_suspended else "succeeded"))
        elif word == b"insert":
            self.said += complete(b"INSERT 0 " + number)
            self.ran.append((text, int(number), "succeeded"))
        elif word == b"copy out":
            self.said += COPY_OUT + data() * int(number) + COPY_DONE + complete(b"COPY " + number)
            self.ran.append((text, int(number), "succeeded"))
        elif word == b"copy in":
            self.said += COPY_IN
            self._copy = (text, None, int(number) or -1)
        else:
            self.said += complete(self._transaction(text))
            self.ran.append((text, 0, "succeeded"))
