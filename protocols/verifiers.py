"""What is kept of a workspace's tokens: enough to check a login, not to make one.

All tokens of a workspace share one SCRAM salt and iteration count, so that one
login can be checked against each of its live tokens (RFC 5802 sends the salt before
the client proves anything).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenVerifier:
    """One token's verifiers. ``token_id`` names it in the audit log.

    ``stored_key`` and ``server_key`` are RFC 5802's, 32 bytes each.
    ``sha256_sha256`` is SHA-256(SHA-256(token)) for caching_sha2_password;
    ``sha1_sha1`` is SHA-1(SHA-1(token)) for mysql_native_password.
    """

    token_id: str
    stored_key: bytes
    server_key: bytes
    sha256_sha256: bytes
    sha1_sha1: bytes


@dataclass(frozen=True, slots=True)
class TokenVerifiers:
    """What one login is checked against. Unknown workspaces get a stable fake.

    A fake has ``is_real`` False and at least one entry that no token matches, so the
    same work is done for it.
    """

    salt: bytes
    iterations: int
    entries: tuple[TokenVerifier, ...]
    is_real: bool = True
