"""What a workspace, a token and a source may be. Knows no database and no network.

Everything is checked here before it is stored, and each refusal names its field. The
names that appear in a DSN have one strict grammar; the rest is bounded, printable text.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import get_args

from proxy.store.engines import ENGINES
from proxy.store.errors import InvalidName, InvalidSetting
from proxy.store.failover import check as check_failover
from proxy.store.pooling import check as check_pooling
from proxy.store.records import CredentialField, Source
from proxy.store.tls import check_tls

NAME_GRAMMAR = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""63 bytes: what PostgreSQL keeps of a user or database name (NAMEDATALEN - 1)."""

TEXT_LIMIT = 128
"""Characters of a label or a person's name: one line in a list."""

UPSTREAM_NAME_LIMIT = 128
"""Bytes of a user or database name: PostgreSQL keeps 63, MySQL 32 and 64 characters."""

ITERATIONS_LIMIT = 100_000
"""The most SCRAM rounds we let anyone ask of us or of a client."""

TOKEN_LIFETIME_LIMIT = timedelta(days=3660)
"""Ten years: more is a mistyped date."""


def is_name(name: str) -> bool:
    """Whether this could be the name of a workspace or a source."""
    return NAME_GRAMMAR.fullmatch(name) is not None


def check_name(name: str, field: str = "name") -> None:
    """Raises InvalidName."""
    if not is_name(name):
        raise InvalidName(
            field,
            "use 1 to 63 of a-z, 0-9, underscore and hyphen, beginning with a letter or digit",
        )


def check_iterations(iterations: int) -> None:
    """Raises InvalidSetting."""
    if not 1 <= iterations <= ITERATIONS_LIMIT:
        raise InvalidSetting("scram_iterations", f"use a number from 1 to {ITERATIONS_LIMIT}")


def check_text(text: str, field: str, limit: int = TEXT_LIMIT) -> None:
    """One line of printable text, not empty. Raises InvalidSetting."""
    if not 1 <= len(text) <= limit or not text.isprintable() or text != text.strip():
        raise InvalidSetting(
            field, f"use 1 to {limit} printable characters, with no space at either end"
        )


def check_expiry(expires_at: datetime | None, now: datetime) -> None:
    """A token's end, if it has one: a moment with a time zone, ahead. Raises InvalidSetting."""
    if expires_at is None:
        return
    if expires_at.tzinfo is None:
        raise InvalidSetting("expires_at", "give the time zone with the time")
    if expires_at <= now:
        raise InvalidSetting("expires_at", "the time is already over")
    if expires_at > now + TOKEN_LIFETIME_LIMIT:
        raise InvalidSetting("expires_at", "the time is more than ten years ahead")


def check_source(source: Source, now: datetime) -> None:
    """Everything about a source that does not depend on its secrets. Raises InvalidSetting."""
    check_name(source.name)
    if source.engine not in ENGINES:
        raise InvalidSetting("engine", f"only {', '.join(sorted(ENGINES))} is known")
    check_failover(source.endpoints, source.failover, ENGINES[source.engine].targets)
    _check_upstream_name(source.database, "database")
    _check_upstream_name(source.username, "username")
    check_tls(source.tls, now)
    if source.tls.server_key_pem is not None and not ENGINES[source.engine].has_server_key:
        raise InvalidSetting("tls.server_key", f"{source.engine} has no use for a server key")
    _check_compression(source)
    _check_pooling(source)
    if source.tls.negotiation == "direct" and not ENGINES[source.engine].has_direct_tls:
        raise InvalidSetting("tls.negotiation", f"{source.engine} servers expect to be asked")
    _check_methods(source)


def check_secrets(source: Source, secrets: frozenset[CredentialField]) -> None:
    """Whether the source can log in with exactly these secrets. Raises InvalidSetting."""
    if not secrets <= set(get_args(CredentialField)):
        raise InvalidSetting("credential", "only a password and a client key are known")
    methods = source.auth_methods
    if "password" in secrets and not methods & ENGINES[source.engine].password:
        raise InvalidSetting("password", "no authentication method of this source uses a password")
    if "trust" in methods and secrets:
        raise InvalidSetting("auth_methods", "trust is only for a source that stores no secret")
    if "password" not in secrets and not methods & {"trust", "cert"}:
        raise InvalidSetting("password", "the authentication methods of this source need one")
    if ("client_key" in secrets) != (source.tls.client_cert_pem is not None):
        raise InvalidSetting("client_key", "a client certificate and its private key go together")


def _check_upstream_name(name: str, field: str) -> None:
    # A NUL would end the name early on the wire; other control characters are refused
    # with it because no database is named so.
    if not 1 <= len(name.encode()) <= UPSTREAM_NAME_LIMIT or not name.isprintable():
        raise InvalidSetting(field, f"use 1 to {UPSTREAM_NAME_LIMIT} bytes of printable text")


def _check_compression(source: Source) -> None:
    known = ENGINES[source.engine].compression
    if source.compression and not known:
        raise InvalidSetting("compression", f"{source.engine} knows none")
    if source.compression and source.compression not in known:
        raise InvalidSetting("compression", f"use one of {', '.join(sorted(known))}")


def _check_pooling(source: Source) -> None:
    check_pooling(source.pooling)
    if source.compression and source.pooling.mode != "off":
        # The two ends of a compressed connection count packets across its commands.
        raise InvalidSetting("pooling", "a compressed connection is not pooled")
    if source.pooling.mode == "transaction" and not ENGINES[source.engine].has_transaction_pooling:
        raise InvalidSetting("pooling", f"{source.engine} is not pooled by transaction")
    if source.pooling.mode == "transaction" and source.failover.asks_role:
        # A kept connection is asked for its server's role again; between transactions nobody is.
        raise InvalidSetting(
            "pooling", "a source that asks for its server's role is not pooled by transaction"
        )


def _check_methods(source: Source) -> None:
    methods, engine = source.auth_methods, ENGINES[source.engine]
    if not methods or methods - engine.methods:
        raise InvalidSetting("auth_methods", f"use some of {', '.join(sorted(engine.methods))}")
    if engine.cleartext in methods and not source.tls.is_verified:
        raise InvalidSetting(
            "auth_methods", f"{engine.cleartext} needs TLS mode verify-ca or verify-full"
        )
    if "scram-sha-256-plus" in methods and methods == {"scram-sha-256-plus"}:
        if source.tls.mode == "disable":
            raise InvalidSetting("auth_methods", "scram-sha-256-plus needs TLS")
    if "cert" in methods and source.tls.client_cert_pem is None:
        raise InvalidSetting("auth_methods", "cert needs a client certificate")
    if "trust" in methods and methods != {"trust"}:
        raise InvalidSetting("auth_methods", "trust stands alone")
