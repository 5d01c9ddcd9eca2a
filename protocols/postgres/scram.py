"""SCRAM-SHA-256: the words, keys and formulas that both ends share (RFC 5802, RFC 7677).

Knows attributes, strict base64 and HMACs. Must never know who speaks first: that is
``scram_server`` and ``scram_client``. Nothing here waits or stretches a password:
PBKDF2 is the caller's, off the loop.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from protocols.errors import PeerViolation

SCRAM_SHA_256 = b"SCRAM-SHA-256"
SCRAM_SHA_256_PLUS = b"SCRAM-SHA-256-PLUS"

KEY_LENGTH = 32
"""Bytes of every key, proof and signature: SHA-256's output."""

RAW_NONCE_LENGTH = 18
"""Random bytes of our nonce before base64: PostgreSQL's SCRAM_RAW_NONCE_LEN."""

BINDING_HEADER = b"p=tls-server-end-point,,"
"""The GS2 header with channel binding: the only type that PostgreSQL speaks."""

MALFORMED = "malformed SCRAM message"
"""How every violation of the grammar begins, as in PostgreSQL."""


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What comes of a salted password. ``client_key`` logs in; guard it like the password."""

    client_key: bytes
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return "ScramKeys(...)"


def keys_of(salted_password: bytes) -> ScramKeys:
    """ClientKey, StoredKey and ServerKey of a SaltedPassword (RFC 5802 section 3)."""
    client_key = sign(salted_password, b"Client Key")
    return ScramKeys(
        client_key=client_key,
        stored_key=hashlib.sha256(client_key).digest(),
        server_key=sign(salted_password, b"Server Key"),
    )


def sign(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256."""
    return hmac.digest(key, message, "sha256")


def xor(left: bytes, right: bytes) -> bytes:
    """Two keys, bit by bit, in time that does not depend on them."""
    mixed = int.from_bytes(left, "big") ^ int.from_bytes(right, "big")
    return mixed.to_bytes(KEY_LENGTH, "big")


def make_nonce(random: bytes) -> bytes:
    """Random bytes in the printable form a nonce must have."""
    return base64.b64encode(random)


def encode_base64(data: bytes) -> bytes:
    """Base64 without line breaks."""
    return base64.b64encode(data)


def decode_base64(text: bytes, what: str) -> bytes:
    """Strict base64: the alphabet, the padding, and no spare bits. Raises PeerViolation."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        data = b""
    if base64.b64encode(data) != text:
        raise PeerViolation(f"{MALFORMED}: {what} is not base64")
    return data


def read_attribute(text: bytes, name: bytes) -> tuple[bytes, bytes]:
    """The value of the attribute ``text`` must begin with, and what follows its comma.

    Raises PeerViolation.
    """
    if text[:2] != name + b"=":
        raise PeerViolation(f'{MALFORMED}: attribute "{name.decode("ascii")}" expected')
    value, _, rest = text[2:].partition(b",")
    return value, rest


def is_nonce(value: bytes) -> bool:
    """Whether a value is RFC 5802's ``printable``: ASCII without space and comma."""
    return bool(value) and all(0x21 <= byte <= 0x7E and byte != 0x2C for byte in value)
