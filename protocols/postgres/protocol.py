"""PostgreSQL as the gateway sees it: ``WireProtocol``, each method one line of wiring."""

from __future__ import annotations

from collections.abc import Callable, Hashable

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
    SessionRules,
    Sharing,
    Upstream,
    UpstreamLogin,
    Wrapping,
)
from protocols.metering import ResultMeter
from protocols.postgres.accept import authenticate, greet, welcome
from protocols.postgres.bounded import BoundedScanner
from protocols.postgres.cancel import cancel, cancel_number, match_cancel
from protocols.postgres.connect import connect
from protocols.postgres.direct_tls import ALPN
from protocols.postgres.encrypt import knock
from protocols.postgres.explain import explain
from protocols.postgres.messages import Terminate
from protocols.postgres.pooled import ServerMemory, Texts
from protocols.postgres.refuse import refusal_message
from protocols.postgres.reset import reset
from protocols.postgres.role import check_role
from protocols.postgres.scan import PostgresScanner
from protocols.postgres.shared_scan import SharedScanner
from protocols.remains import Remains
from protocols.scanner import Scanner
from protocols.statements import StatementSink
from protocols.verifiers import TokenVerifiers


class PostgresClientLeg:
    """PostgreSQL's server side for one client: nothing to remember but its key."""

    def __init__(self, key: SessionKey) -> None:
        self._key = key

    async def greet(self, channel: Channel) -> Arrival | CancelArrival:
        """See ``ClientLeg.greet``."""
        return await greet(channel)

    async def authenticate(
        self, channel: Channel, arrival: Arrival, verifiers: TokenVerifiers, entropy: Entropy
    ) -> str | None:
        """See ``ClientLeg.authenticate``: SCRAM-SHA-256 and SCRAM-SHA-256-PLUS."""
        return await authenticate(channel, arrival, verifiers, entropy)

    def welcome(self, arrival: Arrival, upstream: Upstream) -> bytes:
        """See ``ClientLeg.welcome``."""
        return welcome(arrival, upstream, self._key)

    def refusal(self, refusal: Refusal) -> bytes:
        """See ``ClientLeg.refusal``: a fatal ErrorResponse."""
        return refusal_message(refusal)


class PostgresSharing:
    """See ``Sharing``: each text has one name at all servers of a pool."""

    def texts(self) -> Texts:
        """See ``Sharing.texts``."""
        return Texts()

    def memory(self, upstream: Upstream, texts: object) -> ServerMemory:
        """See ``Sharing.memory``."""
        assert isinstance(texts, Texts), "texts() makes them"
        return ServerMemory(texts.one_of(upstream.detail.parameters))

    def scanner(
        self,
        upstream: Upstream,
        sink: StatementSink,
        limits: ScanLimits,
        texts: object,
        remains: Remains,
        on_pin: Callable[[str], None],
        on_reset: Callable[[], None],
        meter: ResultMeter | None = None,
    ) -> Scanner:
        """See ``Sharing.scanner``."""
        assert isinstance(texts, Texts), "texts() makes them"
        told = texts.one_of(upstream.detail.parameters)
        scanner = SharedScanner(sink, limits, texts, remains, told, on_pin, on_reset)
        return scanner if meter is None else BoundedScanner(scanner, meter)


class Postgres:
    """PostgreSQL's frontend/backend protocol, 3.0 and 3.2."""

    name = "postgres"
    engine = "postgresql"
    schemes: tuple[str, ...] = ("postgresql", "postgres")
    default_port = 6432
    source_port = 5432
    alpn: str | None = ALPN.decode("ascii")
    # Every server takes 3.0; 3.2 adds only longer cancel keys.
    upstream_version = (3, 0)
    default_schema = "public"
    cancels_as_user = False
    goodbye = Terminate().encode()
    sharing: Sharing | None = PostgresSharing()

    def client_leg(self, key: SessionKey, entropy: Entropy) -> ClientLeg:
        """See ``WireProtocol.client_leg``."""
        return PostgresClientLeg(key)

    async def connect(
        self, channel: Channel, login: UpstreamLogin, derive: Derive, entropy: Entropy
    ) -> Upstream:
        """See ``WireProtocol.connect``."""
        return await connect(channel, login, derive, entropy)

    async def knock(self, channel: Channel, *, is_tls_direct: bool) -> None:
        """See ``WireProtocol.knock``."""
        await knock(channel, is_tls_direct)

    def session_settings(self, arrival: Arrival) -> Hashable:
        """See ``WireProtocol.session_settings``: RESET leads back to what came at start-up."""
        return tuple(sorted(arrival.parameters.items()))

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
        """See ``WireProtocol.reset``: DISCARD ALL, and what that leaves."""
        await reset(channel, upstream, rules, entropy, is_in_transaction=is_in_transaction)
        await check_role(channel, upstream)
        return upstream

    async def cancel(self, channel: Channel, upstream: Upstream, require_tls: bool) -> None:
        """See ``WireProtocol.cancel``."""
        await cancel(channel, upstream, require_tls)

    def match_cancel(
        self, arrival: CancelArrival, key: SessionKey, version: tuple[int, int]
    ) -> bool:
        """See ``WireProtocol.match_cancel``."""
        return match_cancel(arrival, key, version)

    def cancel_number(self, arrival: CancelArrival) -> int:
        """See ``WireProtocol.cancel_number``."""
        return cancel_number(arrival)

    def scanner(
        self,
        arrival: Arrival,
        upstream: Upstream,
        sink: StatementSink,
        limits: ScanLimits,
        kill: Kill,
        meter: ResultMeter | None = None,
    ) -> Scanner:
        """See ``WireProtocol.scanner``. PostgreSQL's clients stop statements by key."""
        scanner = PostgresScanner(sink, limits)
        return scanner if meter is None else BoundedScanner(scanner, meter)

    def wrappings(
        self, arrival: Arrival, upstream: Upstream, scanner: Scanner
    ) -> tuple[Wrapping | None, Wrapping | None]:
        """See ``WireProtocol.wrappings``: the protocol knows no compression."""
        return None, None

    def refusal(self, refusal: Refusal) -> bytes:
        """See ``WireProtocol.refusal``: a fatal ErrorResponse."""
        return refusal_message(refusal)

    def explain(self, error: UpstreamRefused) -> Refusal:
        """See ``WireProtocol.explain``."""
        return explain(error)
