"""What a listener speaks, and with which certificate.

Each protocol is named here once, for the whole proxy.
"""

from __future__ import annotations

from collections.abc import Callable

from protocols.interface import WireProtocol
from protocols.mysql.protocol import DEFAULT_SERVER_VERSION, MySQL
from protocols.postgres import PROTOCOL as POSTGRES
from proxy.config import ListenerConfig
from proxy.gateway.crypto import ThreadedCrypto
from proxy.gateway.rooms import Door
from proxy.gateway.tls import NoTls, ServerTls
from proxy.gateway.zstd import Zstd


def _postgres(config: ListenerConfig, crypto: ThreadedCrypto) -> WireProtocol:
    return POSTGRES


def _mysql(config: ListenerConfig, crypto: ThreadedCrypto) -> WireProtocol:
    return MySQL(
        crypto,
        server_version=config.server_version or DEFAULT_SERVER_VERSION,
        local_infile=config.local_infile,
        compression=config.compression,
        zstd=Zstd(),
    )


PROTOCOLS: dict[str, Callable[[ListenerConfig, ThreadedCrypto], WireProtocol]] = {
    "postgres": _postgres,
    "mysql": _mysql,
}
"""The protocols a listener can be told to speak."""


def door_of(config: ListenerConfig, crypto: ThreadedCrypto) -> Door:
    """A listener's protocol and TLS, as configured. Raises TlsError."""
    protocol = PROTOCOLS[config.protocol](config, crypto)
    if config.tls_certificate is None or config.tls_key is None:
        return Door(protocol, config, NoTls())
    tls = ServerTls(config.tls_certificate, config.tls_key, config.tls_profile, protocol.alpn)
    return Door(protocol, config, tls)
