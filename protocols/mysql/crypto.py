"""What MySQL's logins need of public-key cryptography. The gateway brings it.

This package is the standard library's alone; the slow work is done off the event loop
by whoever implements this.
"""

from __future__ import annotations

from typing import Protocol


class Crypto(Protocol):
    """Public-key operations and slow hashes, each off the event loop."""

    async def rsa_public_key(self) -> bytes:
        """The PEM of this process's own RSA key, for a client without TLS on loopback."""
        ...

    async def rsa_decrypt(self, data: bytes) -> bytes | None:
        """RSA-OAEP (SHA-1) with our own key; None for what it was not encrypted with."""
        ...

    async def rsa_encrypt(self, public_key_pem: bytes, data: bytes) -> bytes:
        """RSA-OAEP (SHA-1). Raises ValueError for what is no RSA key of 2,048 to 8,192 bits,
        or for more data than it takes.
        """
        ...

    async def ed25519_sign_by_password(self, password: bytes, message: bytes) -> bytes:
        """MariaDB's client_ed25519: SHA-512 of the password is the expanded key."""
        ...

    async def ed25519_sign(self, seed: bytes, message: bytes) -> bytes:
        """RFC 8032 with a seed of 32 bytes."""
        ...

    async def pbkdf2_sha512(self, password: bytes, salt: bytes, iterations: int) -> bytes:
        """PBKDF2-HMAC-SHA-512, 32 bytes."""
        ...
