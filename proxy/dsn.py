"""What a user pastes into a driver. Knows the listeners, no source."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from urllib.parse import quote

from proxy.config import ListenerConfig

SCHEMES = {"postgres": "postgresql", "mysql": "mysql"}
"""A listener's protocol as a DSN's scheme, which is also its sources' engine."""


def dsn(
    listener: ListenerConfig,
    workspace: str,
    token: str,
    source: str,
    *,
    port: int | None = None,
) -> str:
    """A DSN for one source. ``port`` is the real one where the listener's is 0."""
    host = _reachable(listener.host)
    # The password goes over TLS wherever there is any; libpq's default would try plaintext.
    # MySQL's drivers share no word for it, and their token never crosses the wire as it is.
    has_mode = listener.tls_certificate is not None and listener.protocol == "postgres"
    mode = "?sslmode=require" if has_mode else ""
    return (
        f"{SCHEMES[listener.protocol]}://{quote(workspace)}:{quote(token)}@{host}:"
        f"{port or listener.port}/{quote(source)}{mode}"
    )


def _reachable(host: str) -> str:
    """The host to dial for a listener: an unspecified address is no destination."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.is_unspecified:
        return socket.gethostname()
    return f"[{host}]" if address.version == 6 else host
