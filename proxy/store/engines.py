"""The engines a source may have, and the authentication methods of each.

The words are the wire protocol's own: what a server may ask of us for the stored
password. Whoever adds a protocol adds an entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from protocols.roles import TargetSession


@dataclass(frozen=True, slots=True)
class Engine:
    """``password``: methods that use a stored password. ``default``: what is allowed where
    nothing is chosen. ``cleartext``: the one that sends the password as it is.
    ``has_server_key``: whether a server's RSA key can be pinned. ``has_direct_tls``:
    whether TLS can be spoken without asking for it. ``compression``: what a session with it
    can be compressed with. ``targets``: what of a server's role can be asked for.
    ``has_transaction_pooling``: whether what a transaction leaves in
    its session is known well enough.
    """

    password: frozenset[str]
    default: frozenset[str]
    cleartext: str
    has_server_key: bool
    has_direct_tls: bool
    targets: frozenset[TargetSession]
    compression: frozenset[str] = frozenset()
    has_transaction_pooling: bool = False

    @property
    def methods(self) -> frozenset[str]:
        """All methods; ``cert`` and ``trust`` need no password."""
        return self.password | {"cert", "trust"}


ENGINES: dict[str, Engine] = {
    # md5 sends a fast hash over a 4 byte salt that the server chooses, and PostgreSQL 18
    # deprecates it; it and cleartext are chosen by name.
    "postgresql": Engine(
        password=frozenset({"scram-sha-256-plus", "scram-sha-256", "md5", "cleartext"}),
        default=frozenset({"scram-sha-256-plus", "scram-sha-256"}),
        cleartext="cleartext",
        has_server_key=False,
        has_direct_tls=True,
        targets=frozenset(get_args(TargetSession)),
        has_transaction_pooling=True,
    ),
    # The whole password leaves by caching_sha2_password and sha256_password only inside
    # verified TLS or for a pinned key; mysql_native_password is what MariaDB's users have.
    "mysql": Engine(
        password=frozenset(
            {
                "caching_sha2_password",
                "mysql_native_password",
                "sha256_password",
                "client_ed25519",
                "parsec",
                "mysql_clear_password",
            }
        ),
        default=frozenset(
            {
                "caching_sha2_password",
                "mysql_native_password",
                "sha256_password",
                "client_ed25519",
                "parsec",
            }
        ),
        cleartext="mysql_clear_password",
        has_server_key=True,
        has_direct_tls=False,
        targets=frozenset({"any", "read-write", "read-only"}),
        compression=frozenset({"zlib", "zstd"}),
    ),
}
