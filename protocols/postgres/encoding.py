"""The manual's "Message Data Types": how fields and frames are laid out in bytes.

Knows Int32, String, versions and the frame around a body; must never know what a
message is for. Reading past an end is the peer's fault: PeerViolation, never an
IndexError or a struct.error.
"""

from __future__ import annotations

import struct

from protocols.errors import PeerViolation

INT32 = struct.Struct("!i")
"""An Int32 of the manual, signed, in network order."""
_VERSION = struct.Struct("!HH")


def frame(code: bytes, body: bytes) -> bytes:
    """A typed message: code, length, body."""
    return code + INT32.pack(len(body) + 4) + body


def packet(body: bytes) -> bytes:
    """A start-up packet: length, body."""
    return INT32.pack(len(body) + 4) + body


def cstring(value: bytes) -> bytes:
    """A String of the manual. Raises ValueError where ``value`` holds a NUL."""
    # The number: of bytes, "in" first asks whether they are one, by an exception.
    if 0 in value:
        raise ValueError("a string on the wire cannot hold a NUL byte")
    return value + b"\0"


class Reader:
    """Takes fields off the front of a body; PeerViolation where there is too little."""

    __slots__ = ("_body", "_place", "_what")

    def __init__(self, body: bytes, what: str) -> None:
        self._body = body
        self._place = 0
        self._what = what

    def broken(self) -> PeerViolation:
        """The violation to raise where the body is not of its form."""
        return PeerViolation(f"malformed {self._what}")

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        end = self._place + count
        if end > len(self._body):
            raise self.broken()
        value = self._body[self._place : end]
        self._place = end
        return value

    def int32(self) -> int:
        """The next Int32."""
        value: int = INT32.unpack(self.take(4))[0]
        return value

    def string(self) -> bytes:
        """The next String, without its NUL."""
        end = self._body.find(b"\0", self._place)
        if end < 0:
            raise self.broken()
        value = self._body[self._place : end]
        self._place = end + 1
        return value

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._body) - self._place)

    def end(self) -> None:
        """Raise where anything is left."""
        if self._place != len(self._body):
            raise self.broken()


def encode_version(version: tuple[int, int]) -> bytes:
    """A protocol version as Int32: major in the high half, minor in the low."""
    return _VERSION.pack(*version)


def decode_version(value: int) -> tuple[int, int]:
    """The major and the minor of an Int32."""
    return (value >> 16) & 0xFFFF, value & 0xFFFF
