"""Compressed packets: seven bytes of header, then a piece of the stream of plain packets.

MySQL source documentation, "Compression": three bytes of length, one of sequence, three of
the length before compression, 0 for a piece that is stored as it is. Where a plain packet
begins is told by nothing in here; which number a compressed packet must have is told by
``compressed``. What arrives leaves in bounded pieces, so a peer that compresses 16 MiB into
16 KiB gets no more memory from us than one that does not.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

from protocols.errors import PeerViolation

HEADER_LENGTH = 7

MIN_COMPRESS_LENGTH = 50
"""Bytes below which a piece is stored: MySQL's own number (MIN_COMPRESS_LENGTH)."""

PIECE = 64 * 1024
"""Bytes of the stream in one packet of ours, and of what is inflated at a time.

The format allows 16 MiB - 1. Servers refuse a packet that is longer than their
max_allowed_packet; whoever reads must buffer a packet whole; and zlib looks back 32 KiB.
"""

_INVALID = "a compressed packet is damaged"


class Decompressor(Protocol):
    """One packet's decompressor: the interface of ``compression.zstd.ZstdDecompressor``."""

    @property
    def eof(self) -> bool:
        """Whether the end of the compressed data was reached."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out before more goes in."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What was given behind the end."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most ``max_length`` (1 or more) bytes. Raises ValueError for damaged data."""
        ...


class Algorithm(Protocol):
    """A way to compress, by its name in MySQL's ``protocol_compression_algorithms``."""

    @property
    def name(self) -> str:
        """``zlib`` or ``zstd``."""
        ...

    def compress(self, data: bytes) -> bytes:
        """All of it, at a level of our choice: each packet stands for itself."""
        ...

    def decompressor(self) -> Decompressor:
        """A new one, for one packet."""
        ...


class _Inflate:
    """zlib's decompressor with the interface of zstd's."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj()
        self._is_full = False

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not self._is_full and not self._inflate.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            found = self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)
        except zlib.error as error:
            raise ValueError(str(error)) from None
        # With the input used up there may still be output that the limit held back.
        self._is_full = len(found) == max_length
        return found


class Zlib:
    """CLIENT_COMPRESS, at level 1: four times as fast as MySQL's 6, for a fifth more bytes."""

    name = "zlib"

    def compress(self, data: bytes) -> bytes:
        """See ``Algorithm.compress``."""
        return zlib.compress(data, 1)

    def decompressor(self) -> Decompressor:
        """See ``Algorithm.decompressor``."""
        return _Inflate()


def packets(algorithm: Algorithm, data: bytes, number: int) -> tuple[bytes, int]:
    """``data`` as compressed packets from this number on; and the number behind them."""
    out = bytearray()
    for at in range(0, len(data), PIECE):
        piece = data[at : at + PIECE]
        size = len(piece)
        body = algorithm.compress(piece) if size >= MIN_COMPRESS_LENGTH else piece
        if len(body) >= size:
            body, size = piece, 0
        out += len(body).to_bytes(3, "little") + bytes((number,)) + size.to_bytes(3, "little")
        out += body
        number = (number + 1) & 0xFF
    return bytes(out), number


class Unpacking:
    """Compressed packets in, pieces of the stream of plain packets out.

    ``check`` is called with each packet's number before the packet is looked into; what it
    raises ends the reading. Holds what ``receive`` was given until ``unwrap`` takes it.
    """

    def __init__(self, algorithm: Algorithm, check: Callable[[int], None]) -> None:
        self._algorithm = algorithm
        self._check = check
        self._held = bytearray()
        # Of the packet being read: bytes to come; how they are inflated (None: stored),
        # and how many bytes they still have to become.
        self._coming = 0
        self._inflate: Decompressor | None = None
        self._owed = 0

    def receive(self, data: bytes) -> None:
        """Bytes of the peer, in any slices."""
        self._held += data

    def unwrap(self) -> bytes:
        """The next piece, of at most ``PIECE`` bytes; b"" where more has to come first.

        Raises PeerViolation for a packet that is damaged, out of order, empty, or not of the
        length that it declares.
        """
        while True:
            if self._inflate is not None:
                piece = self._inflated(self._inflate)
                if piece is None:
                    return b""
                if piece:
                    return piece
            elif self._coming:
                return self._take(min(self._coming, PIECE))
            elif len(self._held) < HEADER_LENGTH:
                return b""
            else:
                self._begin()

    def _begin(self) -> None:
        header = bytes(self._held[:HEADER_LENGTH])
        del self._held[:HEADER_LENGTH]
        self._check(header[3])
        self._coming = int.from_bytes(header[:3], "little")
        self._owed = int.from_bytes(header[4:], "little")
        if self._coming == 0:
            raise PeerViolation("a compressed packet is empty")
        if self._owed:
            self._inflate = self._algorithm.decompressor()

    def _take(self, count: int) -> bytes:
        """At most ``count`` bytes of the packet being read."""
        data = bytes(self._held[:count])
        del self._held[:count]
        self._coming -= len(data)
        return data

    def _inflated(self, inflate: Decompressor) -> bytes | None:
        """A piece, b"" where the packet has ended without one, None where more has to come."""
        data = b""
        if inflate.needs_input:
            if self._coming == 0:
                raise PeerViolation(_INVALID)
            data = self._take(min(self._coming, PIECE))
            if not data:
                return None
        # One byte more than it declares is asked for, never more, to see that it is not there.
        limit = min(self._owed, PIECE) or 1
        try:
            piece = inflate.decompress(data, limit)
        except ValueError:
            raise PeerViolation(_INVALID) from None
        self._owed -= len(piece)
        if self._owed < 0:
            raise PeerViolation("a compressed packet is longer than it declares")
        if inflate.eof:
            if self._owed:
                raise PeerViolation("a compressed packet is shorter than it declares")
            if self._coming or inflate.unused_data:
                raise PeerViolation("a compressed packet has bytes behind its end")
            self._inflate = None
        return piece
