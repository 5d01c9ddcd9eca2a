"""Known answers: the cryptography is asked what is known before it is trusted.

Knows fixed vectors only. A library that computes something else, or a change here that
would make stored records unreadable, is found at the start and not at the first login.
"""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vault.binding import Binding, Destination
from vault.errors import KeyProviderError, SelfTestError
from vault.provider import KeyProvider
from vault.record import SealedRecord
from vault.sealing import KEY_LENGTH, open_record, seal_record
from vault.secret import Secret

# RFC 5869, appendix A.1: test case 1 of HKDF with SHA-256.
_HKDF_KEY = bytes.fromhex("0b" * 22)
_HKDF_SALT = bytes(range(13))
_HKDF_INFO = bytes(range(0xF0, 0xFA))
_HKDF_ANSWER = bytes.fromhex(
    "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
)

# McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test case 16.
_GCM_KEY = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
_GCM_NONCE = bytes.fromhex("cafebabefacedbaddecaf888")
_GCM_PLAINTEXT = bytes.fromhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
_GCM_ADDITIONAL_DATA = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
_GCM_ANSWER = bytes.fromhex(
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
    "76fc6ece0f4e1768cddf8853bb2d551b"
)

_ROOT_KEY = Secret(bytes(range(32)))
_SECRET = Secret(b"known answer")
_RECORD_ID = bytes(range(0x40, 0x50))
_NONCE = bytes(range(0x60, 0x6C))
_BINDING = Binding(
    purpose="self-test",
    workspace_id="workspace",
    source_id="source",
    field="password",
    record_version=7,
    destination=Destination("postgresql", "db.example", 5432, "app", "verify-full", ""),
)
_SEALED_ANSWER = bytes.fromhex(
    "4143505301096b6e6f776e2d6b6579000000030000000000000007404142434445464748494a4b4c4d4e"
    "4f606162636465666768696a6bea5b88df108b7000cf5ea1a6c4c3746ab6be4e653e83384990138b74d5"
    "7d07c30000001c4a14fb86ed1b5d5a8b9aedfe829a5d3af55beade78807b134bf659f9"
)


def check_known_answers() -> None:
    """HKDF, AES-256-GCM and the whole sealed format. Raises SelfTestError."""
    derived = HKDF(algorithm=SHA256(), length=42, salt=_HKDF_SALT, info=_HKDF_INFO)
    if derived.derive(_HKDF_KEY) != _HKDF_ANSWER:
        raise SelfTestError("the self-test of HKDF-SHA256 failed")
    cipher = AESGCM(_GCM_KEY)
    if cipher.encrypt(_GCM_NONCE, _GCM_PLAINTEXT, _GCM_ADDITIONAL_DATA) != _GCM_ANSWER:
        raise SelfTestError("the self-test of AES-256-GCM failed")
    sealed = known_record().to_bytes()
    if sealed != _SEALED_ANSWER:
        raise SelfTestError("the self-test of sealing failed")
    if open_record(_ROOT_KEY, SealedRecord.from_bytes(sealed), _BINDING) != _SECRET:
        raise SelfTestError("the self-test of unsealing failed")
    changed = sealed[:-1] + bytes((sealed[-1] ^ 1,))
    if open_record(_ROOT_KEY, SealedRecord.from_bytes(changed), _BINDING) is not None:
        raise SelfTestError("the self-test of sealing failed: a changed record was opened")


def known_record() -> SealedRecord:
    """The record of the known answer, sealed anew."""
    return seal_record(
        _ROOT_KEY, 3, "known-key", _SECRET, _BINDING, record_id=_RECORD_ID, nonce=_NONCE
    )


def check_provider(provider: KeyProvider) -> None:
    """A random key goes through the key provider and back. Raises SelfTestError."""
    key = Secret(os.urandom(KEY_LENGTH))
    context = b"accode-proxy self-test"
    try:
        returned = provider.unwrap(provider.wrap(key, context), context)
    except KeyProviderError as error:
        raise SelfTestError(f"the self-test of the key provider failed: {error}") from None
    if returned != key:
        raise SelfTestError("the self-test of the key provider failed: it gave another key")
