"""A data source as the command line shows it: never its secrets."""

from __future__ import annotations

from dataclasses import asdict

from proxy.store import PoolSettings, Source


def display_hosts(entry: Source) -> str:
    """All hosts, as a DSN names them."""
    return ",".join(str(one) for one in entry.endpoints)


def display_pooling(settings: PoolSettings) -> str:
    """As a person reads it."""
    if settings.mode == "off":
        return "off"
    return (
        f"{settings.mode}, {settings.minimum} to {settings.maximum} connections,"
        f" idle {settings.idle_seconds:g} s, life {settings.life_seconds:g} s,"
        f" queue {settings.queue_seconds:g} s"
    )


def source_value(entry: Source) -> dict[str, object]:
    """A source in JSON: whether secrets are stored, never the secrets."""
    tls = entry.tls
    return {
        "name": entry.name,
        "id": entry.id,
        "engine": entry.engine,
        "host": entry.host,
        "port": entry.port,
        "hosts": [{"host": one.host, "port": one.port} for one in entry.endpoints],
        "target_session_attrs": entry.failover.target_session_attrs,
        "load_balance_hosts": entry.failover.load_balance_hosts,
        "database": entry.database,
        "username": entry.username,
        "auth_methods": entry.auth_methods,
        "compression": entry.compression or None,
        "pooling": asdict(entry.pooling),
        "tls": {
            "mode": tls.mode,
            "profile": tls.profile,
            "server_name": tls.server_name,
            "has_own_ca": tls.ca_pem is not None,
            "has_crl": tls.crl_pem is not None,
            "negotiation": tls.negotiation,
            "has_client_certificate": tls.client_cert_pem is not None,
            "pins": list(tls.pins),
            "owner": tls.owner,
            "reason": tls.reason,
            "expires_at": tls.expires_at,
        },
        "has_password": entry.has_secret("password"),
        "has_client_key": entry.has_secret("client_key"),
        "version": entry.version,
    }
