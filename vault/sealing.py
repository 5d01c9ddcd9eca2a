"""HKDF, key commitment and AES-256-GCM over keys that are given. Manages none.

Each record has a key of its own: HKDF-SHA256 (RFC 5869) of the root key, salted with
the record's random id. AES-GCM alone does not commit to its key (one ciphertext can
open under two keys), so a commitment, another output of the same HKDF, is stored and
compared in constant time before anything is decrypted.

Raw keys live only in functions that return instead of raising: a traceback that shows
local variables must not show a key.
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vault.binding import Binding, encode_fields
from vault.record import COMMITMENT_LENGTH, SealedRecord
from vault.secret import Secret

KEY_LENGTH = 32
"""256 bit, for root keys, KEKs and record keys alike."""

_RECORD_KEY_LABEL = b"accode-proxy record key 1"
_COMMITMENT_LABEL = b"accode-proxy record commitment 1"


def derive(key: Secret, salt: bytes, fields: list[bytes], length: int = KEY_LENGTH) -> bytes:
    """HKDF-SHA256 with the length-prefixed fields as its info."""
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=encode_fields(fields)).derive(
        key.reveal()
    )


def seal_record(
    root_key: Secret,
    root_key_version: int,
    key_id: str,
    secret: Secret,
    binding: Binding,
    *,
    record_id: bytes,
    nonce: bytes,
) -> SealedRecord:
    """Seal under a root key. ``record_id`` and ``nonce`` must be fresh random bytes."""
    purpose = binding.purpose.encode()
    commitment = derive(root_key, record_id, [_COMMITMENT_LABEL, purpose], COMMITMENT_LENGTH)
    unfilled = SealedRecord(
        key_id=key_id,
        root_key_version=root_key_version,
        record_version=binding.record_version,
        record_id=record_id,
        nonce=nonce,
        commitment=commitment,
        ciphertext=b"",
    )
    cipher = AESGCM(derive(root_key, record_id, [_RECORD_KEY_LABEL, purpose]))
    additional_data = binding.additional_data(unfilled.header(), root_key_version)
    ciphertext = cipher.encrypt(nonce, secret.reveal(), additional_data)
    return SealedRecord(
        key_id=key_id,
        root_key_version=root_key_version,
        record_version=binding.record_version,
        record_id=record_id,
        nonce=nonce,
        commitment=commitment,
        ciphertext=ciphertext,
    )


def open_record(root_key: Secret, record: SealedRecord, binding: Binding) -> Secret | None:
    """Open a record for the place it was sealed for; None where anything differs."""
    purpose = binding.purpose.encode()
    commitment = derive(root_key, record.record_id, [_COMMITMENT_LABEL, purpose], COMMITMENT_LENGTH)
    if not hmac.compare_digest(commitment, record.commitment):
        return None
    key = Secret(derive(root_key, record.record_id, [_RECORD_KEY_LABEL, purpose]))
    additional_data = binding.additional_data(record.header(), record.root_key_version)
    return decrypt(key, record.nonce, record.ciphertext, additional_data)


def encrypt(key: Secret, nonce: bytes, plaintext: Secret, additional_data: bytes) -> bytes:
    """AES-256-GCM: the ciphertext with its 16 byte tag."""
    return AESGCM(key.reveal()).encrypt(nonce, plaintext.reveal(), additional_data)


def decrypt(key: Secret, nonce: bytes, ciphertext: bytes, additional_data: bytes) -> Secret | None:
    """AES-256-GCM: the plaintext, or None where the tag does not fit."""
    try:
        return Secret(AESGCM(key.reveal()).decrypt(nonce, ciphertext, additional_data))
    except InvalidTag:
        return None
