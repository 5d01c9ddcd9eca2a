"""Who holds the key encryption key (KEK), as an interface, and what it wraps.

Knows neither files nor networks: ``keyfile`` is one provider, a key management service
can be another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from vault.binding import encode_fields
from vault.errors import UnsealError
from vault.record import ROOT_KEY_VERSION_LIMIT, is_key_id
from vault.secret import Secret

MAGIC = b"ACPR"
FORMAT = 1
WRAPPED_LIMIT = 1_024
"""Bytes of a wrapped root key: the local file needs under 200, services a few hundred."""
WORKSPACE_ID_LIMIT = 255

_CONTEXT_LABEL = b"accode-proxy root key 1"


class KeyProvider(Protocol):
    """Wraps root keys under a KEK that it never shows.

    ``context`` is bound to the wrapped bytes: unwrapping under another one fails.
    """

    @property
    def key_id(self) -> str:
        """The id of the KEK that wraps now: 1 to 64 of a-z, 0-9, dot, underscore, hyphen."""
        ...

    def wrap(self, plaintext: Secret, context: bytes) -> bytes:
        """Wrap under the current KEK. Raises KeyProviderError."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> Secret:
        """Unwrap what any KEK still held has wrapped. Raises KeyProviderError."""
        ...

    def derive_key(self, purpose: str) -> Secret:
        """32 bytes for a purpose, the same for ever: rotating the KEK does not change them."""
        ...


@dataclass(frozen=True, slots=True)
class WrappedRootKey:
    """A workspace's root key as it is stored: of no use without the key provider.

    ``key_id`` is the KEK that wrapped it. Raises ValueError for values out of bounds.
    """

    workspace_id: str
    version: int
    key_id: str
    wrapped: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.workspace_id.encode()) <= WORKSPACE_ID_LIMIT:
            raise ValueError(f"a workspace id has 1 to {WORKSPACE_ID_LIMIT} bytes")
        if not 1 <= self.version <= ROOT_KEY_VERSION_LIMIT:
            raise ValueError("a root key version is between 1 and 2**31 - 1")
        if not is_key_id(self.key_id.encode()):
            raise ValueError("the root key's key id is not one")
        if not 1 <= len(self.wrapped) <= WRAPPED_LIMIT:
            raise ValueError(f"a wrapped root key has 1 to {WRAPPED_LIMIT} bytes")

    @property
    def context(self) -> bytes:
        """What the wrapping is bound to: the workspace and the version."""
        return root_key_context(self.workspace_id, self.version)

    def to_bytes(self) -> bytes:
        """One value for a store: magic "ACPR", format 1, then the fields by length."""
        fields = [
            self.workspace_id.encode(),
            self.version.to_bytes(4, "big"),
            self.key_id.encode(),
            self.wrapped,
        ]
        return MAGIC + bytes((FORMAT,)) + encode_fields(fields)

    @classmethod
    def from_bytes(cls, data: bytes) -> WrappedRootKey:
        """Read one strictly. Raises UnsealError for anything but exactly one."""
        # 5 of magic and format, 4 of the count, 4 before each of the four fields.
        if len(data) < 25 or data[:9] != MAGIC + bytes((FORMAT, 0, 0, 0, 4)):
            raise UnsealError("the wrapped root key is malformed: it does not start as one")
        at = 9
        fields: list[bytes] = []
        for _ in range(4):
            length = int.from_bytes(data[at : at + 4], "big")
            at += 4
            if length > WRAPPED_LIMIT or at + length > len(data):
                raise UnsealError("the wrapped root key is malformed: a length does not fit")
            fields.append(data[at : at + length])
            at += length
        if at != len(data) or len(fields[1]) != 4:
            raise UnsealError("the wrapped root key is malformed: a length does not fit")
        try:
            return cls(
                workspace_id=fields[0].decode(),
                version=int.from_bytes(fields[1], "big"),
                key_id=fields[2].decode("ascii"),
                wrapped=fields[3],
            )
        except ValueError:
            raise UnsealError("the wrapped root key is malformed: a field is not one") from None


def root_key_context(workspace_id: str, version: int) -> bytes:
    """The context under which a workspace's root key of a version is wrapped."""
    return encode_fields([_CONTEXT_LABEL, workspace_id.encode(), version.to_bytes(4, "big")])
