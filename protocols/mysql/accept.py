"""We play server to a client: greeting, TLS, the proof of its token, its welcome.

MySQL manual, "Connection Phase". The greeting goes out before anything is known of the
client, so it offers what every supported data source can serve. TLS begins right behind
the SSLRequest, and what a client sends behind that belongs to TLS: exact reads leave it
there (unlike PostgreSQL's, a client need not wait for an answer in between).
"""

from __future__ import annotations

from protocols.channel import Channel
from protocols.errors import PeerViolation, Reason, Refusal
from protocols.interface import Arrival, Entropy, SessionKey, Upstream
from protocols.mysql import caching_sha2, native
from protocols.mysql import capabilities as flags
from protocols.mysql.arrive import arrival_of
from protocols.mysql.crypto import Crypto
from protocols.mysql.framing import Packets, frame
from protocols.mysql.messages import (
    CACHING_SHA2_PASSWORD,
    MYSQL_NATIVE_PASSWORD,
    AuthMoreData,
    AuthSwitchRequest,
    Greeting,
    HandshakeResponse,
    Ok,
    SslRequest,
    UpstreamSettings,
)
from protocols.mysql.refuse import refusal_payload
from protocols.verifiers import TokenVerifiers

UTF8MB4 = 45
"""utf8mb4_general_ci: known to every server and driver since MySQL 5.5."""
AUTOCOMMIT = 0x0002
_SESSION_STATE_CHANGED = 0x4000
_SSL_REQUEST_LENGTH = 32
_TOKEN_LIMIT = 1024


class MysqlClientLeg:
    """MySQL's server side for one client. See ``protocols.interface.ClientLeg``."""

    def __init__(
        self,
        key: SessionKey,
        entropy: Entropy,
        crypto: Crypto,
        server_version: str,
        local_infile: bool,
        compression: tuple[str, ...] = (),
    ) -> None:
        self._key = key
        self._entropy = entropy
        self._crypto = crypto
        self._server_version = server_version
        self._offered = flags.OFFERED | (flags.LOCAL_FILES if local_infile else 0)
        for name in compression:
            self._offered |= flags.COMPRESSION[name]
        self._scramble = make_scramble(entropy)
        self._packets: Packets | None = None
        self._response: HandshakeResponse | None = None

    async def greet(self, channel: Channel) -> Arrival:
        """Greet, encrypt, and learn who asks for what."""
        packets = self._packets = Packets(channel)
        offered = self._offered | (flags.SSL if channel.offers_tls else 0)
        packets.send(
            Greeting(
                self._server_version.encode("ascii"),
                self._key.number,
                self._scramble,
                offered,
                UTF8MB4,
                AUTOCOMMIT,
                CACHING_SHA2_PASSWORD,
            ).encode()
        )
        payload = await packets.receive()
        if len(payload) == _SSL_REQUEST_LENGTH:
            request = SslRequest.decode(payload)
            if not request.capabilities & offered & flags.SSL:
                raise PeerViolation("a login ends in the middle")
            await channel.start_tls()
            payload = await packets.receive()
        try:
            self._response = HandshakeResponse.decode(payload, self._offered)
        except PeerViolation as error:
            # Well framed: a client that understands being told.
            raise Refusal(Reason.PROTOCOL_VIOLATION, str(error)) from error
        return arrival_of(self._response, channel.is_encrypted)

    async def authenticate(
        self, channel: Channel, arrival: Arrival, verifiers: TokenVerifiers, entropy: Entropy
    ) -> str | None:
        """caching_sha2_password, or mysql_native_password where the client chose that."""
        packets, response = self._packets, self._response
        assert packets is not None, "authenticate comes after greet"
        assert response is not None, "authenticate comes after greet"
        plugin, proof, scramble = response.plugin, response.response, self._scramble
        if not response.capabilities & flags.PLUGIN_AUTH:
            plugin = MYSQL_NATIVE_PASSWORD
        elif plugin == MYSQL_NATIVE_PASSWORD and not proof:
            # Both C libraries, told to use it: the greeting's scramble was another plug-in's.
            proof, scramble = await self._switch(packets, plugin, entropy)
        elif plugin not in (CACHING_SHA2_PASSWORD, MYSQL_NATIVE_PASSWORD):
            plugin = CACHING_SHA2_PASSWORD
            proof, scramble = await self._switch(packets, plugin, entropy)
        if plugin == MYSQL_NATIVE_PASSWORD:
            return _proved_native(verifiers, proof, scramble)
        token_id = _proved_sha2(verifiers, proof, scramble)
        if token_id is not None:
            packets.send(AuthMoreData(caching_sha2.FAST_AUTH_SUCCESS).encode())
            return token_id
        # As a server that has not cached the password: its own clients expect it.
        packets.send(AuthMoreData(caching_sha2.PERFORM_FULL_AUTHENTICATION).encode())
        password = await self._whole_password(channel, packets, scramble)
        return None if password is None else _proved_whole(verifiers, password)

    async def _switch(
        self, packets: Packets, plugin: bytes, entropy: Entropy
    ) -> tuple[bytes, bytes]:
        """Have the client use a plug-in: its proof, and the scramble that it is for."""
        scramble = make_scramble(entropy)
        packets.send(AuthSwitchRequest(plugin, scramble).encode())
        return await packets.receive(), scramble

    async def _whole_password(
        self, channel: Channel, packets: Packets, scramble: bytes
    ) -> bytes | None:
        payload = await packets.receive(_TOKEN_LIMIT)
        if channel.is_encrypted:
            return payload.removesuffix(b"\0")
        if payload == caching_sha2.REQUEST_PUBLIC_KEY:
            packets.send(AuthMoreData(await self._crypto.rsa_public_key()).encode())
            payload = await packets.receive(_TOKEN_LIMIT)
        hidden = await self._crypto.rsa_decrypt(payload)
        if hidden is None:
            return None
        return caching_sha2.revealed(hidden, scramble).removesuffix(b"\0")

    def welcome(self, arrival: Arrival, upstream: Upstream) -> bytes:
        """The OK that ends the login, with the data source's own status flags."""
        assert self._packets is not None, "welcome comes after greet"
        settings: UpstreamSettings = upstream.detail
        return self._packets.framed(Ok(status=settings.status & ~_SESSION_STATE_CHANGED).encode())

    def refusal(self, refusal: Refusal) -> bytes:
        """The ERR that ends the login, wherever it stands."""
        if self._packets is None:
            return frame(refusal_payload(refusal, has_sqlstate=False), 0)
        # A client reads an SQLSTATE once it has said that it speaks the protocol of 4.1.
        has_spoken = self._packets.sequence > 1
        return self._packets.framed(refusal_payload(refusal, has_sqlstate=has_spoken))


def make_scramble(entropy: Entropy) -> bytes:
    """20 random bytes without NUL, which ends a scramble, and without '$', as servers do."""
    return bytes(one % 126 + 1 if one % 126 + 1 != ord("$") else 127 for one in entropy(20))


def _proved_native(verifiers: TokenVerifiers, proof: bytes, scramble: bytes) -> str | None:
    found = None
    for entry in verifiers.entries:
        # No early end: how many tokens a workspace has is not told by time.
        if native.matches(proof, scramble, entry.sha1_sha1):
            found = entry.token_id
    return found if verifiers.is_real else None


def _proved_sha2(verifiers: TokenVerifiers, proof: bytes, scramble: bytes) -> str | None:
    found = None
    for entry in verifiers.entries:
        if caching_sha2.matches(proof, scramble, entry.sha256_sha256):
            found = entry.token_id
    return found if verifiers.is_real else None


def _proved_whole(verifiers: TokenVerifiers, password: bytes) -> str | None:
    found = None
    for entry in verifiers.entries:
        if caching_sha2.is_password(password, entry.sha256_sha256):
            found = entry.token_id
    return found if verifiers.is_real else None
