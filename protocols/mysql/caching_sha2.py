"""caching_sha2_password, and what sha256_password shares with it.

MySQL manual, "Caching SHA-2 Pluggable Authentication". A verifier is SHA-256(SHA-256(
password)), so the fast path works at the first login already; the full one, which sends
the password inside TLS or RSA, is there for clients that were told their proof is not
enough.
"""

from __future__ import annotations

import hashlib
import hmac

from protocols.mysql.native import xor

RESPONSE_LENGTH = 32
REQUEST_PUBLIC_KEY = b"\x02"
FAST_AUTH_SUCCESS = b"\x03"
PERFORM_FULL_AUTHENTICATION = b"\x04"


def response(password: bytes, scramble: bytes) -> bytes:
    """What proves the password: 32 bytes, or none for an empty password."""
    if not password:
        return b""
    stage1 = _sha256(password)
    return xor(stage1, _sha256(_sha256(stage1) + scramble))


def matches(given: bytes, scramble: bytes, sha256_sha256: bytes) -> bool:
    """Whether a response proves the password of that verifier; in constant time."""
    if len(given) != RESPONSE_LENGTH:
        return False
    stage1 = xor(given, _sha256(sha256_sha256 + scramble))
    return hmac.compare_digest(_sha256(stage1), sha256_sha256)


def is_password(password: bytes, sha256_sha256: bytes) -> bool:
    """Whether this is the verifier's password; in constant time."""
    return hmac.compare_digest(_sha256(_sha256(password)), sha256_sha256)


def obscured(password: bytes, scramble: bytes) -> bytes:
    """The password and its NUL, mixed with the scramble, for RSA to encrypt."""
    return revealed(password + b"\0", scramble)


def revealed(data: bytes, scramble: bytes) -> bytes:
    """The opposite of ``obscured``, NUL included."""
    repeated = scramble * (len(data) // len(scramble) + 1)
    return xor(data, repeated[: len(data)])


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
