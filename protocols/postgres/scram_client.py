"""SCRAM-SHA-256 as the client, to a server that may be hostile.

Pure: messages in, messages out. Knows the grammar and the bounds on everything the
server chooses; must never know how a password is stretched: it is given the result.
A login counts only when the server has proved, by its signature, that it knows the
password too.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from protocols.errors import PeerViolation
from protocols.postgres.scram import (
    KEY_LENGTH,
    MALFORMED,
    decode_base64,
    encode_base64,
    is_nonce,
    keys_of,
    read_attribute,
    sign,
    xor,
)

NONCE_LIMIT = 1_024
"""Bytes of the whole nonce. PostgreSQL's has 48; PgBouncer believed any (CVE-2026-6665)."""

SALT_LIMIT = 1_024
"""Bytes of base64 of the salt. PostgreSQL's has 24."""

_DIGITS_LIMIT = 10
"""Digits of an iteration count: an int32 has no more."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the server wants the password stretched with."""

    salt: bytes
    iterations: int


class ScramClient:
    """One exchange: ``first``, ``challenge``, ``final``, ``verify``, each once.

    ``header`` is the GS2 header (``n,,``, ``y,,`` or BINDING_HEADER) and ``binding`` the
    server certificate's tls-server-end-point that goes with the last.
    """

    def __init__(self, nonce: bytes, header: bytes, binding: bytes = b"") -> None:
        self._nonce = nonce
        self._header = header
        self._bound = header + binding
        # PostgreSQL takes the user name from the start-up packet and ignores this one.
        self._first_bare = b"n=,r=" + nonce
        self._server_first = b""
        self._signature = b""

    def first(self) -> bytes:
        """client-first-message."""
        return self._header + self._first_bare

    def challenge(self, message: bytes) -> Challenge:
        """Read server-first-message. Raises PeerViolation.

        Whether the iteration count is acceptable is for the caller to say.
        """
        nonce, rest = read_attribute(message, b"r")
        salt_text, rest = read_attribute(rest, b"s")
        count_text, rest = read_attribute(rest, b"i")
        # RFC 5802 lets extensions follow; no server has any, and what is unknown is refused.
        if rest or message.endswith(b","):
            raise PeerViolation(f"{MALFORMED}: garbage at the end of server-first-message")
        if len(nonce) > NONCE_LIMIT or not is_nonce(nonce):
            raise PeerViolation(f"{MALFORMED}: invalid nonce")
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise PeerViolation("invalid SCRAM response: nonce mismatch")
        if len(salt_text) > SALT_LIMIT:
            raise PeerViolation(f"{MALFORMED}: the salt is too long")
        salt = decode_base64(salt_text, "the salt")
        if not salt:
            raise PeerViolation(f"{MALFORMED}: the salt is empty")
        self._nonce = nonce
        self._server_first = message
        return Challenge(salt, _iterations(count_text))

    def final(self, salted_password: bytes) -> bytes:
        """client-final-message, with the proof."""
        keys = keys_of(salted_password)
        without_proof = b"c=" + encode_base64(self._bound) + b",r=" + self._nonce
        auth_message = b",".join((self._first_bare, self._server_first, without_proof))
        proof = xor(keys.client_key, sign(keys.stored_key, auth_message))
        self._signature = sign(keys.server_key, auth_message)
        return without_proof + b",p=" + encode_base64(proof)

    def verify(self, message: bytes) -> bool:
        """Read server-final-message: whether the server knows the password.

        False also for the error it may carry instead. Raises PeerViolation.
        """
        if message.startswith(b"e="):
            return False
        text, garbage = read_attribute(message, b"v")
        if garbage or message.endswith(b","):
            raise PeerViolation(f"{MALFORMED}: garbage at the end of server-final-message")
        signature = decode_base64(text, "the server signature")
        if len(signature) != KEY_LENGTH:
            raise PeerViolation(f"{MALFORMED}: invalid server signature")
        return hmac.compare_digest(signature, self._signature)


def _iterations(text: bytes) -> int:
    """Digits alone, the first not 0: int() would also take spaces, signs and underscores."""
    if not (text.isdigit() and len(text) <= _DIGITS_LIMIT and not text.startswith(b"0")):
        raise PeerViolation(f"{MALFORMED}: invalid iteration count")
    return int(text)
