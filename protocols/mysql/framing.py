"""Packets: three bytes of length, one of sequence, and up to 16 MiB - 1 of payload.

MySQL manual, "MySQL Packets". Logins use ``Packets``; a running session's packets are
the scanner's.
"""

from __future__ import annotations

from typing import Protocol

from protocols.errors import PeerViolation

HEADER_LENGTH = 4
MAX_PAYLOAD = 0xFFFFFF
"""A payload of exactly this many bytes goes on in the next packet, which may be empty."""

LOGIN_LIMIT = 128 * 1024
"""Bytes of one packet of a login: 64 KiB of connection attributes, and the rest."""


def frame(payload: bytes, sequence: int) -> bytes:
    """One packet. Raises ValueError for a payload that needs more than one."""
    if len(payload) >= MAX_PAYLOAD:
        raise ValueError("a payload of 16 MiB - 1 or more takes several packets")
    return len(payload).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + payload


class Stream(Protocol):
    """What packets are read from and written to: of a ``Channel`` two methods."""

    async def read_exactly(self, count: int) -> bytes:
        """Send what was written, then read ``count`` bytes. Raises PeerClosed."""
        ...

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        ...


class Packets:
    """The packets of one conversation: both sides count them with one number.

    ``sequence`` is the number that the next packet, of either side, must have.
    """

    def __init__(self, channel: Stream, sequence: int = 0) -> None:
        self._channel = channel
        self.sequence = sequence

    async def receive(self, limit: int = LOGIN_LIMIT) -> bytes:
        """The payload of the peer's next packet, of at most ``limit`` bytes.

        Raises PeerViolation for a packet out of order or too long, and PeerClosed.
        """
        header = await self._channel.read_exactly(HEADER_LENGTH)
        length = int.from_bytes(header[:3], "little")
        if header[3] != self.sequence:
            raise PeerViolation("packets out of order")
        if length > limit:
            raise PeerViolation("a packet of the login is too long")
        self.sequence = (self.sequence + 1) & 0xFF
        return await self._channel.read_exactly(length)

    def send(self, payload: bytes) -> None:
        """Queue a packet of ours."""
        self._channel.write(self.framed(payload))

    def framed(self, payload: bytes) -> bytes:
        """A packet of ours, to be sent by somebody else; it counts."""
        packet = frame(payload, self.sequence)
        self.sequence = (self.sequence + 1) & 0xFF
        return packet
