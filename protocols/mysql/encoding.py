"""The protocol's basic types: integers, length-encoded integers and strings.

MySQL manual, "Protocol Basics: Basic Data Types". Every length is checked against what
is there before it is believed.
"""

from __future__ import annotations

from protocols.errors import PeerViolation

_TOO_SHORT = "a packet ends in the middle of a field"
# First bytes of a length-encoded integer and how many bytes follow.
_WIDTHS = {0xFC: 2, 0xFD: 3, 0xFE: 8}


def lenenc_int(value: int) -> bytes:
    """A length-encoded integer, in its shortest form. ``value``: 0 to 2**64-1."""
    if value < 0xFB:
        return value.to_bytes(1, "little")
    for head, width in _WIDTHS.items():
        if value < 1 << (8 * width):
            return bytes((head,)) + value.to_bytes(width, "little")
    raise ValueError("a length-encoded integer has at most 64 bits")


def lenenc_bytes(data: bytes) -> bytes:
    """A length-encoded string."""
    return lenenc_int(len(data)) + data


class Reader:
    """Takes fields from the front of a packet. Each raises PeerViolation where they end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        if count > self.remaining:
            raise PeerViolation(_TOO_SHORT)
        found = self._data[self._at : self._at + count]
        self._at += count
        return found

    def integer(self, width: int) -> int:
        """An unsigned little-endian integer of ``width`` bytes."""
        return int.from_bytes(self.take(width), "little")

    def lenenc_int(self) -> int:
        """A length-encoded integer. 0xFB (NULL) and 0xFF (an error) are none."""
        head = self.integer(1)
        if head < 0xFB:
            return head
        width = _WIDTHS.get(head)
        if width is None:
            raise PeerViolation("a length-encoded integer has an invalid first byte")
        return self.integer(width)

    def lenenc_bytes(self) -> bytes:
        """A length-encoded string."""
        return self.take(self.lenenc_int())

    def terminated(self) -> bytes:
        """Bytes up to a NUL, which is taken, too."""
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise PeerViolation("a string of a packet has no terminator")
        found = self._data[self._at : end]
        self._at = end + 1
        return found

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.remaining)
