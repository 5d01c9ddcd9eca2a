# cython: annotation_typing=False
"""From the server: finds the packets of its answers, counts rows, lets the bodies pass.

Of a row only the header and the first byte are read; a chunk goes on untouched and
whole wherever no answer in it is replaced. What is held back are the first bytes of the
short packets whose content matters: ``packets`` takes those.

Plain Python; compiled with the types in ``scan_server.pxd``.
"""

from __future__ import annotations

import cython

from protocols.errors import PeerViolation
from protocols.interface import ScanLimits
from protocols.metering import ResultMeter
from protocols.mysql import expected
from protocols.mysql.answer import Answer
from protocols.mysql.answers import INVALID_LENGTH
from protocols.mysql.framing import MAX_PAYLOAD
from protocols.mysql.ledger import Ledger
from protocols.mysql.limited import AnswerLimit
from protocols.mysql.packets import AnswerPackets
from protocols.mysql.prepared import PreparedStatements
from protocols.statements import StatementSink

if cython.compiled:
    from cython.cimports.protocols.mysql.answers import renumber
else:
    from protocols.mysql.answers import renumber

_NO_FILE = expected.NO_FILE
_DEFINITIONS = expected.DEFINITIONS
_ROWS = expected.ROWS

_FULL = MAX_PAYLOAD


class ServerScan:
    """One direction of a session: what goes to the client.

    ``renumbers``: what arrives was compressed, and its packets' numbers mean nothing (see
    ``compressed``). They are not compared but replaced by those that the client expects.
    """

    def __init__(
        self,
        sink: StatementSink,
        limits: ScanLimits,
        ledger: Ledger,
        prepared: PreparedStatements,
        deprecates_eof: bool,
        renumbers: bool = False,
        meter: ResultMeter | None = None,
    ) -> None:
        self._limit = None if meter is None else AnswerLimit(meter)
        self._answer = Answer(sink, ledger, prepared, deprecates_eof, self._limit)
        self._packets = AnswerPackets(
            ledger, prepared, self._answer, self._limit, deprecates_eof, limits.message
        )
        self._ledger = ledger
        self._renumbers = renumbers
        self._message_limit = limits.message
        self._held = b""
        self._pass = 0
        self._drop = 0
        # The row that another packet continues, and its size so far.
        self._is_continued = False
        self._size = 0
        # The number of the answer's next packet.
        self._sequence = 0
        # What the client expects where a chunk turns out to be broken and is not sent.
        self._is_reading = False
        self._sequence_before = 0

    def remaining(self) -> int:
        """How many bytes the packet that the client is being sent still lacks."""
        limit = self._limit
        if limit is not None and limit.cut is not None:
            return 0
        if self._is_continued:
            # Nobody knows how long a message is that another packet continues.
            return 1 << 40
        return self._pass

    def is_between(self) -> bool:
        """Whether no message of the server is half here."""
        return (
            self._pass == 0 and self._drop == 0 and not self._is_continued and len(self._held) == 0
        )

    def is_between_answers(self) -> bool:
        """Whether nothing is here of the answer that comes next."""
        return self._answer.is_untouched and self.is_between()

    def next_sequence(self, idle: int) -> int:
        """The packet number that the client expects next; ``idle`` where nothing is owed."""
        limit = self._limit
        if limit is not None and limit.cut is not None:
            return limit.cut_sequence
        if self._is_reading:
            return self._sequence_before
        ledger = self._ledger
        if ledger.count == 0:
            return idle
        if ledger.file_state != _NO_FILE:
            return ledger.file_sequence
        return ledger.first().sequence if self._answer.is_untouched else self._sequence

    def read(self, data: bytes, now: float, idle: int) -> bytes:
        """Account for the server's answers; return what goes to the client now."""
        answer = self._answer
        limit = self._limit
        if limit is not None and limit.is_over:
            return b""
        self._sequence_before = self.next_sequence(idle)
        self._is_reading = True
        if limit is not None:
            limit.renew(answer.rows, answer.size)
        if self._held:
            data = self._held + data
            self._held = b""
        size = len(data)
        at = 0
        # Written into where packets are renumbered.
        fresh = bytearray(data) if self._renumbers else None
        if self._pass > 0:
            if self._pass > size:
                self._pass -= size
                self._is_reading = False
                return data
            # Forgotten at the end: a violation behind it must not cut this message short.
            at = self._pass
        remaining = 0
        copied = 0
        pieces: list[bytes] | None = None
        if self._drop > 0:
            if self._drop > size:
                self._drop -= size
                self._is_reading = False
                return b""
            at = copied = self._drop
            pieces = []
            self._drop = 0
        packets = self._packets
        state = answer.state
        sequence = self._sequence
        rows = answer.rows
        count = answer.size
        is_binary = packets.is_binary
        p = data
        while at < size:
            left = size - at
            if left < 4:
                self._held = data[at:]
                break
            length = p[at] | (p[at + 1] << 8) | (p[at + 2] << 16)
            total = length + 4
            if self._is_continued:
                if limit is None or limit.cut is None:
                    count += total
                if p[at + 3] != sequence:
                    renumber(fresh, at, sequence)
                self._size += length
                if self._size > self._message_limit:
                    raise PeerViolation(INVALID_LENGTH)
                self._is_continued = length == _FULL
            else:
                if length == 0:
                    raise PeerViolation("the data source sent an empty packet")
                if left < 5:
                    self._held = data[at:]
                    break
                first = p[at + 4]
                if state == _ROWS and first != 0xFF and (first != 0xFE or length == _FULL):
                    if p[at + 3] != sequence:
                        renumber(fresh, at, sequence)
                    if is_binary and first != 0:
                        raise PeerViolation("the data source sent an invalid row")
                    if length > self._message_limit:
                        raise PeerViolation(INVALID_LENGTH)
                    if length == _FULL:
                        self._is_continued = True
                        self._size = length
                    if limit is None or not limit.is_beyond(rows, count, total, sequence):
                        rows += 1
                        count += total
                elif state == _DEFINITIONS and first != 0xFF:
                    if p[at + 3] != sequence:
                        renumber(fresh, at, sequence)
                    if length == _FULL or first == 0xFE:
                        raise PeerViolation("the data source sent an invalid definition")
                    count += total
                    packets.definitions -= 1
                    if packets.definitions == 0:
                        answer.size = count
                        packets.defined(now)
                        count = answer.size
                        state = answer.state
                else:
                    if left < total and left < packets.needed(first, total):
                        self._held = data[at:]
                        break
                    answer.rows = rows
                    answer.size = count + total
                    replacement = packets.take(first, data, fresh, at, total, sequence, now)
                    state = answer.state
                    rows = answer.rows
                    count = answer.size
                    is_binary = packets.is_binary
                    sequence = p[at + 3] if fresh is None else fresh[at + 3]
                    is_row = first == 0 and state == _ROWS
                    if is_row:
                        # The first row of a fetch, which nothing stands before.
                        self._is_continued = length == _FULL
                        self._size = length
                    if limit is not None:
                        if limit.cut is not None:
                            replacement = limit.behind_cut(answer.is_untouched)
                        elif is_row:
                            rows, count = 0, 0
                            if limit.is_beyond(rows, count, total, sequence):
                                sequence = (sequence + 1) & 0xFF
                                replacement = b""
                            else:
                                rows, count = 1, total
                    if replacement is not None:
                        if pieces is None:
                            pieces = []
                        if copied < at:
                            pieces.append(_part(data, fresh, copied, at))
                        pieces.append(replacement)
                        if left < total:
                            self._drop = total - left
                            at = copied = size
                            break
                        at += total
                        copied = at
                        continue
            sequence = (sequence + 1) & 0xFF
            if limit is not None and limit.cut is not None:
                if pieces is None:
                    pieces = []
                if copied < at:
                    pieces.append(_part(data, fresh, copied, at))
                if left < total:
                    self._drop = total - left
                    at = copied = size
                    break
                at += total
                copied = at
                continue
            if left < total:
                remaining = total - left
                at = size
                break
            at += total
        self._pass = remaining
        answer.state = state
        self._sequence = sequence
        answer.rows = rows
        answer.size = count
        self._is_reading = False
        if limit is not None:
            limit.renew(rows, count)
        if pieces is None:
            return data if at >= size and fresh is None else _part(data, fresh, 0, at)
        if copied < at:
            pieces.append(_part(data, fresh, copied, at))
        return b"".join(pieces)


def _part(data: bytes, fresh: bytearray | None, start: int, stop: int) -> bytes:
    """A part of a chunk, with the numbers that its packets were given."""
    return data[start:stop] if fresh is None else bytes(fresh[start:stop])
