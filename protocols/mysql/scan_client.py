# cython: annotation_typing=False
"""From the client: finds the packets of its commands, lets the rest of them pass.

A command is held until its number, and its statement's text up to the limit, is here
and judged: ``dispatch`` takes it then. Everything else streams untouched, also the further
packets of a command of 16 MB and more ("MySQL Packets" in the MySQL source documentation),
and the file of a LOAD DATA LOCAL.

Plain Python; compiled with the types in ``scan_client.pxd``.
"""

from __future__ import annotations

from protocols.errors import PeerViolation
from protocols.interface import Kill, ScanLimits
from protocols.mysql import expected
from protocols.mysql.command import Command
from protocols.mysql.dispatch import Dispatch
from protocols.mysql.framing import MAX_PAYLOAD
from protocols.mysql.ledger import Ledger
from protocols.mysql.prepared import PreparedStatements
from protocols.mysql.prepared_commands import PreparedCommands
from protocols.statements import StatementSink

_FILE_COMING = expected.FILE_COMING
_FILE_SENT = expected.FILE_SENT

# A packet of this length is continued by the next one.
_FULL = MAX_PAYLOAD

# How much text of unanswered statements one session may make us keep, in bytes, before
# its client is read no further: a data source that never answers must not fill memory.
_OPEN_TEXT_LIMIT = 4 * 1024 * 1024

# What goes upstream in the place of a command that was replaced.
_PING = b"\1\0\0\0\x0e"


class ClientScan:
    """One direction of a session: what goes upstream.

    ``renumbers``: what arrives was compressed, and its packets' numbers mean nothing (see
    ``compressed``). They are not compared but replaced by those that the server expects.
    """

    def __init__(
        self,
        sink: StatementSink,
        limits: ScanLimits,
        kill: Kill,
        ledger: Ledger,
        prepared: PreparedStatements,
        is_mariadb: bool,
        local_infile: bool,
        renumbers: bool = False,
    ) -> None:
        # Only a message's first packet is looked into.
        text_limit = min(limits.text, _FULL - 5)
        self._command = Command(sink, ledger)
        self._dispatch = Dispatch(
            self._command,
            PreparedCommands(
                self._command, ledger, prepared, is_mariadb, text_limit, limits.values
            ),
            ledger,
            kill,
            local_infile,
            text_limit,
            limits.values,
        )
        self._ledger = ledger
        self._renumbers = renumbers
        # The chunk being read, to be written into, where packets are renumbered.
        self._fresh: bytearray | None = None
        self._message_limit = limits.message
        self._outstanding_limit = limits.outstanding
        self._held = bytearray()
        self._held_need = 0
        self._pass = 0
        self._drop = 0
        # The message that is continued: its next packet's number, its size so far.
        self._is_continued = False
        self._is_dropping = False
        self._sequence = 0
        self._size = 0
        # Still set where the client turns out to have broken the protocol.
        self._is_reading = False

    def is_between(self) -> bool:
        """Whether the client is not in the middle of a message."""
        return (
            self._held_need == 0 and self._pass == 0 and self._drop == 0 and not self._is_continued
        )

    def has_said_goodbye(self) -> bool:
        """Whether COM_QUIT has passed."""
        return self._dispatch.goodbye

    def next_sequence(self) -> int:
        """The packet number that the client, with nothing outstanding, expects next."""
        return self._sequence if self._is_reading or not self.is_between() else 0

    def is_crowded(self) -> bool:
        """Whether the client is to be read no further; only at a message's end."""
        ledger = self._ledger
        return (
            (ledger.count >= self._outstanding_limit or ledger.weight >= _OPEN_TEXT_LIMIT)
            and ledger.file_state != _FILE_COMING
            and self._pass == 0
            and self._drop == 0
            and not self._is_continued
        )

    def read(self, data: bytes, now: float) -> bytes:
        """Judge what is whole enough; return what goes upstream now."""
        dispatch = self._dispatch
        command = self._command
        if self.has_said_goodbye():
            # Nobody reads what stands behind a COM_QUIT.
            return b""
        if self._held_need > 0:
            self._held += data
            if len(self._held) < self._held_need:
                return b""
            data = bytes(self._held)
            self._held = bytearray()
            self._held_need = 0
        self._is_reading = True
        ledger = self._ledger
        size = len(data)
        at = 0
        copied = 0
        pieces: list[bytes] | None = None
        self._fresh = fresh = bytearray(data) if self._renumbers else None
        if self._pass > 0:
            if self._pass > size:
                self._pass -= size
                self._is_reading = False
                return data
            at = self._pass
            self._pass = 0
        elif self._drop > 0:
            if self._drop > size:
                self._drop -= size
                self._is_reading = False
                return b""
            at = self._drop
            self._drop = 0
            copied = at
            pieces = []
            if not self._is_continued:
                pieces.append(_PING)
        p = data
        while at < size:
            left = size - at
            if left < 4:
                self._hold(data, at, 4)
                break
            length = p[at] | (p[at + 1] << 8) | (p[at + 2] << 16)
            total = length + 4
            sequence = p[at + 3]
            if self._is_continued:
                if sequence != self._sequence:
                    self._renumber(at, self._sequence)
                self._grow(length)
                is_dropped = self._is_dropping
            elif ledger.file_state == _FILE_COMING:
                if sequence != ledger.file_sequence:
                    self._renumber(at, ledger.file_sequence)
                self._take_file(length)
                is_dropped = False
            else:
                self._sequence = 1
                if length == 0:
                    raise PeerViolation("an empty command")
                if sequence != 0:
                    self._renumber(at, 0)
                if left < 5:
                    self._hold(data, at, 5)
                    break
                if length > self._message_limit:
                    raise PeerViolation("a message is too large")
                need = dispatch.needed(p[at + 4], length)
                if left < need:
                    self._hold(data, at, need)
                    break
                self._size = length
                self._is_continued = length == _FULL
                command.clear()
                is_dropped = not dispatch.take(p[at + 4], data, at, length, now)
                self._is_dropping = is_dropped
                entry = command.entry
                if entry is not None:
                    entry.is_whole = not self._is_continued
            if is_dropped:
                if pieces is None:
                    pieces = []
                if copied < at:
                    pieces.append(_part(data, fresh, copied, at))
                if left < total:
                    self._drop = total - left
                    at = copied = size
                    break
                if not self._is_continued:
                    # Only at the message's end: until then the client is not waiting.
                    pieces.append(_PING)
                at += total
                copied = at
                continue
            if left < total:
                self._pass = total - left
                at = size
                break
            at += total
            if self.has_said_goodbye():
                break
        ledger.is_client_between = self.is_between()
        self._is_reading = False
        if pieces is None:
            return data if at >= size and fresh is None else _part(data, fresh, 0, at)
        if copied < at:
            pieces.append(_part(data, fresh, copied, at))
        return b"".join(pieces)

    def _renumber(self, at: int, sequence: int) -> None:
        """The packet there has another number than the server expects."""
        if self._fresh is None:
            raise PeerViolation("packets out of order")
        self._fresh[at + 3] = sequence

    def _hold(self, data: bytes, at: int, need: int) -> None:
        self._held = bytearray(data[at:])
        self._held_need = need

    def _grow(self, length: int) -> None:
        """One more packet of the message that is continued."""
        self._sequence = (self._sequence + 1) & 0xFF
        self._size += length
        if self._size > self._message_limit:
            raise PeerViolation("a message is too large")
        self._is_continued = length == _FULL
        self._command.grow(length, self._sequence, not self._is_continued)

    def _take_file(self, length: int) -> None:
        """A packet of the file that LOAD DATA LOCAL reads; an empty message ends it."""
        ledger = self._ledger
        ledger.file_sequence = (ledger.file_sequence + 1) & 0xFF
        statement = ledger.first().statement
        if statement is not None:
            statement.bytes_in += length + 4
        if ledger.is_file_continued:
            ledger.is_file_continued = length == _FULL
        elif length == 0:
            ledger.file_state = _FILE_SENT
        else:
            ledger.is_file_continued = length == _FULL


def _part(data: bytes, fresh: bytearray | None, start: int, stop: int) -> bytes:
    """A part of a chunk, with the numbers that its packets were given."""
    return data[start:stop] if fresh is None else bytes(fresh[start:stop])
