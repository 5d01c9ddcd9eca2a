# cython: annotation_typing=False
"""From the client: finds the messages that bear statements, and lets the rest pass.

What is held back is the beginning of a message that bears a statement, until its text
(up to the limit) is here and ``commands`` has had it judged. Everything else streams
untouched.

Plain Python; compiled with the types in ``scan_client.pxd``.
"""

from __future__ import annotations

from protocols.errors import PeerViolation
from protocols.interface import ScanLimits
from protocols.postgres import expected
from protocols.postgres.commands import NAME_LIMIT, Commands
from protocols.postgres.ledger import Ledger
from protocols.postgres.prepared import PreparedStatements
from protocols.statements import Outcome, StatementSink

_SYNC = expected.SYNC
_COPY_END = expected.COPY_END
_MAYBE = expected.MAYBE
_PENDING = Outcome.PENDING
_NAME_LIMIT = NAME_LIMIT

# How much text of unanswered statements one session may make us keep, in bytes, before
# its client is read no further: a data source that never answers must not fill memory.
_OPEN_TEXT_LIMIT = 4 * 1024 * 1024

# The server keeps its answers until a Sync or a Flush, or until 8 KB are together. Where
# we stop reading the client, its Sync cannot reach the server, so the answers must be
# asked for, else both wait for ever. A Flush is answered by nothing.
_FLUSH = b"H\0\0\0\4"


class ClientScan(Commands):
    """One direction of a session: what goes upstream."""

    def __init__(
        self,
        sink: StatementSink,
        limits: ScanLimits,
        ledger: Ledger,
        statements: PreparedStatements,
    ) -> None:
        Commands.__init__(self, sink, limits, ledger, statements)
        self._message_limit = limits.message
        self._outstanding_limit = limits.outstanding
        self._goodbye = False
        self._held = bytearray()
        self._held_need = 0
        self._pass = 0
        self._drop = 0
        # How much of a message its replacement stands for; 0: for all of it.
        self._replaced = 0

    def is_between(self) -> bool:
        """Whether the client is not in the middle of a message."""
        return not self._held and self._pass == 0 and self._drop == 0

    def has_said_goodbye(self) -> bool:
        """Whether Terminate has passed."""
        return self._goodbye

    def is_crowded(self) -> bool:
        """Whether the client is to be read no further; only at a message's end.

        Never while the server waits for copy data: it cannot answer what it has not got.
        """
        ledger = self._ledger
        return (
            (ledger.count >= self._outstanding_limit or ledger.weight >= _OPEN_TEXT_LIMIT)
            and self._pass == 0
            and self._drop == 0
            and not ledger.is_copying
        )

    def read(self, data: bytes, now: float) -> bytes:
        """Judge what is whole enough; return what goes upstream now."""
        if self._goodbye:
            # Nobody reads what stands behind a Terminate.
            return b""
        if self._held_need > 0:
            self._held += data
            if len(self._held) < self._held_need:
                return b""
            data = bytes(self._held)
            self._held = bytearray()
            self._held_need = 0
        size = len(data)
        at = 0
        if self._pass > 0:
            if self._pass > size:
                self._pass -= size
                return data
            at = self._pass
            self._pass = 0
        copied = 0
        pieces: list[bytes] | None = None
        if self._drop > 0:
            if self._drop > size:
                self._drop -= size
                return b""
            at = self._drop
            copied = at
            pieces = []
            self._drop = 0
        copy_bytes = 0
        p = data
        while at < size:
            left = size - at
            if left < 5:
                self._hold(data, at, 5)
                break
            code = p[at]
            length = (p[at + 1] << 24) | (p[at + 2] << 16) | (p[at + 3] << 8) | p[at + 4]
            if length < 4 or length > self._message_limit:
                raise PeerViolation("invalid message length")
            total = length + 1
            if code == 0x64:  # CopyData
                copy_bytes += total
                if left < total:
                    self._pass = total - left
                    at = size
                    break
                at += total
                continue
            need = self._needed(code, total)
            if left < need:
                self._hold(data, at, need)
                break
            if copy_bytes > 0:
                self._count_copied(copy_bytes)
                copy_bytes = 0
            replacement = self._take_client(code, data, at, total, now)
            if replacement is not None:
                if pieces is None:
                    pieces = []
                if copied < at:
                    pieces.append(data[copied:at])
                pieces.append(replacement)
                if self._replaced > 0:
                    copied = at + self._replaced
                    self._replaced = 0
                    if left < total:
                        self._pass = total - left
                        at = size
                        break
                    at += total
                    continue
                if left < total:
                    self._drop = total - left
                    copied = size
                    at = size
                    break
                copied = at + total
            elif left < total:
                self._pass = total - left
                at = size
                break
            at += total
            if code == 0x58:
                break
        if copy_bytes > 0:
            self._count_copied(copy_bytes)
        if self.is_crowded():
            if pieces is None:
                pieces = []
            if copied < at:
                pieces.append(data[copied:at])
            pieces.append(_FLUSH)
            copied = at
        if pieces is None:
            if at >= size:
                return data
            return data[:at]
        if copied < at:
            pieces.append(data[copied:at])
        return b"".join(pieces)

    def _count_copied(self, size: int) -> None:
        statement = self._last_sent
        if statement is not None and statement.outcome is _PENDING:
            statement.bytes_in += size

    def _hold(self, data: bytes, at: int, need: int) -> None:
        self._held = bytearray(data[at:])
        self._held_need = need

    def _needed(self, code: int, total: int) -> int:
        """How much of a message must be here before it is judged; refuses unknown ones."""
        if code == 0x51:  # Query
            limit = 5 + self._text_limit
            return total if total < limit else limit
        if code == 0x50:  # Parse
            limit = 9 + _NAME_LIMIT + self._text_limit
            return total if total < limit else limit
        if code == 0x42:  # Bind
            limit = 7 + 2 * _NAME_LIMIT
            if self._values_limit > 0:
                # With as many format codes and lengths as the values that can be kept.
                limit += 2 * self._values_limit
            return total if total < limit else limit
        if code == 0x45 or code == 0x44 or code == 0x43:  # Execute, Describe, Close
            if total > (10 if code == 0x45 else 7) + _NAME_LIMIT:
                raise PeerViolation("a statement or portal name is too long")
            return total
        if code == 0x53 or code == 0x48 or code == 0x63 or code == 0x58:
            # Sync, Flush, CopyDone, Terminate
            if total != 5:
                raise PeerViolation("invalid message length")
            return 5
        if code == 0x46:  # FunctionCall
            if total < 13:
                raise PeerViolation("invalid message length")
            return 13
        if code == 0x66:  # CopyFail
            return 5
        raise PeerViolation(f"invalid frontend message type {code}")

    def _take_client(self, code: int, data: bytes, at: int, total: int, now: float) -> bytes | None:
        """Account for one client message; the message to send instead, or None."""
        ledger = self._ledger
        if ledger.is_copying and code not in (0x53, 0x63, 0x66, 0x48, 0x58):
            # The server ends the session over this, too ("COPY Operations").
            raise PeerViolation("unexpected message type during COPY from stdin")
        if code == 0x51:
            return self._take_query(data, at, total, now)
        if code == 0x42:
            return self._take_bind(data, at, total)
        if code == 0x45:
            return self._take_execute(data, at, total, now)
        if code == 0x53:
            if ledger.is_copying:
                if ledger.maybes >= self._outstanding_limit:
                    raise PeerViolation("too many Sync messages during COPY from stdin")
                ledger.push(_MAYBE, b"", b"", None, None, None, 0)
                return None
            if ledger.is_skipping:
                ledger.is_skipping = False
                self._statements.drop_all()
            self._bind_bytes = 0
            ledger.push(_SYNC, b"", b"", None, None, None, 0)
            return None
        if code == 0x50:
            return self._take_parse(data, at, total, now)
        if code == 0x44 or code == 0x43:
            return self._take_describe_or_close(code, data, at, total)
        if code == 0x46:
            return self._take_function(data, at, total, now)
        if code == 0x58:
            self._goodbye = True
            return None
        if code == 0x63 or code == 0x66:
            # Only a mark in front of which Syncs are swallowed; nothing waits for it.
            if ledger.count > 0:
                ledger.push(_COPY_END, b"", b"", None, None, None, 0)
            ledger.is_copying = False
        return None
