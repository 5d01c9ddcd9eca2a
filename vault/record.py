"""The sealed record, byte for byte. Knows the layout; knows no key.

    magic "ACPS" | format 1 | length of the key id, key id | root key version, 4 |
    record version, 8 | record id, 16 | nonce, 12 | commitment, 32 |
    length of the ciphertext, 4 | ciphertext with its 16 byte tag

Numbers are big-endian. The header, everything before the ciphertext's length, is part
of the additional data, so that no bit of a record can be changed unseen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from vault.binding import RECORD_VERSION_LIMIT
from vault.errors import UnsealError

MAGIC = b"ACPS"
FORMAT = 1
RECORD_ID_LENGTH = 16
NONCE_LENGTH = 12
"""96 bits, the length for which GCM needs no extra hashing (NIST SP 800-38D, 5.2.1.1)."""
COMMITMENT_LENGTH = 32
TAG_LENGTH = 16
SECRET_LIMIT = 65_536
"""Bytes of one secret: the largest are private keys with their chain, far below this."""
ROOT_KEY_VERSION_LIMIT = 2**31 - 1
"""The largest root key version: what an INTEGER column holds."""

_KEY_ID = re.compile(rb"[a-z0-9][a-z0-9._-]{0,63}")
_FIXED_LENGTH = 4 + 8 + RECORD_ID_LENGTH + NONCE_LENGTH + COMMITMENT_LENGTH + 4


def is_key_id(text: bytes) -> bool:
    """Whether this is a key id: 1 to 64 of a-z, 0-9, dot, underscore, hyphen."""
    return _KEY_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A sealed secret. ``key_id`` is the KEK in use when it was sealed, for the reader."""

    key_id: str
    root_key_version: int
    record_version: int
    record_id: bytes
    nonce: bytes
    commitment: bytes
    ciphertext: bytes = field(repr=False)

    def header(self) -> bytes:
        """All but the ciphertext and its length."""
        key_id = self.key_id.encode("ascii")
        return b"".join(
            (
                MAGIC,
                bytes((FORMAT, len(key_id))),
                key_id,
                self.root_key_version.to_bytes(4, "big"),
                self.record_version.to_bytes(8, "big"),
                self.record_id,
                self.nonce,
                self.commitment,
            )
        )

    def to_bytes(self) -> bytes:
        """The record as it is stored."""
        return self.header() + len(self.ciphertext).to_bytes(4, "big") + self.ciphertext

    @classmethod
    def from_bytes(cls, data: bytes) -> SealedRecord:
        """Read a record strictly. Raises UnsealError for anything but exactly one."""
        if len(data) < 6 or data[:4] != MAGIC:
            raise UnsealError("the sealed record is malformed: it does not start as one")
        if data[4] != FORMAT:
            raise UnsealError("the sealed record has a format that is not known here")
        at = 6 + data[5]
        key_id = data[6:at]
        if not is_key_id(key_id):
            raise UnsealError("the sealed record is malformed: its key id is not one")
        if len(data) < at + _FIXED_LENGTH:
            raise UnsealError("the sealed record is malformed: it is cut short")
        root_key_version = int.from_bytes(data[at : at + 4], "big")
        record_version = int.from_bytes(data[at + 4 : at + 12], "big")
        if not 1 <= root_key_version <= ROOT_KEY_VERSION_LIMIT:
            raise UnsealError("the sealed record is malformed: no such root key version")
        if not 1 <= record_version <= RECORD_VERSION_LIMIT:
            raise UnsealError("the sealed record is malformed: no such record version")
        at += 12
        record_id = data[at : at + RECORD_ID_LENGTH]
        at += RECORD_ID_LENGTH
        nonce = data[at : at + NONCE_LENGTH]
        at += NONCE_LENGTH
        commitment = data[at : at + COMMITMENT_LENGTH]
        at += COMMITMENT_LENGTH
        length = int.from_bytes(data[at : at + 4], "big")
        at += 4
        if not TAG_LENGTH <= length <= SECRET_LIMIT + TAG_LENGTH:
            raise UnsealError("the sealed record is malformed: its length is out of bounds")
        if len(data) != at + length:
            raise UnsealError("the sealed record is malformed: its length does not fit")
        return cls(
            key_id=key_id.decode("ascii"),
            root_key_version=root_key_version,
            record_version=record_version,
            record_id=record_id,
            nonce=nonce,
            commitment=commitment,
            ciphertext=data[at:],
        )
