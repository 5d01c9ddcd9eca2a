"""We prove a stored password to a data source, by the methods its owner allows.

MySQL manual, "Authentication Methods"; MariaDB, "Connection: Authentication". The
server chooses the method, and a tenant chooses the server: it gets no more of the
password than the source's list of methods allows, switches once at most, and is never
given the password itself but inside verified TLS or for a pinned key.
"""

from __future__ import annotations

from protocols.channel import Channel
from protocols.errors import PeerViolation, Reason, Refusal, UpstreamRefused
from protocols.interface import Entropy, UpstreamLogin
from protocols.mysql import caching_sha2, native, parsec
from protocols.mysql.crypto import Crypto
from protocols.mysql.framing import Packets
from protocols.mysql.messages import (
    AUTH_MORE_DATA,
    EOF,
    ERR,
    OK,
    SCRAMBLE_LENGTH,
    AuthSwitchRequest,
    Err,
    Ok,
)
from protocols.mysql.refuse import is_sqlstate

CACHING_SHA2 = "caching_sha2_password"
NATIVE = "mysql_native_password"
SHA256 = "sha256_password"
CLEAR = "mysql_clear_password"
ED25519 = "client_ed25519"
PARSEC = "parsec"
METHODS = frozenset({CACHING_SHA2, NATIVE, SHA256, CLEAR, ED25519, PARSEC})
"""What is spoken here. A source's ``auth_methods`` are of these words."""

_BY_SCRAMBLE = {CACHING_SHA2: caching_sha2.response, NATIVE: native.response}
_ACCESS_DENIED = 1045


class Login:
    """One login at a data source, from its greeting to its OK."""

    def __init__(
        self,
        channel: Channel,
        packets: Packets,
        login: UpstreamLogin,
        crypto: Crypto,
        entropy: Entropy,
    ) -> None:
        self._channel = channel
        self._packets = packets
        self._login = login
        self._crypto = crypto
        self._entropy = entropy
        self._password = login.password or b""
        # Without a stored secret there is nothing to give away to the wrong method.
        self._methods = login.methods | (set() if self._password else set(_BY_SCRAMBLE))
        self.method = ""
        self._scramble = b""
        self._is_proved = not self._password
        # caching_sha2_password's last step: the proof was enough, or all was given.
        self._has_stepped = False

    def begin(self, plugin: str, scramble: bytes) -> tuple[str, bytes]:
        """The plug-in to name in our first packet, and its response.

        The server's own proposal where it needs nothing but the scramble and is allowed;
        otherwise nothing is proved yet and the server switches to the user's.
        """
        self._scramble = scramble
        allowed = [name for name in _BY_SCRAMBLE if name in self._methods]
        if plugin not in allowed:
            plugin = allowed[0] if allowed else NATIVE
            if plugin not in self._methods:
                self.method = ""
                return plugin, b""
        self.method = plugin
        return plugin, self._proof(plugin)

    async def finish(self) -> Ok:
        """Answer the server until it says OK.

        Raises UpstreamRefused, PeerViolation, PeerClosed, and Refusal for a method that is
        not allowed or not safe here.
        """
        has_switched = False
        # It comes to an end: a server switches once and has one step of caching_sha2_password.
        while True:
            payload = await self._packets.receive()
            head = payload[0] if payload else -1
            if head == OK:
                return self._accepted(Ok.decode(payload))
            if head == ERR:
                raise self._refused(refused(payload))
            if head == EOF:
                if self._has_stepped:
                    raise PeerViolation("the server changed its login method behind the last step")
                if has_switched:
                    # Rightly MariaDB's alone, for a user with two plug-ins and another password.
                    raise Refusal(
                        Reason.SOURCE_UNTRUSTED,
                        "the data source's server asked for a second login method; the stored"
                        " password is proved by one alone",
                    )
                has_switched = True
                await self._switch(AuthSwitchRequest.decode(payload))
            elif head == AUTH_MORE_DATA:
                await self._more(payload[1:])
            else:
                raise PeerViolation("the server sent an unexpected packet during the login")

    def _refused(self, error: UpstreamRefused) -> UpstreamRefused | Refusal:
        if error.number == _ACCESS_DENIED and not self.method:
            # Nothing was proved yet; the stored password may well be right.
            return Refusal(
                Reason.SOURCE_REFUSED,
                "the data source's server asked for none of the login methods allowed to it"
                f" (error {error.number})",
            )
        return error

    def _accepted(self, ok: Ok) -> Ok:
        if not self._is_proved:
            # Not the server that the password was stored for, or not this user's method.
            raise Refusal(
                Reason.SOURCE_UNTRUSTED,
                "the data source's server did not ask for the stored password",
            )
        return ok

    async def _switch(self, request: AuthSwitchRequest) -> None:
        plugin = request.plugin.decode("latin-1")
        if plugin not in METHODS:
            raise Refusal(
                Reason.SOURCE_UNTRUSTED,
                "the data source's server asks for a login method that this proxy does not speak",
                "unknown authentication plug-in",
            )
        if plugin not in self._methods:
            raise Refusal(
                Reason.SOURCE_UNTRUSTED,
                f"the data source does not allow the login method {plugin}",
            )
        self.method = plugin
        self._scramble = scramble = request.data
        if plugin == CLEAR:
            self._send_cleartext()
        elif plugin == SHA256:
            self._check_scramble(SCRAMBLE_LENGTH)
            await self._send_whole()
        elif plugin == ED25519:
            self._check_scramble(32)
            signature = await self._crypto.ed25519_sign_by_password(self._password, scramble)
            self._send_proof(signature)
        elif plugin == PARSEC:
            self._check_scramble(parsec.SCRAMBLE_LENGTH)
            await self._sign_parsec(scramble)
        else:
            self._packets.send(self._proof(plugin))

    def _proof(self, plugin: str) -> bytes:
        self._check_scramble(SCRAMBLE_LENGTH)
        # caching_sha2_password's proof is only a beginning: see _more.
        self._is_proved = self._is_proved or plugin == NATIVE
        return _BY_SCRAMBLE[plugin](self._password, self._scramble)

    def _check_scramble(self, length: int) -> None:
        if len(self._scramble) != length:
            raise PeerViolation("the server sent a scramble of the wrong length")

    def _send_proof(self, proof: bytes) -> None:
        self._is_proved = True
        self._packets.send(proof)

    async def _more(self, data: bytes) -> None:
        if self.method != CACHING_SHA2:
            raise PeerViolation("the server sent more authentication data than its method has")
        if self._has_stepped:
            # The password is given once, and never to who has said that its proof is enough.
            raise PeerViolation("the server asked for a step of caching_sha2_password twice")
        self._has_stepped = True
        if data == caching_sha2.FAST_AUTH_SUCCESS:
            self._is_proved = True
        elif data == caching_sha2.PERFORM_FULL_AUTHENTICATION and self._password:
            await self._send_whole()
        else:
            raise PeerViolation("the server sent an unknown step of caching_sha2_password")

    async def _send_whole(self) -> None:
        """The password itself, for a server that does not know its proof.

        A key that the server would send is never asked for: whoever sits in between could
        send his own, so only a pinned one is used.
        """
        if self._channel.is_encrypted and self._login.is_tls_verified:
            self._send_proof(self._password + b"\0")
            return
        key = self._login.server_public_key
        if key is None:
            raise Refusal(
                Reason.SOURCE_UNTRUSTED,
                "the data source's server asks for the whole password, which needs verified TLS"
                " or a pinned public key",
            )
        hidden = caching_sha2.obscured(self._password, self._scramble)
        try:
            encrypted = await self._crypto.rsa_encrypt(key, hidden)
        except ValueError:
            raise Refusal(
                Reason.CREDENTIAL_UNUSABLE,
                "the data source's pinned public key cannot encrypt the stored password",
            ) from None
        self._send_proof(encrypted)

    def _send_cleartext(self) -> None:
        if not (self._channel.is_encrypted and self._login.is_tls_verified):
            raise Refusal(
                Reason.SOURCE_UNTRUSTED,
                f"the login method {CLEAR} needs TLS with a verified certificate",
            )
        self._send_proof(self._password + b"\0")

    async def _sign_parsec(self, scramble: bytes) -> None:
        # An empty answer asks for the salt.
        self._packets.send(b"")
        payload = await self._packets.receive()
        if payload[:1] == bytes((ERR,)):
            raise refused(payload)
        salt = parsec.parse_salt(payload)
        seed = await self._crypto.pbkdf2_sha512(self._password, salt.salt, salt.iterations)
        ours = self._entropy(parsec.SCRAMBLE_LENGTH)
        signature = await self._crypto.ed25519_sign(seed, scramble + ours)
        self._send_proof(ours + signature)


def refused(payload: bytes) -> UpstreamRefused:
    """The server's no. Its text is for nobody but tests: see ``UpstreamRefused``."""
    error = Err.decode(payload)
    sqlstate = error.sqlstate.decode("latin-1")
    return UpstreamRefused(
        sqlstate if is_sqlstate(sqlstate) else "",
        error.text[:1000].decode("utf-8", "replace"),
        number=error.code,
    )
