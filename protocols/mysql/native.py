"""mysql_native_password: the password's double SHA-1, never sent as it is.

MySQL manual, "Native Authentication". Kept for clients and servers that know nothing
newer: who can read the store's verifier and one login on the wire could log in.
"""

from __future__ import annotations

import hashlib
import hmac

RESPONSE_LENGTH = 20


def response(password: bytes, scramble: bytes) -> bytes:
    """What proves the password: 20 bytes, or none for an empty password."""
    if not password:
        return b""
    stage1 = _sha1(password)
    return xor(stage1, _sha1(scramble + _sha1(stage1)))


def matches(given: bytes, scramble: bytes, sha1_sha1: bytes) -> bool:
    """Whether a response proves the password of that verifier; in constant time."""
    if len(given) != RESPONSE_LENGTH:
        return False
    stage1 = xor(given, _sha1(scramble + sha1_sha1))
    return hmac.compare_digest(_sha1(stage1), sha1_sha1)


def xor(one: bytes, other: bytes) -> bytes:
    """Exclusive or of two strings of the same length."""
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _sha1(data: bytes) -> bytes:
    # usedforsecurity: the protocol demands SHA-1; a FIPS build must not stop it.
    return hashlib.sha1(data, usedforsecurity=False).digest()
