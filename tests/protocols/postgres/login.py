"""Logins by hand: tokens, a pair of twin channels, and a data source that follows a script."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from protocols.channel import MemoryChannel
from protocols.errors import PeerClosed, PeerViolation
from protocols.interface import Arrival, UpstreamLogin
from protocols.postgres.messages import (
    AuthenticationOk,
    BackendKeyData,
    ParameterStatus,
    ReadyForQuery,
    StartupMessage,
)
from protocols.postgres.scram import keys_of
from protocols.verifiers import TokenVerifier, TokenVerifiers

SALT = b"sixteen bytes of"
ITERATIONS = 4_096
BINDING = hashlib.sha256(b"a certificate").digest()
NONCE = b"n" * 18
OUR_NONCE = b"bm5ubm5ubm5ubm5ubm5ubm5u"


def stretch(password: bytes, salt: bytes = SALT, iterations: int = ITERATIONS) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password, salt, iterations)


async def derive(password: bytes, salt: bytes, iterations: int) -> bytes:
    return stretch(password, salt, iterations)


def entropy(count: int) -> bytes:
    return b"n" * count


def verifier(token: bytes, token_id: str) -> TokenVerifier:
    keys = keys_of(stretch(token))
    return TokenVerifier(token_id, keys.stored_key, keys.server_key, b"", b"")


def verifiers(*tokens: bytes, is_real: bool = True) -> TokenVerifiers:
    entries = tuple(verifier(token, token.decode()) for token in tokens)
    return TokenVerifiers(SALT, ITERATIONS, entries, is_real)


def startup(
    *pairs: tuple[bytes, bytes], version: tuple[int, int] = (3, 0), user: bytes = b"finance"
) -> bytes:
    return StartupMessage(version, ((b"user", user), (b"database", b"orders"), *pairs)).encode()


def arrival(version: tuple[int, int] = (3, 0)) -> Arrival:
    return Arrival("finance", "orders", "", {}, version, False)


def login(
    *,
    password: bytes | None = b"pencil",
    methods: tuple[str, ...] = ("scram-sha-256", "scram-sha-256-plus"),
    require_tls: bool = False,
    is_tls_verified: bool = False,
    version: tuple[int, int] = (3, 0),
    max_iterations: int = 100_000,
    parameters: dict[str, str] | None = None,
    username: str = "app",
) -> UpstreamLogin:
    return UpstreamLogin(
        username=username,
        database="shop",
        password=password,
        parameters=parameters or {},
        methods=frozenset(methods),
        require_tls=require_tls,
        is_tls_verified=is_tls_verified,
        version=version,
        max_iterations=max_iterations,
    )


def ready(key: bytes = b"\1\2\3\4") -> bytes:
    """What a server says between AuthenticationOk (included) and the first command."""
    return (
        AuthenticationOk().encode()
        + ParameterStatus(b"server_version", b"15.8").encode()
        + ParameterStatus(b"client_encoding", b"UTF8").encode()
        + BackendKeyData(4711, key).encode()
        + ReadyForQuery(b"I").encode()
    )


class Script(MemoryChannel):
    """A peer that says its next line when we wait for more than it has said.

    A line is bytes, or a function of everything we have sent so far. ``start_tls`` is
    recorded as in MemoryChannel.
    """

    def __init__(
        self,
        *lines: bytes | Callable[[bytes], bytes],
        encrypted: bool = False,
        binding: bytes | None = None,
    ) -> None:
        super().__init__(encrypted=encrypted, binding=binding)
        self._lines = list(lines)

    async def peek(self, count: int) -> bytes:
        while len(self.incoming) < count and self._lines:
            line = self._lines.pop(0)
            self.incoming += line if isinstance(line, bytes) else line(bytes(self.sent))
        return await super().peek(count)


class TwinChannel:
    """One end of a connection in memory; needs an event loop. Make two with ``twins``."""

    def __init__(self, binding: bytes | None) -> None:
        self.is_encrypted = False
        self.offers_tls = True
        self.peer: TwinChannel
        self.received = bytearray()
        self.is_closed = False
        self._binding = binding
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._news = asyncio.Event()

    @property
    def channel_binding(self) -> bytes | None:
        return self._binding if self.is_encrypted else None

    async def peek(self, count: int) -> bytes:
        self._flush()
        await self._until(lambda: len(self._incoming) >= count)
        return bytes(self._incoming[:count])

    async def read_exactly(self, count: int) -> bytes:
        data = await self.peek(count)
        del self._incoming[:count]
        self.received += data
        return data

    def write(self, data: bytes) -> None:
        self._outgoing += data

    async def start_tls(self) -> None:
        self._flush()
        if self._incoming:
            raise PeerViolation("plaintext in front of the handshake")
        self.is_encrypted = True
        self.peer._news.set()
        await self._until(lambda: self.peer.is_encrypted)

    def has_unread(self) -> bool:
        return bool(self._incoming)

    def close(self) -> None:
        self._flush()
        self.is_closed = True
        self.peer._news.set()

    def _flush(self) -> None:
        self.peer._incoming += self._outgoing
        self._outgoing.clear()
        self.peer._news.set()

    async def _until(self, is_true: Callable[[], bool]) -> None:
        while not is_true():
            if self.peer.is_closed:
                raise PeerClosed("the peer closed the connection")
            self._news.clear()
            await self._news.wait()


def twins(binding: bytes | None = BINDING) -> tuple[TwinChannel, TwinChannel]:
    """A client's and a server's end of one connection."""
    client, server = TwinChannel(binding), TwinChannel(binding)
    client.peer, server.peer = server, client
    return client, server
