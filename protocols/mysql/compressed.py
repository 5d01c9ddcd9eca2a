"""The two legs of a session that speak in compressed packets, and how they count them.

Compressed packets have numbers of their own. A command begins with 0, its answer goes on
counting, and the file of LOAD DATA LOCAL counts on from the server's request (net_serv.cc:
``compress_pkt_nr``). Both ends set the numbers of the plain packets within to those of the
compressed ones whenever they flush, and nobody compares them; so the scanner gives them
new ones, and is asked here where in the conversation it stands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from protocols.errors import PeerViolation
from protocols.mysql.compression import HEADER_LENGTH as COMPRESSED_HEADER_LENGTH
from protocols.mysql.compression import Algorithm, Unpacking, packets
from protocols.mysql.framing import HEADER_LENGTH, LOGIN_LIMIT, MAX_PAYLOAD, Stream

_OUT_OF_ORDER = "compressed packets out of order"


class Progress(Protocol):
    """Where a session stands after all that was unwrapped: the scanner."""

    @property
    def has_outstanding(self) -> bool:
        """Whether the server owes an answer."""
        ...

    @property
    def is_between_commands(self) -> bool:
        """Whether the client is not in the middle of a command."""
        ...

    @property
    def is_between_answers(self) -> bool:
        """Whether nothing is here of the answer that comes next."""
        ...

    @property
    def is_file_coming(self) -> bool:
        """Whether the client has been asked for a file and has not sent its end."""
        ...

    @property
    def files(self) -> int:
        """How many files the client has been asked for."""
        ...


class ClientWrapping:
    """Towards a client, as its server. See ``protocols.interface.Wrapping``.

    Answers to commands that were sent ahead count on from the one before them: no driver
    that sends commands ahead compares these numbers.
    """

    def __init__(self, algorithm: Algorithm, progress: Progress) -> None:
        self._algorithm = algorithm
        self._progress = progress
        self._unpacking = Unpacking(algorithm, self._check)
        self.receive = self._unpacking.receive
        self.unwrap = self._unpacking.unwrap
        # The number of the client's next packet within its command, and of ours.
        self._theirs = 0
        self._ours = 0
        # Whether the command came with none before it unanswered; whether there is none.
        self._is_alone = True
        self._is_idle = True

    def _check(self, number: int) -> None:
        progress = self._progress
        if progress.is_file_coming:
            expected = self._ours
            self._is_alone = True
        elif progress.is_between_commands:
            expected = 0
            self._is_alone = not progress.has_outstanding
            self._is_idle = False
        else:
            expected = self._theirs
        if number != expected:
            raise PeerViolation(_OUT_OF_ORDER)
        self._theirs = (number + 1) & 0xFF
        if self._is_alone:
            self._ours = self._theirs

    def wrap(self, data: bytes) -> bytes:
        """An answer, a piece of one, or the last word."""
        if self._is_idle:
            # Nobody asked: a server counts from 0, as for the plain packet within.
            self._ours = 0
        packed, self._ours = packets(self._algorithm, data, self._ours)
        self._is_idle = not self._progress.has_outstanding
        return packed


class SourceWrapping:
    """Towards a data source, as its client. See ``protocols.interface.Wrapping``.

    Each command has packets of its own: a server that finds two in one has reset its count
    when it reads the second, and answers with a number that no client expects.
    """

    def __init__(self, algorithm: Algorithm, progress: Progress) -> None:
        self._algorithm = algorithm
        self._progress = progress
        self._unpacking = Unpacking(algorithm, self._check)
        self.receive = self._unpacking.receive
        self.unwrap = self._unpacking.unwrap
        # The number of our next packet within the command, and of the server's.
        self._ours = 0
        self._theirs = 0
        # Of the plain packet being sent: bytes to come, its header's beginning, and whether
        # another one continues it.
        self._coming = 0
        self._head = b""
        self._is_continued = False
        self._files = 0
        self._is_file = False

    def _check(self, number: int) -> None:
        progress = self._progress
        is_free = progress.is_between_answers or progress.is_file_coming
        # Where an answer begins the server says by how many packets of ours it has read: of
        # commands sent ahead, and of a file that it does not read to its end, we cannot know.
        if number != self._theirs and not is_free:
            raise PeerViolation(_OUT_OF_ORDER)
        self._theirs = (number + 1) & 0xFF

    def wrap(self, data: bytes) -> bytes:
        """Commands, and pieces of them."""
        data = self._head + data
        self._head = b""
        out = []
        begin = at = 0
        size = len(data)
        while at < size:
            if self._coming:
                step = min(self._coming, size - at)
                self._coming -= step
                at += step
                continue
            if size - at < HEADER_LENGTH:
                self._head = data[at:]
                break
            if not self._is_continued and self._begins():
                out.append(self._packed(data[begin:at]))
                begin = at
                self._ours = self._theirs if self._is_file else 0
            length = int.from_bytes(data[at : at + 3], "little")
            if self._is_file and not self._is_continued and length == 0:
                # The end of the file: it belongs to it, and what follows does not.
                out.append(self._packed(data[begin : at + HEADER_LENGTH]))
                begin = at + HEADER_LENGTH
                self._theirs = self._ours
                self._is_file = False
            self._is_continued = length == MAX_PAYLOAD
            self._coming = length
            at += HEADER_LENGTH
        out.append(self._packed(data[begin:at]))
        return b"".join(out)

    def _begins(self) -> bool:
        """Whether the plain packet here begins a command, or the file that one asked for."""
        if self._is_file:
            return False
        if self._files != self._progress.files:
            # Only asked for while nothing else of the client is on its way: this is it.
            self._files = self._progress.files
            self._is_file = True
        return True

    def _packed(self, data: bytes) -> bytes:
        packed, self._ours = packets(self._algorithm, data, self._ours)
        return packed


class CompressedStream:
    """Plain packets over a channel whose login is over: for a few commands of our own.

    What is written at once is one command; its whole answer is read before the next.
    """

    def __init__(self, channel: Stream, algorithm: Algorithm) -> None:
        self._channel = channel
        self._algorithm = algorithm
        self._unpacking = Unpacking(algorithm, self._check)
        self._plain = bytearray()
        self._number = 0

    def write(self, data: bytes) -> None:
        """Queue a command."""
        packed, self._number = packets(self._algorithm, data, 0)
        self._channel.write(packed)

    async def read_exactly(self, count: int) -> bytes:
        """As ``Channel.read_exactly``, of whole compressed packets. Raises PeerViolation."""
        while len(self._plain) < count:
            header = await self._channel.read_exactly(COMPRESSED_HEADER_LENGTH)
            length = int.from_bytes(header[:3], "little")
            if max(length, int.from_bytes(header[4:], "little")) > LOGIN_LIMIT:
                raise PeerViolation("the server's answer is too long")
            self._unpacking.receive(header + await self._channel.read_exactly(length))
            while piece := self._unpacking.unwrap():
                self._plain += piece
        data = bytes(self._plain[:count])
        del self._plain[:count]
        return data

    def finish(self) -> None:
        """The last answer has been read. Raises PeerViolation where something follows it."""
        if self._plain:
            raise PeerViolation("the server sent more than its answer")

    def _check(self, number: int) -> None:
        if number != self._number:
            raise PeerViolation(_OUT_OF_ORDER)
        self._number = (number + 1) & 0xFF


async def converse(
    channel: Stream, algorithm: Algorithm | None, work: Callable[[Stream], Awaitable[None]]
) -> None:
    """Run a few commands of our own behind a login; None: nothing is compressed.

    Raises what ``work`` does, and PeerViolation where the server says more than it was asked.
    """
    if algorithm is None:
        await work(channel)
        return
    stream = CompressedStream(channel, algorithm)
    await work(stream)
    stream.finish()
