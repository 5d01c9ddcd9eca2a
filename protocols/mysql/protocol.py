"""MySQL as the gateway sees it: ``WireProtocol``, each method one line of wiring."""

from __future__ import annotations

from protocols.channel import Channel
from protocols.errors import Refusal, UpstreamRefused
from protocols.interface import (
    Arrival,
    CancelArrival,
    ClientLeg,
    Derive,
    Entropy,
    Kill,
    ScanLimits,
    SessionKey,
    Upstream,
    UpstreamLogin,
)
from protocols.mysql.accept import MysqlClientLeg
from protocols.mysql.arrive import VERSION
from protocols.mysql.cancel import cancel
from protocols.mysql.connect import connect
from protocols.mysql.crypto import Crypto
from protocols.mysql.explain import explain
from protocols.mysql.framing import frame
from protocols.mysql.messages import UpstreamSettings
from protocols.mysql.refuse import refusal_payload
from protocols.mysql.scan import MysqlScanner
from protocols.scanner import Scanner
from protocols.statements import StatementSink

DEFAULT_SERVER_VERSION = "8.0.36-accode-proxy"
"""What the greeting advertises. Drivers switch features on by it: this one is new enough
that none asks for variables removed in 8.0 (query_cache_size, tx_isolation), and old
enough to be known to all."""


class MySQL:
    """MySQL's client/server protocol, version 10, for MySQL and MariaDB."""

    name = "mysql"
    engine = "mysql"
    schemes: tuple[str, ...] = ("mysql", "mariadb")
    default_port = 6433
    source_port = 3306
    alpn: str | None = None
    upstream_version = VERSION
    default_schema = ""
    cancels_as_user = True

    def __init__(
        self,
        crypto: Crypto,
        *,
        server_version: str = DEFAULT_SERVER_VERSION,
        local_infile: bool = False,
    ) -> None:
        self._crypto = crypto
        self._server_version = server_version
        self._local_infile = local_infile

    def client_leg(self, key: SessionKey, entropy: Entropy) -> ClientLeg:
        """See ``WireProtocol.client_leg``."""
        return MysqlClientLeg(key, entropy, self._crypto, self._server_version, self._local_infile)

    async def connect(
        self, channel: Channel, login: UpstreamLogin, derive: Derive, entropy: Entropy
    ) -> Upstream:
        """See ``WireProtocol.connect``."""
        return await connect(channel, login, self._crypto, entropy)

    async def cancel(self, channel: Channel, upstream: Upstream, require_tls: bool) -> None:
        """See ``WireProtocol.cancel``: KILL QUERY."""
        await cancel(channel, upstream)

    def match_cancel(
        self, arrival: CancelArrival, key: SessionKey, version: tuple[int, int]
    ) -> bool:
        """Never: MySQL's clients stop statements by number, from a session of their own."""
        return False

    def cancel_number(self, arrival: CancelArrival) -> int:
        """See ``match_cancel``."""
        return 0

    def scanner(
        self,
        arrival: Arrival,
        upstream: Upstream,
        sink: StatementSink,
        limits: ScanLimits,
        kill: Kill,
    ) -> Scanner:
        """See ``WireProtocol.scanner``."""
        settings: UpstreamSettings = upstream.detail
        return MysqlScanner(
            sink,
            limits,
            kill,
            capabilities=settings.capabilities,
            is_mariadb=settings.is_mariadb,
            local_infile=self._local_infile,
            status=settings.status,
        )

    def refusal(self, refusal: Refusal) -> bytes:
        """See ``WireProtocol.refusal``: an ERR in the greeting's place."""
        return frame(refusal_payload(refusal, has_sqlstate=False), 0)

    def explain(self, error: UpstreamRefused) -> Refusal:
        """See ``WireProtocol.explain``."""
        return explain(error)
