"""Public-key operations for MySQL's logins, in threads: ``protocols.mysql.crypto.Crypto``.

``cryptography`` does what it can. MariaDB's client_ed25519 takes SHA-512 of a password of
any length as the expanded key, which no signing function offers: libsodium's group
operations (PyNaCl) do that one, in constant time.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl import bindings as sodium

# What the protocol demands of RSA; OAEP stays sound with SHA-1.
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303
_KEY_BITS = range(2_048, 8_193)

P = ParamSpec("P")
T = TypeVar("T")


class ThreadedCrypto:
    """One for a process: its RSA key is made when the first client asks for it."""

    def __init__(self) -> None:
        self._key: asyncio.Task[rsa.RSAPrivateKey] | None = None

    async def rsa_public_key(self) -> bytes:
        """See ``Crypto.rsa_public_key``."""
        key = await self._own_key()
        return key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    async def rsa_decrypt(self, data: bytes) -> bytes | None:
        """See ``Crypto.rsa_decrypt``."""
        key = await self._own_key()
        try:
            return await _off_loop(key.decrypt, data, _OAEP)
        except ValueError:
            return None

    async def rsa_encrypt(self, public_key_pem: bytes, data: bytes) -> bytes:
        """See ``Crypto.rsa_encrypt``."""
        key = serialization.load_pem_public_key(public_key_pem)
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in _KEY_BITS:
            raise ValueError("this is no RSA key of 2,048 to 8,192 bits")
        return await _off_loop(key.encrypt, data, _OAEP)

    async def ed25519_sign_by_password(self, password: bytes, message: bytes) -> bytes:
        """See ``Crypto.ed25519_sign_by_password``."""
        return await _off_loop(_sign_by_password, password, message)

    async def ed25519_sign(self, seed: bytes, message: bytes) -> bytes:
        """See ``Crypto.ed25519_sign``."""
        return await _off_loop(Ed25519PrivateKey.from_private_bytes(seed).sign, message)

    async def pbkdf2_sha512(self, password: bytes, salt: bytes, iterations: int) -> bytes:
        """See ``Crypto.pbkdf2_sha512``."""
        return await _off_loop(hashlib.pbkdf2_hmac, "sha512", password, salt, iterations, 32)

    async def _own_key(self) -> rsa.RSAPrivateKey:
        if self._key is None:
            self._key = asyncio.ensure_future(_off_loop(rsa.generate_private_key, 65_537, 2_048))
        # Shielded: a client that leaves must not take everybody's key with it.
        return await asyncio.shield(self._key)


async def _off_loop(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await asyncio.to_thread(work, *args, **kwargs)


def _sign_by_password(password: bytes, message: bytes) -> bytes:
    """RFC 8032, 5.1.6, from its second step: the expanded key is SHA-512 of the password."""
    expanded = hashlib.sha512(password).digest()
    scalar = bytearray(expanded[:32])
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    secret = bytes(scalar)
    public = sodium.crypto_scalarmult_ed25519_base_noclamp(secret)
    nonce = _reduced(expanded[32:] + message)
    commitment = sodium.crypto_scalarmult_ed25519_base_noclamp(nonce)
    challenge = _reduced(commitment + public + message)
    product = sodium.crypto_core_ed25519_scalar_mul(challenge, secret)
    return commitment + sodium.crypto_core_ed25519_scalar_add(product, nonce)


def _reduced(data: bytes) -> bytes:
    return sodium.crypto_core_ed25519_scalar_reduce(hashlib.sha512(data).digest())
