"""What both ends of a MySQL login need in a test: a token, a password, and cryptography."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols.interface import SessionKey, UpstreamLogin
from protocols.mysql.accept import MysqlClientLeg
from protocols.mysql.compression import Algorithm, Zlib
from protocols.mysql.log_in import METHODS
from protocols.verifiers import TokenVerifier, TokenVerifiers
from proxy.gateway.zstd import Zstd

KEY = SessionKey(42, bytes(range(32)))
TOKEN = b"acp_token_of_finance"
ALGORITHMS: dict[str, Algorithm] = {"zlib": Zlib(), "zstd": Zstd()}
VERSION = "8.0.36-accode-proxy"
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
_RSA = rsa.generate_private_key(65_537, 2_048)
PUBLIC_KEY = _RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def entropy(count: int) -> bytes:
    return bytes(range(100, 100 + count))


def verifier(token: bytes, name: str) -> TokenVerifier:
    return TokenVerifier(
        name,
        bytes(32),
        bytes(32),
        hashlib.sha256(hashlib.sha256(token).digest()).digest(),
        hashlib.sha1(hashlib.sha1(token).digest()).digest(),
    )


def verifiers(*tokens: bytes, is_real: bool = True) -> TokenVerifiers:
    entries = tuple(verifier(token, token.decode()) for token in tokens)
    return TokenVerifiers(bytes(16), 4096, entries, is_real)


class Crypto:
    """The real operations, without threads, so that a conversation runs without a loop."""

    async def rsa_public_key(self) -> bytes:
        return PUBLIC_KEY

    async def rsa_decrypt(self, data: bytes) -> bytes | None:
        try:
            return _RSA.decrypt(data, _OAEP)
        except ValueError:
            return None

    async def rsa_encrypt(self, public_key_pem: bytes, data: bytes) -> bytes:
        key = serialization.load_pem_public_key(public_key_pem)
        assert isinstance(key, rsa.RSAPublicKey)
        return key.encrypt(data, _OAEP)

    async def ed25519_sign_by_password(self, password: bytes, message: bytes) -> bytes:
        return hashlib.sha512(password + message).digest()

    async def ed25519_sign(self, seed: bytes, message: bytes) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(seed).sign(message)

    async def pbkdf2_sha512(self, password: bytes, salt: bytes, iterations: int) -> bytes:
        return hashlib.pbkdf2_hmac("sha512", password, salt, iterations, 32)


def leg(*, local_infile: bool = False, compression: tuple[str, ...] = ()) -> MysqlClientLeg:
    return MysqlClientLeg(KEY, entropy, Crypto(), VERSION, local_infile, compression)


def login(
    *,
    password: bytes | None = TOKEN,
    require_tls: bool = False,
    is_tls_verified: bool = True,
    methods: frozenset[str] = METHODS,
    database: str = "orders",
    username: str = "finance",
    server_public_key: bytes | None = None,
    parameters: dict[str, str] | None = None,
    detail: object = None,
    compression: str = "",
) -> UpstreamLogin:
    return UpstreamLogin(
        username=username,
        database=database,
        password=password,
        parameters=parameters or {},
        methods=methods,
        require_tls=require_tls,
        is_tls_verified=is_tls_verified,
        version=(10, 0),
        server_public_key=server_public_key,
        compression=compression,
        detail=detail,
    )
