"""The packets of a login: frozen values, decode beside encode.

MySQL manual, "Connection Phase Packets"; names as there. Texts are bytes: what they
mean is their reader's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from protocols.errors import PeerViolation
from protocols.mysql import capabilities as flags
from protocols.mysql.encoding import Reader, lenenc_bytes, lenenc_int

PROTOCOL_VERSION = 10
SCRAMBLE_LENGTH = 20
OK = 0x00
AUTH_MORE_DATA = 0x01
LOCAL_INFILE = 0xFB
EOF = 0xFE
ERR = 0xFF

MYSQL_NATIVE_PASSWORD = b"mysql_native_password"
CACHING_SHA2_PASSWORD = b"caching_sha2_password"

ZSTD_LEVEL = 3
"""What a data source is asked to compress at: MySQL's default."""

VERSION_LIMIT = 128
"""Bytes of a server's version text."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What a client chose for its session, for the data source to agree to.

    ``collation`` is the id of its character set and collation, ``max_packet`` the
    largest packet it takes, in bytes.
    """

    capabilities: int
    collation: int
    max_packet: int

    @property
    def compression(self) -> str:
        """How the session is compressed on the client's leg; "" for not at all."""
        return flags.compression_of(self.capabilities)


Fresh = tuple[bytes | None, ...]
"""What a session is right after its login: values that ``reset`` asks for, in its order."""


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """What was agreed on with a data source: capabilities in use, status flags of its OK.

    ``has_roles``: the server knows roles. ``fresh``: what its session was after the login,
    where that is known.
    """

    capabilities: int
    status: int
    is_mariadb: bool
    has_roles: bool = False
    fresh: Fresh | None = None

    @property
    def compression(self) -> str:
        """How the session is compressed on the data source's leg; "" for not at all."""
        return flags.compression_of(self.capabilities)


@dataclass(frozen=True, slots=True)
class Greeting:
    """Protocol::HandshakeV10, the server's first packet. ``scramble``: 20 bytes."""

    server_version: bytes
    thread_id: int
    scramble: bytes = field(repr=False)
    capabilities: int
    collation: int
    status: int
    plugin: bytes

    def encode(self) -> bytes:
        """The payload."""
        return b"".join(
            (
                bytes((PROTOCOL_VERSION,)),
                self.server_version + b"\0",
                self.thread_id.to_bytes(4, "little"),
                self.scramble[:8] + b"\0",
                (self.capabilities & 0xFFFF).to_bytes(2, "little"),
                bytes((self.collation,)),
                self.status.to_bytes(2, "little"),
                (self.capabilities >> 16).to_bytes(2, "little"),
                bytes((SCRAMBLE_LENGTH + 1,)),
                bytes(10),
                self.scramble[8:] + b"\0",
                self.plugin + b"\0",
            )
        )

    @classmethod
    def decode(cls, payload: bytes) -> Greeting:
        """Raises PeerViolation, also for servers older than MySQL 4.1."""
        reader = Reader(payload)
        if reader.integer(1) != PROTOCOL_VERSION:
            raise PeerViolation("the server does not speak version 10 of the protocol")
        version = reader.terminated()
        if len(version) > VERSION_LIMIT:
            raise PeerViolation("the server's version text is too long")
        thread_id = reader.integer(4)
        scramble = reader.take(8)
        reader.take(1)
        capabilities = reader.integer(2)
        collation = reader.integer(1)
        status = reader.integer(2)
        capabilities |= reader.integer(2) << 16
        length = reader.integer(1)
        reader.take(10)
        if capabilities & flags.REQUIRED != flags.REQUIRED:
            raise PeerViolation("the server is older than the protocol of MySQL 4.1")
        # The manual: max(13, length - 8) bytes, the last of them NUL.
        # Servers without plug-ins say 0; every other has one of 20 in its greeting.
        tail = reader.take(13)
        if length not in (0, SCRAMBLE_LENGTH + 1) or tail[-1] != 0:
            raise PeerViolation("the server sent a scramble of the wrong length")
        scramble += tail[:-1]
        plugin = MYSQL_NATIVE_PASSWORD
        if capabilities & flags.PLUGIN_AUTH:
            # MySQL before 5.5.10 forgot the terminator (bug #59453).
            plugin = reader.rest().split(b"\0", 1)[0]
        return cls(version, thread_id, scramble, capabilities, collation, status, plugin)


@dataclass(frozen=True, slots=True)
class SslRequest:
    """Protocol::SSLRequest: the front of a HandshakeResponse41, ahead of TLS."""

    capabilities: int
    max_packet: int
    collation: int

    def encode(self) -> bytes:
        """The payload, 32 bytes."""
        return (
            self.capabilities.to_bytes(4, "little")
            + self.max_packet.to_bytes(4, "little")
            + bytes((self.collation & 0xFF,))
            + bytes(23)
        )

    @classmethod
    def decode(cls, payload: bytes) -> SslRequest:
        """Raises PeerViolation for anything but 32 bytes."""
        reader = Reader(payload)
        found = cls._front(reader)
        if reader.remaining:
            raise PeerViolation("an SSL request is longer than it may be")
        return found

    @classmethod
    def _front(cls, reader: Reader) -> SslRequest:
        capabilities = reader.integer(4)
        if capabilities & flags.REQUIRED != flags.REQUIRED:
            raise PeerViolation("the client is older than the protocol of MySQL 4.1")
        max_packet = reader.integer(4)
        collation = reader.integer(1)
        reader.take(23)
        return cls(capabilities, max_packet, collation)


@dataclass(frozen=True, slots=True)
class HandshakeResponse:
    """Protocol::HandshakeResponse41. ``response`` proves the password, or begins to."""

    capabilities: int
    max_packet: int
    collation: int
    user: bytes
    response: bytes = field(repr=False)
    database: bytes = b""
    plugin: bytes = b""
    attributes: tuple[tuple[bytes, bytes], ...] = ()

    def encode(self) -> bytes:
        """The payload, by its own capabilities. Raises ValueError for what cannot be sent."""
        if 0 in self.user or 0 in self.database:
            raise ValueError("a name of a login holds a NUL")
        parts = [
            SslRequest(self.capabilities, self.max_packet, self.collation).encode(),
            self.user + b"\0",
        ]
        if self.capabilities & flags.PLUGIN_AUTH_LENENC:
            parts.append(lenenc_bytes(self.response))
        elif len(self.response) > 0xFF:
            raise ValueError("an authentication response is too long for this server")
        else:
            parts.append(bytes((len(self.response),)) + self.response)
        if self.capabilities & flags.CONNECT_WITH_DB:
            parts.append(self.database + b"\0")
        if self.capabilities & flags.PLUGIN_AUTH:
            parts.append(self.plugin + b"\0")
        if self.capabilities & flags.CONNECT_ATTRS:
            pairs = (lenenc_bytes(name) + lenenc_bytes(value) for name, value in self.attributes)
            parts.append(lenenc_bytes(b"".join(pairs)))
        if self.capabilities & flags.ZSTD:
            parts.append(bytes((ZSTD_LEVEL,)))
        return b"".join(parts)

    @classmethod
    def decode(cls, payload: bytes, offered: int) -> HandshakeResponse:
        """By the client's flags, as far as they were ``offered``.

        Drivers leave out trailing fields that they announced (an empty database name, the
        plug-in's terminator); servers take that, and so does this. The level of zstd, the last
        byte, is not read: how much work we do is not the client's to say. Raises PeerViolation.
        """
        reader = Reader(payload)
        front = SslRequest._front(reader)
        capabilities = front.capabilities & offered
        user = reader.terminated()
        if capabilities & flags.PLUGIN_AUTH_LENENC:
            response = reader.lenenc_bytes()
        else:
            response = reader.take(reader.integer(1))
        database = plugin = b""
        if capabilities & flags.CONNECT_WITH_DB and reader.remaining:
            database = reader.terminated()
        if capabilities & flags.PLUGIN_AUTH and reader.remaining:
            # The last field of many a client, with and without its NUL.
            if capabilities & flags.CONNECT_ATTRS:
                plugin = reader.terminated()
            else:
                plugin = reader.rest().split(b"\0", 1)[0]
        attributes: list[tuple[bytes, bytes]] = []
        if capabilities & flags.CONNECT_ATTRS and reader.remaining:
            block = Reader(reader.lenenc_bytes())
            while block.remaining:
                attributes.append((block.lenenc_bytes(), block.lenenc_bytes()))
        return cls(
            capabilities,
            front.max_packet,
            front.collation,
            user,
            response,
            database,
            plugin,
            tuple(attributes),
        )


@dataclass(frozen=True, slots=True)
class AuthSwitchRequest:
    """Protocol::AuthSwitchRequest. A bare 0xFE asks for the password hash of MySQL 3.23."""

    plugin: bytes
    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The payload; a scramble ends with a NUL."""
        end = b"\0" if len(self.data) == SCRAMBLE_LENGTH else b""
        return bytes((EOF,)) + self.plugin + b"\0" + self.data + end

    @classmethod
    def decode(cls, payload: bytes) -> AuthSwitchRequest:
        """Raises PeerViolation."""
        if len(payload) == 1:
            return cls(b"mysql_old_password", b"")
        reader = Reader(payload[1:])
        plugin = reader.terminated()
        data = reader.rest()
        # A scramble is 20 bytes without a NUL, and one behind them. What other plug-ins send
        # (client_ed25519, parsec: 32 random bytes) may end with one of its own.
        return cls(plugin, data.removesuffix(b"\0") if len(data) == SCRAMBLE_LENGTH + 1 else data)


@dataclass(frozen=True, slots=True)
class AuthMoreData:
    """Protocol::AuthMoreData: what a plug-in's server half says."""

    data: bytes

    def encode(self) -> bytes:
        """The payload."""
        return bytes((AUTH_MORE_DATA,)) + self.data


@dataclass(frozen=True, slots=True)
class Ok:
    """OK_Packet. ``info`` is what follows, in whatever form the capabilities give it."""

    affected_rows: int = 0
    insert_id: int = 0
    status: int = 0
    warnings: int = 0
    info: bytes = b""

    def encode(self) -> bytes:
        """The payload."""
        return (
            bytes((OK,))
            + lenenc_int(self.affected_rows)
            + lenenc_int(self.insert_id)
            + self.status.to_bytes(2, "little")
            + self.warnings.to_bytes(2, "little")
            + self.info
        )

    @classmethod
    def decode(cls, payload: bytes) -> Ok:
        """Raises PeerViolation."""
        reader = Reader(payload)
        if reader.integer(1) not in (OK, EOF):
            raise PeerViolation("the server sent something else where OK was due")
        affected_rows, insert_id = reader.lenenc_int(), reader.lenenc_int()
        return cls(affected_rows, insert_id, reader.integer(2), reader.integer(2), reader.rest())


@dataclass(frozen=True, slots=True)
class Err:
    """ERR_Packet. ``sqlstate`` is five bytes, or none before the capabilities are agreed."""

    code: int
    sqlstate: bytes
    text: bytes

    def encode(self) -> bytes:
        """The payload."""
        state = b"#" + self.sqlstate if self.sqlstate else b""
        return bytes((ERR,)) + self.code.to_bytes(2, "little") + state + self.text

    @classmethod
    def decode(cls, payload: bytes) -> Err:
        """Raises PeerViolation."""
        reader = Reader(payload)
        if reader.integer(1) != ERR:
            raise PeerViolation("the server sent something else where an error was due")
        code, text = reader.integer(2), reader.rest()
        if text[:1] == b"#":
            return cls(code, text[1:6], text[6:])
        return cls(code, b"", text)
