"""MariaDB's parsec: an Ed25519 signature by a key that PBKDF2 makes of the password.

MariaDB manual, "Authentication Plugin - PARSEC" (11.6). The server's salt message is
``P``, the iteration factor, and the salt; the client signs both scrambles.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.errors import PeerViolation

SCRAMBLE_LENGTH = 32
SALT_LENGTH = 18
_FIRST_ITERATIONS = 1024
# The manual's largest: 1024 << 3 iterations.
_FACTOR_LIMIT = 3


@dataclass(frozen=True, slots=True)
class Salt:
    """What the server wants the password stretched with."""

    salt: bytes
    iterations: int


def parse_salt(payload: bytes) -> Salt:
    """The server's salt message. Raises PeerViolation for any other form or more work."""
    if payload[:1] == b"\x01":
        payload = payload[1:]
    if len(payload) != 2 + SALT_LENGTH or payload[:1] != b"P":
        raise PeerViolation("the server sent an invalid salt for parsec")
    if payload[1] > _FACTOR_LIMIT:
        raise PeerViolation("the server asks for too many iterations for parsec")
    return Salt(payload[2:], _FIRST_ITERATIONS << payload[1])
