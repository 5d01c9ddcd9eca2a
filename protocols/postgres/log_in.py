"""We prove who we are to the data source, by the methods its entry allows, no other.

Knows the authentication requests and what each gives away. The rules: a method the
source does not list is refused, cleartext needs verified TLS, and a server that does
not ask for the stored password is not the one it was stored for. Must never know what
comes before or after.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from protocols.channel import Channel
from protocols.errors import PeerViolation, Reason, Refusal
from protocols.interface import Derive, Entropy, UpstreamLogin
from protocols.postgres import messages
from protocols.postgres.framing import Message
from protocols.postgres.md5 import md5_response
from protocols.postgres.messages import (
    Authentication,
    AuthenticationCleartextPassword,
    AuthenticationMD5Password,
    AuthenticationOk,
    AuthenticationSASL,
    PasswordMessage,
    SASLInitialResponse,
    SASLResponse,
)
from protocols.postgres.saslprep import saslprep
from protocols.postgres.scram import (
    BINDING_HEADER,
    RAW_NONCE_LENGTH,
    SCRAM_SHA_256,
    SCRAM_SHA_256_PLUS,
    make_nonce,
)
from protocols.postgres.scram_client import ScramClient

METHODS = frozenset({"scram-sha-256-plus", "scram-sha-256", "md5", "cleartext", "trust", "cert"})
"""The words for authentication methods in a source's allow-list."""

FEWEST_UNVERIFIED_ITERATIONS = 4_096
"""The fewest iterations that an unverified server may ask for (RFC 7677 section 4).

Our proof lets its receiver guess the password, at the price of the iterations it chose:
an impostor would choose 1. PostgreSQL allows scram_iterations = 1, and where TLS has
proved the server to be the stored destination, that is its owner's own choice.
"""

Receive = Callable[[], Awaitable[Message]]


async def log_in(
    channel: Channel,
    login: UpstreamLogin,
    message: Message,
    receive: Receive,
    derive: Derive,
    entropy: Entropy,
) -> str:
    """Answer authentication requests, ``message`` the first, up to AuthenticationOk.

    Returns the method used, one of ``METHODS``. Raises Refusal, PeerViolation, and
    whatever ``receive`` raises.
    """
    request = _request(message)
    if request.request == messages.AUTHENTICATION_OK:
        AuthenticationOk.decode(request.data)
        return _unasked(channel, login)
    if request.request == messages.AUTHENTICATION_SASL:
        offered = AuthenticationSASL.decode(request.data).mechanisms
        method = await _scram(channel, login, offered, receive, derive, entropy)
    elif request.request == messages.AUTHENTICATION_MD5_PASSWORD:
        salt = AuthenticationMD5Password.decode(request.data).salt
        _check_listed(login, "md5")
        answer = md5_response(_password(login), login.username.encode("utf-8"), salt)
        channel.write(PasswordMessage(answer).encode())
        method = "md5"
    elif request.request == messages.AUTHENTICATION_CLEARTEXT_PASSWORD:
        AuthenticationCleartextPassword.decode(request.data)
        _check_listed(login, "cleartext")
        if not (channel.is_encrypted and login.is_tls_verified):
            raise _untrusted("asks for the password in clear over a connection not verified by TLS")
        channel.write(PasswordMessage(_password(login)).encode())
        method = "cleartext"
    else:
        raise Refusal(
            Reason.UNSUPPORTED,
            "the data source asks for an authentication method that is not supported"
            f" (request {request.request})",
        )
    _expect(await receive(), messages.AUTHENTICATION_OK)
    return method


async def _scram(
    channel: Channel,
    login: UpstreamLogin,
    offered: tuple[bytes, ...],
    receive: Receive,
    derive: Derive,
    entropy: Entropy,
) -> str:
    mechanism, header, binding = _choose(channel, login, offered)
    password = _password(login)
    scram = ScramClient(make_nonce(entropy(RAW_NONCE_LENGTH)), header, binding)
    channel.write(SASLInitialResponse(mechanism, scram.first()).encode())
    challenge = scram.challenge(_expect(await receive(), messages.AUTHENTICATION_SASL_CONTINUE))
    _check_iterations(channel, login, challenge.iterations)
    salted = await derive(saslprep(password), challenge.salt, challenge.iterations)
    channel.write(SASLResponse(scram.final(salted)).encode())
    if not scram.verify(_expect(await receive(), messages.AUTHENTICATION_SASL_FINAL)):
        raise _untrusted("could not prove that it knows the password")
    return mechanism.decode("ascii").lower()


def _choose(
    channel: Channel, login: UpstreamLogin, offered: tuple[bytes, ...]
) -> tuple[bytes, bytes, bytes]:
    """The mechanism, its GS2 header, and the binding that goes into its proof.

    As libpq does, ``y`` tells the server that we could have bound to the channel and
    were not offered to: one that did offer it then knows of the man in the middle.
    """
    binding = channel.channel_binding
    may_bind = binding is not None and "scram-sha-256-plus" in login.methods
    if may_bind and SCRAM_SHA_256_PLUS in offered:
        return SCRAM_SHA_256_PLUS, BINDING_HEADER, binding or b""
    if SCRAM_SHA_256 not in offered and SCRAM_SHA_256_PLUS not in offered:
        raise Refusal(
            Reason.UNSUPPORTED, "the data source offers no SASL mechanism that is supported"
        )
    if SCRAM_SHA_256 not in offered:
        raise _untrusted("offers only SCRAM-SHA-256-PLUS, which cannot be used here")
    _check_listed(login, "scram-sha-256")
    return SCRAM_SHA_256, b"y,," if may_bind else b"n,,", b""


def _check_iterations(channel: Channel, login: UpstreamLogin, iterations: int) -> None:
    if iterations > login.max_iterations:
        raise _untrusted(f"asks for more than {login.max_iterations} SCRAM iterations")
    is_verified = channel.is_encrypted and login.is_tls_verified
    if iterations < FEWEST_UNVERIFIED_ITERATIONS and not is_verified:
        raise _untrusted(
            f"asks for fewer than {FEWEST_UNVERIFIED_ITERATIONS} SCRAM iterations"
            " over a connection not verified by TLS"
        )


def _unasked(channel: Channel, login: UpstreamLogin) -> str:
    """The method of a server that lets us in at once."""
    if login.password is not None:
        raise _untrusted("did not ask for the stored password")
    if "cert" in login.methods and channel.is_encrypted:
        return "cert"
    _check_listed(login, "trust")
    return "trust"


def _password(login: UpstreamLogin) -> bytes:
    password = login.password
    if not password:
        raise Refusal(
            Reason.CREDENTIAL_UNUSABLE,
            "the data source asks for a password, and none is stored for it",
        )
    if b"\0" in password:
        raise Refusal(
            Reason.CREDENTIAL_UNUSABLE,
            "the stored password cannot be used: it holds a NUL byte",
        )
    return password


def _check_listed(login: UpstreamLogin, method: str) -> None:
    if method not in login.methods:
        raise _untrusted(f"asks for the authentication method {method}, which is not allowed here")


def _untrusted(what: str) -> Refusal:
    return Refusal(Reason.SOURCE_UNTRUSTED, f"the data source {what}")


def _request(message: Message) -> Authentication:
    if message.code != messages.AUTHENTICATION:
        raise PeerViolation("the server sent something else than an authentication request")
    return Authentication.decode(message.body)


def _expect(message: Message, expected: int) -> bytes:
    """The data of the authentication request that must come now.

    AuthenticationOk in the place of another is how a server without the password would
    slip past its own proof.
    """
    request = _request(message)
    if request.request == expected:
        if expected == messages.AUTHENTICATION_OK:
            AuthenticationOk.decode(request.data)
        return request.data
    if request.request == messages.AUTHENTICATION_OK:
        raise _untrusted("ended the password exchange before it proved that it knows the password")
    raise PeerViolation("the server sent an authentication request out of step")
