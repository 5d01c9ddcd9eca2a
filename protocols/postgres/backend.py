"""What a server sends while a client logs in, as in the manual's "Message Formats" (B).

Each message has its encoding beside its decoding. Decoders take a body whose length
``framing`` has bounded and raise PeerViolation for anything malformed. Must never
know in which order messages come. Rows and COPY are not here: the scanner looks at
their headers only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from protocols.errors import PeerViolation
from protocols.postgres.encoding import (
    INT32,
    Reader,
    cstring,
    decode_version,
    encode_version,
    frame,
)
from protocols.postgres.frontend import LONGEST_CANCEL_KEY, SHORTEST_CANCEL_KEY

AUTHENTICATION = b"R"
BACKEND_KEY_DATA = b"K"
ERROR_RESPONSE = b"E"
NEGOTIATE_PROTOCOL_VERSION = b"v"
NOTICE_RESPONSE = b"N"
PARAMETER_STATUS = b"S"
READY_FOR_QUERY = b"Z"

# The authentication requests that are spoken here; others are refused by number.
AUTHENTICATION_OK = 0
AUTHENTICATION_CLEARTEXT_PASSWORD = 3
AUTHENTICATION_MD5_PASSWORD = 5
AUTHENTICATION_SASL = 10
AUTHENTICATION_SASL_CONTINUE = 11
AUTHENTICATION_SASL_FINAL = 12

TRANSACTION_IDLE = b"I"


@dataclass(frozen=True, slots=True)
class Authentication:
    """Any authentication request, by its number: what a client decodes first."""

    request: int
    data: bytes

    @classmethod
    def decode(cls, body: bytes) -> Authentication:
        """From a body."""
        reader = Reader(body, "authentication request")
        return cls(reader.int32(), reader.rest())


@dataclass(frozen=True, slots=True)
class AuthenticationOk:
    """The client is who it says."""

    def encode(self) -> bytes:
        """The message."""
        return frame(AUTHENTICATION, INT32.pack(AUTHENTICATION_OK))

    @classmethod
    def decode(cls, data: bytes) -> AuthenticationOk:
        """From the data of an ``Authentication``."""
        Reader(data, "AuthenticationOk").end()
        return cls()


@dataclass(frozen=True, slots=True)
class AuthenticationCleartextPassword:
    """The server wants the password in clear."""

    def encode(self) -> bytes:
        """The message."""
        return frame(AUTHENTICATION, INT32.pack(AUTHENTICATION_CLEARTEXT_PASSWORD))

    @classmethod
    def decode(cls, data: bytes) -> AuthenticationCleartextPassword:
        """From the data of an ``Authentication``."""
        Reader(data, "AuthenticationCleartextPassword").end()
        return cls()


@dataclass(frozen=True, slots=True)
class AuthenticationMD5Password:
    """The server wants the password hashed with its four bytes of salt."""

    SALT_LENGTH: ClassVar[int] = 4

    salt: bytes

    def encode(self) -> bytes:
        """The message."""
        return frame(AUTHENTICATION, INT32.pack(AUTHENTICATION_MD5_PASSWORD) + self.salt)

    @classmethod
    def decode(cls, data: bytes) -> AuthenticationMD5Password:
        """From the data of an ``Authentication``."""
        reader = Reader(data, "AuthenticationMD5Password")
        salt = reader.take(cls.SALT_LENGTH)
        reader.end()
        return cls(salt)


@dataclass(frozen=True, slots=True)
class AuthenticationSASL:
    """The mechanisms the server offers, the one it likes best first."""

    mechanisms: tuple[bytes, ...]

    def encode(self) -> bytes:
        """The message."""
        names = b"".join(cstring(mechanism) for mechanism in self.mechanisms)
        return frame(AUTHENTICATION, INT32.pack(AUTHENTICATION_SASL) + names + b"\0")

    @classmethod
    def decode(cls, data: bytes) -> AuthenticationSASL:
        """From the data of an ``Authentication``."""
        reader = Reader(data, "AuthenticationSASL")
        mechanisms: list[bytes] = []
        while mechanism := reader.string():
            mechanisms.append(mechanism)
        reader.end()
        return cls(tuple(mechanisms))


@dataclass(frozen=True, slots=True)
class AuthenticationSASLContinue:
    """The server's next data of the mechanism."""

    data: bytes

    def encode(self) -> bytes:
        """The message."""
        return frame(AUTHENTICATION, INT32.pack(AUTHENTICATION_SASL_CONTINUE) + self.data)


@dataclass(frozen=True, slots=True)
class AuthenticationSASLFinal:
    """The server's last data of the mechanism."""

    data: bytes

    def encode(self) -> bytes:
        """The message."""
        return frame(AUTHENTICATION, INT32.pack(AUTHENTICATION_SASL_FINAL) + self.data)


@dataclass(frozen=True, slots=True)
class NegotiateProtocolVersion:
    """The server speaks no newer than ``version`` and does not know ``options``.

    The manual before PostgreSQL 18 calls the number a minor version; every server
    sends the whole version, and libpq believes nothing else.
    """

    version: tuple[int, int]
    options: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """The message."""
        names = b"".join(cstring(option) for option in self.options)
        body = encode_version(self.version) + INT32.pack(len(self.options)) + names
        return frame(NEGOTIATE_PROTOCOL_VERSION, body)

    @classmethod
    def decode(cls, body: bytes) -> NegotiateProtocolVersion:
        """From a body."""
        reader = Reader(body, "NegotiateProtocolVersion")
        version, count = decode_version(reader.int32()), reader.int32()
        # Each name takes a byte at least: a count past the body is a lie.
        if not 0 <= count <= len(body):
            raise reader.broken()
        options = tuple(reader.string() for _ in range(count))
        reader.end()
        return cls(version, options)


@dataclass(frozen=True, slots=True)
class _Fields:
    """What ErrorResponse and NoticeResponse share: fields by their one-letter code."""

    CODE: ClassVar[bytes]

    fields: tuple[tuple[bytes, bytes], ...]

    def encode(self) -> bytes:
        """The message."""
        body = b"".join(code + cstring(value) for code, value in self.fields)
        return frame(self.CODE, body + b"\0")

    def field(self, code: bytes) -> bytes:
        """The first field of that code, or nothing."""
        return next((value for name, value in self.fields if name == code), b"")


def _decode_fields(body: bytes, what: str) -> tuple[tuple[bytes, bytes], ...]:
    reader = Reader(body, what)
    fields: list[tuple[bytes, bytes]] = []
    while (code := reader.take(1)) != b"\0":
        fields.append((code, reader.string()))
    reader.end()
    return tuple(fields)


@dataclass(frozen=True, slots=True)
class ErrorResponse(_Fields):
    """An error. Fields: S and V severity, C the SQLSTATE, M the message, and others."""

    CODE: ClassVar[bytes] = ERROR_RESPONSE

    @classmethod
    def decode(cls, body: bytes) -> ErrorResponse:
        """From a body."""
        return cls(_decode_fields(body, "ErrorResponse"))


@dataclass(frozen=True, slots=True)
class NoticeResponse(_Fields):
    """A notice, with the fields of an error."""

    CODE: ClassVar[bytes] = NOTICE_RESPONSE

    @classmethod
    def decode(cls, body: bytes) -> NoticeResponse:
        """From a body."""
        return cls(_decode_fields(body, "NoticeResponse"))


@dataclass(frozen=True, slots=True)
class ParameterStatus:
    """The value of one setting, as the server reports it, in its own encoding."""

    name: bytes
    value: bytes

    def encode(self) -> bytes:
        """The message."""
        return frame(PARAMETER_STATUS, cstring(self.name) + cstring(self.value))

    @classmethod
    def decode(cls, body: bytes) -> ParameterStatus:
        """From a body."""
        reader = Reader(body, "ParameterStatus")
        name, value = reader.string(), reader.string()
        reader.end()
        return cls(name, value)


@dataclass(frozen=True, slots=True)
class BackendKeyData:
    """What a CancelRequest for this session has to present."""

    process_id: int
    secret_key: bytes

    def __repr__(self) -> str:
        return f"BackendKeyData(process_id={self.process_id}, secret_key=...)"

    def encode(self) -> bytes:
        """The message."""
        return frame(BACKEND_KEY_DATA, INT32.pack(self.process_id) + self.secret_key)

    @classmethod
    def decode(cls, body: bytes) -> BackendKeyData:
        """From a body."""
        reader = Reader(body, "BackendKeyData")
        process_id, key = reader.int32(), reader.rest()
        if not SHORTEST_CANCEL_KEY <= len(key) <= LONGEST_CANCEL_KEY:
            raise reader.broken()
        return cls(process_id, key)


@dataclass(frozen=True, slots=True)
class ReadyForQuery:
    """The server waits for a command. ``status``: I idle, T in a transaction, E failed."""

    status: bytes

    def encode(self) -> bytes:
        """The message."""
        return frame(READY_FOR_QUERY, self.status)

    @classmethod
    def decode(cls, body: bytes) -> ReadyForQuery:
        """From a body."""
        if body not in (b"I", b"T", b"E"):
            raise PeerViolation("malformed ReadyForQuery")
        return cls(body)
