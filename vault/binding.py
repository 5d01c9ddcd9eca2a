"""What a sealed secret is bound to: its place and its destination.

Knows how names become unambiguous bytes. Knows no key and no secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

FIELD_LIMIT = 65_536
"""Bytes of one bound text: a source's CA bundle may be part of its TLS identity."""

RECORD_VERSION_LIMIT = 2**63 - 1
"""The largest record version: what a BIGINT column holds."""

_DESTINATION_LABEL = b"accode-proxy destination 1"
_DESTINATIONS_LABEL = b"accode-proxy destination 2"
_BINDING_LABEL = b"accode-proxy sealed record 1"


def encode_fields(fields: Sequence[bytes]) -> bytes:
    """The count and each field behind its length (4 bytes each, big-endian).

    No two different sequences give the same bytes. Raises ValueError for a field of
    more than FIELD_LIMIT bytes.
    """
    parts = [len(fields).to_bytes(4, "big")]
    for field in fields:
        if len(field) > FIELD_LIMIT:
            raise ValueError(f"a bound field is longer than {FIELD_LIMIT} bytes")
        parts.append(len(field).to_bytes(4, "big"))
        parts.append(field)
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a credential may be used, exactly as it is stored: nothing is normalized.

    ``tls_identity`` names everything by which the server is recognized (mode, server
    name, CA, pins); ``tunnel`` the way to it, or "". ``others`` are further hosts with their
    ports, in order, each of which may get it. Raises ValueError for a port outside 1 to 65535.
    """

    engine: str
    host: str
    port: int
    username: str
    tls_identity: str = ""
    tunnel: str = ""
    others: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if not all(1 <= port <= 65_535 for port in (self.port, *(port for _, port in self.others))):
            raise ValueError("a destination's port is between 1 and 65535")

    def digest(self) -> bytes:
        """SHA-256 over the length-prefixed fields, 32 bytes."""
        fields = [
            # What is sealed to one host keeps its digest: it was made before there were more.
            _DESTINATIONS_LABEL if self.others else _DESTINATION_LABEL,
            self.engine.encode(),
            self.host.encode(),
            self.port.to_bytes(2, "big"),
            self.username.encode(),
            self.tls_identity.encode(),
            self.tunnel.encode(),
        ]
        for host, port in self.others:
            fields += [host.encode(), port.to_bytes(2, "big")]
        return hashlib.sha256(encode_fields(fields)).digest()


@dataclass(frozen=True, slots=True)
class Binding:
    """The place of one sealed secret: whose it is, what for, which version of it.

    ``purpose`` is the use (``upstream-login``), ``field`` the part (``password``,
    ``client-key``). ``destination`` None: the secret is sent nowhere. Raises
    ValueError for a record version outside 1 to RECORD_VERSION_LIMIT.
    """

    purpose: str
    workspace_id: str
    source_id: str
    field: str
    record_version: int
    destination: Destination | None

    def __post_init__(self) -> None:
        if not 1 <= self.record_version <= RECORD_VERSION_LIMIT:
            raise ValueError("a record version is between 1 and 2**63 - 1")

    def additional_data(self, header: bytes, root_key_version: int) -> bytes:
        """The additional data of AES-GCM: the record's own header and all of the above."""
        # No destination is an empty field; a digest is never empty, so the two differ.
        destination = self.destination.digest() if self.destination is not None else b""
        return encode_fields(
            [
                _BINDING_LABEL,
                header,
                self.purpose.encode(),
                self.workspace_id.encode(),
                self.source_id.encode(),
                self.field.encode(),
                self.record_version.to_bytes(8, "big"),
                root_key_version.to_bytes(4, "big"),
                destination,
            ]
        )
