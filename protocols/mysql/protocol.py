"""MySQL as the gateway sees it: ``WireProtocol``, each method one line of wiring."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial

from protocols.channel import Channel
from protocols.errors import PeerViolation, Refusal, UpstreamRefused
from protocols.interface import (
    Arrival,
    CancelArrival,
    ClientLeg,
    Derive,
    Entropy,
    Kill,
    ScanLimits,
    SessionKey,
    SessionRules,
    Sharing,
    Upstream,
    UpstreamLogin,
    Wrapping,
)
from protocols.metering import ResultMeter
from protocols.mysql.accept import MysqlClientLeg
from protocols.mysql.arrive import VERSION
from protocols.mysql.cancel import cancel
from protocols.mysql.capabilities import LOCAL_FILES, SESSION_WIDE
from protocols.mysql.commands import QUIT
from protocols.mysql.compressed import ClientWrapping, SourceWrapping, converse
from protocols.mysql.compression import Algorithm, Zlib
from protocols.mysql.connect import connect
from protocols.mysql.crypto import Crypto
from protocols.mysql.explain import explain
from protocols.mysql.framing import frame
from protocols.mysql.messages import ClientSettings, UpstreamSettings
from protocols.mysql.refuse import refusal_payload
from protocols.mysql.reset import reset
from protocols.mysql.scan import MysqlScanner
from protocols.scanner import Scanner
from protocols.statements import StatementSink

DEFAULT_SERVER_VERSION = "8.0.36-accode-proxy"
"""What the greeting advertises. Drivers switch features on by it: this one is new enough
that none asks for variables removed in 8.0 (query_cache_size, tx_isolation), and old
enough to be known to all."""


class MySQL:
    """MySQL's client/server protocol, version 10, for MySQL and MariaDB.

    ``compression``: the algorithms that clients are offered. ``zstd``: how that one is done;
    None: it is known on neither leg.
    """

    name = "mysql"
    engine = "mysql"
    schemes: tuple[str, ...] = ("mysql", "mariadb")
    default_port = 6433
    source_port = 3306
    alpn: str | None = None
    upstream_version = VERSION
    default_schema = ""
    cancels_as_user = True
    goodbye = QUIT

    def __init__(
        self,
        crypto: Crypto,
        *,
        server_version: str = DEFAULT_SERVER_VERSION,
        local_infile: bool = False,
        compression: tuple[str, ...] = (),
        zstd: Algorithm | None = None,
    ) -> None:
        self._crypto = crypto
        self._compression = compression
        self._algorithms: dict[str, Algorithm] = {"zlib": Zlib()}
        if zstd is not None:
            self._algorithms["zstd"] = zstd
        self._server_version = server_version
        self._local_infile = local_infile

    sharing: Sharing | None = None

    def client_leg(self, key: SessionKey, entropy: Entropy) -> ClientLeg:
        """See ``WireProtocol.client_leg``."""
        return MysqlClientLeg(
            key,
            entropy,
            self._crypto,
            self._server_version,
            self._local_infile,
            self._compression,
        )

    async def connect(
        self, channel: Channel, login: UpstreamLogin, derive: Derive, entropy: Entropy
    ) -> Upstream:
        """See ``WireProtocol.connect``."""
        return await connect(channel, login, self._crypto, entropy, self._algorithms)

    async def knock(self, channel: Channel, *, is_tls_direct: bool) -> None:
        """See ``WireProtocol.knock``: the server speaks first."""
        await channel.read_exactly(1)

    def session_settings(self, arrival: Arrival) -> Hashable:
        """See ``WireProtocol.session_settings``: what the login's first packet says."""
        wanted: ClientSettings = arrival.detail
        return (
            wanted.capabilities & SESSION_WIDE,
            wanted.collation,
            wanted.max_packet,
            arrival.parameters.get("database", ""),
        )

    async def reset(
        self,
        channel: Channel,
        upstream: Upstream,
        arrival: Arrival,
        rules: SessionRules | None,
        entropy: Entropy,
        *,
        is_in_transaction: bool,
    ) -> Upstream:
        """See ``WireProtocol.reset``: COM_RESET_CONNECTION, which also rolls back."""
        wanted: ClientSettings = arrival.detail
        upstream = await reset(channel, upstream, rules, wanted.collation)
        if channel.has_unread():
            raise PeerViolation("the server said more than it was asked")
        return upstream

    async def cancel(self, channel: Channel, upstream: Upstream, require_tls: bool) -> None:
        """See ``WireProtocol.cancel``: KILL QUERY."""
        settings: UpstreamSettings = upstream.detail
        algorithm = self._algorithms.get(settings.compression)
        await converse(channel, algorithm, partial(cancel, upstream=upstream))

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
        meter: ResultMeter | None = None,
    ) -> Scanner:
        """See ``WireProtocol.scanner``."""
        wanted: ClientSettings = arrival.detail
        settings: UpstreamSettings = upstream.detail
        return MysqlScanner(
            sink,
            limits,
            kill,
            capabilities=settings.capabilities,
            is_mariadb=settings.is_mariadb,
            # Else the client has not said that it sends files.
            local_infile=self._local_infile and bool(settings.capabilities & LOCAL_FILES),
            status=settings.status,
            is_client_compressed=bool(wanted.compression),
            is_server_compressed=bool(settings.compression),
            meter=meter,
        )

    def wrappings(
        self, arrival: Arrival, upstream: Upstream, scanner: Scanner
    ) -> tuple[Wrapping | None, Wrapping | None]:
        """See ``WireProtocol.wrappings``: compression, as each leg has agreed on its own."""
        assert isinstance(scanner, MysqlScanner), "the scanner is of this protocol"
        wanted: ClientSettings = arrival.detail
        settings: UpstreamSettings = upstream.detail
        ours = self._algorithms.get(wanted.compression)
        theirs = self._algorithms.get(settings.compression)
        return (
            None if ours is None else ClientWrapping(ours, scanner),
            None if theirs is None else SourceWrapping(theirs, scanner),
        )

    def refusal(self, refusal: Refusal) -> bytes:
        """See ``WireProtocol.refusal``: an ERR in the greeting's place."""
        return frame(refusal_payload(refusal, has_sqlstate=False), 0)

    def explain(self, error: UpstreamRefused) -> Refusal:
        """See ``WireProtocol.explain``."""
        return explain(error)
