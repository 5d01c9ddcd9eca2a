"""What a client sends while it logs in, as in the manual's "Message Formats" (F).

Each message has its encoding beside its decoding. Decoders take a body whose length
``framing`` has bounded and raise PeerViolation for anything malformed. Must never
know in which order messages come. Queries and COPY are not here: the scanner looks at
their headers only.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from protocols.errors import PeerViolation
from protocols.postgres.encoding import (
    INT32,
    Reader,
    cstring,
    decode_version,
    encode_version,
    frame,
    packet,
)

# Request codes, in the place of a version: 1234 in the high half, so that they never
# meet a protocol version.
CANCEL_REQUEST = 80877102
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104

PASSWORD_MESSAGE = b"p"
"""The code of PasswordMessage, SASLInitialResponse and SASLResponse alike."""
TERMINATE = b"X"

SHORTEST_CANCEL_KEY = 4
LONGEST_CANCEL_KEY = 256
"""Protocol 3.2 allows cancel keys of 4 to 256 bytes; in 3.0 they have exactly 4."""

_WORD = struct.Struct("!I")


def request_code(body: bytes) -> int:
    """The first word of a start-up packet: a request code or a protocol version."""
    value: int = _WORD.unpack(body[:4])[0]
    return value


@dataclass(frozen=True, slots=True)
class SSLRequest:
    """The client asks for TLS."""

    def encode(self) -> bytes:
        """The packet."""
        return packet(_WORD.pack(SSL_REQUEST))


@dataclass(frozen=True, slots=True)
class GSSENCRequest:
    """The client asks for GSSAPI encryption."""

    def encode(self) -> bytes:
        """The packet."""
        return packet(_WORD.pack(GSSENC_REQUEST))


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """The client asks, on a connection of its own, to stop a running statement."""

    process_id: int
    secret_key: bytes

    def encode(self) -> bytes:
        """The packet."""
        return packet(_WORD.pack(CANCEL_REQUEST) + INT32.pack(self.process_id) + self.secret_key)

    @classmethod
    def decode(cls, body: bytes) -> CancelRequest:
        """From a start-up packet that begins with ``CANCEL_REQUEST``."""
        reader = Reader(body[4:], "cancel request packet")
        process_id, key = reader.int32(), reader.rest()
        if not SHORTEST_CANCEL_KEY <= len(key) <= LONGEST_CANCEL_KEY:
            raise PeerViolation("invalid length of cancel key in cancel request packet")
        return cls(process_id, key)


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """The client asks for a session. ``parameters`` are in order and may repeat."""

    version: tuple[int, int]
    parameters: tuple[tuple[bytes, bytes], ...]

    def encode(self) -> bytes:
        """The packet. Raises ValueError for a NUL or an empty name."""
        body = encode_version(self.version)
        for name, value in self.parameters:
            if not name:
                raise ValueError("a start-up parameter needs a name")
            body += cstring(name) + cstring(value)
        return packet(body + b"\0")

    @classmethod
    def decode(cls, body: bytes) -> StartupMessage:
        """From a start-up packet that begins with a protocol version."""
        reader = Reader(body, "startup packet")
        version = decode_version(reader.int32())
        parameters: list[tuple[bytes, bytes]] = []
        try:
            while name := reader.string():
                parameters.append((name, reader.string()))
            reader.end()
        except PeerViolation as error:
            raise PeerViolation(
                "invalid startup packet layout: expected terminator as last byte"
            ) from error
        return cls(version, tuple(parameters))


@dataclass(frozen=True, slots=True)
class PasswordMessage:
    """A password, in clear or hashed with md5."""

    password: bytes

    def __repr__(self) -> str:
        return "PasswordMessage(...)"

    def encode(self) -> bytes:
        """The message. Raises ValueError for a NUL."""
        return frame(PASSWORD_MESSAGE, cstring(self.password))

    @classmethod
    def decode(cls, body: bytes) -> PasswordMessage:
        """From a body."""
        reader = Reader(body, "PasswordMessage")
        password = reader.string()
        reader.end()
        return cls(password)


@dataclass(frozen=True, slots=True)
class SASLInitialResponse:
    """The mechanism chosen and, unless None, the first data."""

    mechanism: bytes
    data: bytes | None

    def encode(self) -> bytes:
        """The message."""
        if self.data is None:
            tail = INT32.pack(-1)
        else:
            tail = INT32.pack(len(self.data)) + self.data
        return frame(PASSWORD_MESSAGE, cstring(self.mechanism) + tail)

    @classmethod
    def decode(cls, body: bytes) -> SASLInitialResponse:
        """From a body."""
        reader = Reader(body, "SASLInitialResponse")
        mechanism, length = reader.string(), reader.int32()
        if length < -1:
            raise reader.broken()
        data = None if length == -1 else reader.take(length)
        reader.end()
        return cls(mechanism, data)


@dataclass(frozen=True, slots=True)
class SASLResponse:
    """The next data of the mechanism; its body is nothing but the data."""

    data: bytes

    def encode(self) -> bytes:
        """The message."""
        return frame(PASSWORD_MESSAGE, self.data)


@dataclass(frozen=True, slots=True)
class Terminate:
    """The client ends the session."""

    def encode(self) -> bytes:
        """The message."""
        return frame(TERMINATE, b"")
