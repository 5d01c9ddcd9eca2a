"""Open a data source: dial, have its secrets opened (``secrets``), TLS, log in.

The one place of the program where a stored credential is sent anywhere. TLS is verified before
the first byte that depends on it, for the host that is really dialled. Which host that is,
``failover`` decides. Knows no protocol but through its interface.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from time import monotonic

from policies.egress import EgressRules
from policies.upstream import check_upstream, narrowed
from protocols.errors import PeerClosed, PeerViolation, Reason, Refusal, insist
from protocols.interface import (
    Arrival,
    Entropy,
    SessionRules,
    Upstream,
    UpstreamLogin,
    WireProtocol,
)
from protocols.roles import TargetSession
from proxy.audit.context import SessionContext
from proxy.audit.log import AuditLog
from proxy.gateway.blame import CredentialRejected, blamed
from proxy.gateway.channel import SocketChannel
from proxy.gateway.dial import (
    Resolve,
    SharedResolver,
    check_addresses,
    connect_to,
    dial,
    resolve_by_system,
)
from proxy.gateway.failover import HostFailed, Search
from proxy.gateway.hosts import HostsOfSource, KnownHosts
from proxy.gateway.poller import Poller
from proxy.gateway.rotation import Stored, newest, wait_for_newer
from proxy.gateway.secrets import SourceSecrets
from proxy.gateway.tls import NoTls, UpstreamTls
from proxy.metrics import Connect, Leg, Metrics
from proxy.store.failover import Endpoint
from proxy.store.records import Source, Workspace
from proxy.store.store import Clock, utc_now
from vault import Vault

# Sources remembered whose server has accepted a credential.
ACCEPTED_LIMIT = 4_096
# The largest PBKDF2 work a server may ask of us; PostgreSQL's default is 4,096.
MAX_ITERATIONS = 100_000


@dataclass(slots=True)
class Opened:
    """A data source that let us in. ``address`` is where cancel requests go.

    ``endpoint`` is its host as it was named. ``upstream`` is another one after each reset.
    """

    channel: SocketChannel
    upstream: Upstream
    address: tuple[str, int]
    tls: UpstreamTls | NoTls
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be opened, and for whom."""

    protocol: WireProtocol
    workspace: Workspace
    source: Source
    arrival: Arrival | None
    context: SessionContext
    rules: SessionRules | None
    is_kept: bool
    asks_role: bool


class Upstreams:
    """Opens data sources, for sessions and for ``source test`` alike."""

    def __init__(
        self,
        vault: Vault,
        audit: AuditLog,
        metrics: Metrics,
        rules: EgressRules,
        entropy: Entropy,
        connect_timeout: float,
        poller: Poller,
        *,
        resolve: Resolve = resolve_by_system,
        clock: Clock = utc_now,
    ) -> None:
        self._secrets = SourceSecrets(vault, audit, metrics)
        self._metrics = metrics
        self._rules = rules
        self._entropy = entropy
        self._timeout = connect_timeout
        self._poller = poller
        self._resolve = SharedResolver(resolve)
        self._clock = clock
        self.hosts = KnownHosts(metrics, entropy)
        self._accepted: OrderedDict[str, None] = OrderedDict()

    def check(self, protocol: WireProtocol, workspace: Workspace, source: Source) -> None:
        """Whether the source may be used now, by all that is known without asking it.

        For each session, also for one that gets a connection which is open already. Raises
        Refusal.
        """
        if source.engine != protocol.engine:
            raise Refusal(
                Reason.UNSUPPORTED, f"this port does not speak the data source's {source.engine}"
            )
        if source.tls.has_expired(self._clock()):
            raise Refusal(
                Reason.SOURCE_UNTRUSTED, "the data source's exception for old TLS has expired"
            )
        policies = (workspace.policy, source.policy)
        insist(check_upstream(policies, source.places, now=self._clock()))

    async def open(
        self,
        protocol: WireProtocol,
        workspace: Workspace,
        source: Source,
        arrival: Arrival | None,
        context: SessionContext,
        rules: SessionRules | None = None,
        *,
        is_kept: bool = False,
    ) -> Opened:
        """Open a source for a session that was granted it; None: for no client.

        ``rules`` are what the database session must be before anybody uses it. ``is_kept``:
        the connection is for others after it.

        Raises Refusal with a public sentence that tells no more than the tenant knows.
        """
        self.check(protocol, workspace, source)
        asks_role = source.failover.asks_role
        wanted = _Wanted(protocol, workspace, source, arrival, context, rules, is_kept, asks_role)
        look = partial(self._look, protocol, workspace, source)
        hosts = self.hosts.of(workspace, source, look)
        search = Search(source, hosts, self._metrics, self._entropy, monotonic, self._timeout)
        return await search.run(partial(self._attempt, wanted, hosts))

    async def open_at(
        self,
        protocol: WireProtocol,
        workspace: Workspace,
        source: Source,
        endpoint: Endpoint,
        context: SessionContext,
        *,
        address: tuple[str, int] | None = None,
        asks_role: bool = False,
    ) -> Opened:
        """Open one host of a source, for no client; ``address``: exactly there.

        Raises Refusal.
        """
        self.check(protocol, workspace, source)
        wanted = _Wanted(protocol, workspace, source, None, context, None, False, asks_role)
        try:
            with blamed(protocol, source, self._metrics):
                async with asyncio.timeout(self._timeout) as limit:
                    if address is None:
                        sock = await self._dial(workspace, source, endpoint, limit.when())
                    else:
                        sock = await self._dial_again(workspace, source, address)
                    return await self._log_in(sock, wanted, endpoint)
        except HostFailed as failed:
            raise failed.refusal from None

    async def _attempt(
        self,
        wanted: _Wanted,
        hosts: HostsOfSource,
        endpoint: Endpoint,
        target: TargetSession,
        seconds: float,
    ) -> Opened:
        """One host, in its share of the time: see ``failover.Search``."""
        source = wanted.source
        with blamed(wanted.protocol, source, self._metrics):
            async with asyncio.timeout(seconds) as limit:
                sock = await self._dial(wanted.workspace, source, endpoint, limit.when())
                opened = await self._log_in(sock, wanted, endpoint)
        role = opened.upstream.role
        if role is None:
            return opened
        hosts.is_as(endpoint, role)
        if role.fits(target):
            return opened
        opened.channel.part(wanted.protocol.goodbye)
        asked = source.failover.target_session_attrs
        is_single = not source.failover.others
        whose = "the data source is not" if is_single else "no host of the data source is"
        raise HostFailed(
            Connect.WRONG_ROLE,
            Refusal(
                Reason.SOURCE_UNREACHABLE,
                f"{whose} {asked} (target_session_attrs)",
                f"the server is {role.word}, not {asked}",
            ),
        )

    async def _dial(
        self, workspace: Workspace, source: Source, endpoint: Endpoint, until: float | None
    ) -> socket.socket:
        egress = narrowed(self._rules, workspace.policy, source.policy)
        return await dial(endpoint.host, endpoint.port, egress, self._resolve, until=until)

    async def _dial_again(
        self, workspace: Workspace, source: Source, address: tuple[str, int]
    ) -> socket.socket:
        """Where a connection of the same session leads, whatever the name says now."""
        pinned, port = ip_address(address[0]), address[1]
        check_addresses([pinned], port, narrowed(self._rules, workspace.policy, source.policy))
        return await connect_to(pinned, port)

    async def _look(
        self, protocol: WireProtocol, workspace: Workspace, source: Source, endpoint: Endpoint
    ) -> None:
        """See ``hosts.Look``."""
        sock = await self._dial(workspace, source, endpoint, None)
        channel = SocketChannel(sock, NoTls(), self._poller, is_server=False)
        try:
            await protocol.knock(channel, is_tls_direct=source.tls.negotiation == "direct")
        finally:
            channel.abandon()

    async def _log_in(self, sock: socket.socket, wanted: _Wanted, endpoint: Endpoint) -> Opened:
        protocol, workspace, source = wanted.protocol, wanted.workspace, wanted.source
        arrival = wanted.arrival
        channel: SocketChannel | None = None
        try:
            address = sock.getpeername()[:2]
            context = at_endpoint(wanted.context, endpoint, address)
            password = await self._secrets.use(workspace, source, "password", context)
            tls = await self._secrets.tls(protocol, workspace, source, endpoint, context)
            self._metrics.used_tls(Leg.SOURCE, tls.profile)
            channel = SocketChannel(sock, tls, self._poller, is_server=False)
            login = UpstreamLogin(
                username=source.username,
                database=source.database,
                password=password,
                parameters={} if arrival is None else arrival.parameters,
                methods=source.auth_methods,
                require_tls=source.tls.mode != "disable",
                is_tls_direct=source.tls.negotiation == "direct",
                is_tls_verified=source.tls.is_verified,
                version=protocol.upstream_version,
                max_iterations=MAX_ITERATIONS,
                server_public_key=_encoded(source.tls.server_key_pem),
                detail=None if arrival is None else arrival.detail,
                rules=wanted.rules,
                compression=source.compression,
                is_kept=wanted.is_kept,
                asks_role=wanted.asks_role,
            )
            upstream = await protocol.connect(
                channel, login, self._secrets.derive(source), self._entropy
            )
            self._accept(source)
            return Opened(channel, upstream, address, tls, endpoint)
        except BaseException:
            # Whatever ends it, a cancellation too: nobody else knows this connection.
            if channel is not None:
                channel.abandon()
            sock.close()
            raise

    def has_accepted(self, source: Source) -> bool:
        """Whether this process has logged in there before, whatever the credential was then."""
        return source.id in self._accepted

    def _accept(self, source: Source) -> None:
        self._accepted[source.id] = None
        self._accepted.move_to_end(source.id)
        if len(self._accepted) > ACCEPTED_LIMIT:
            self._accepted.popitem(last=False)

    def stopper(
        self,
        protocol: WireProtocol,
        workspace: Workspace,
        source: Source,
        opened: Opened,
        context: SessionContext,
        stored: Stored,
    ) -> Callable[[], Awaitable[None]]:
        """How to stop what a session runs: a connection of its own, same address and TLS.

        Never another host's, whichever the source would give a session now.

        Where the protocol asks for a login, that is one more use of the credential, with
        its own record: of the one ``stored`` by then, since a session outlives a rotation.
        """
        address, tls, upstream = opened.address, opened.tls, opened.upstream
        require_tls = source.tls.mode != "disable"

        async def stop_as_user() -> None:
            async def open_with(wanted: Source) -> Opened:
                return await self.open_at(
                    protocol, workspace, wanted, opened.endpoint, context, address=opened.address
                )

            current = await newest(source, stored)
            try:
                second = await open_with(current)
            except CredentialRejected:
                newer = await wait_for_newer(current, stored)
                if newer is None:
                    raise
                second = await open_with(newer)
            try:
                # What this connection has agreed on, for the session of that one.
                there = replace(upstream, detail=second.upstream.detail)
                await protocol.cancel(second.channel, there, require_tls)
            except (PeerClosed, PeerViolation):
                return
            finally:
                second.channel.abandon()

        async def stop() -> None:
            sock = await connect_to(ip_address(address[0]), address[1])
            channel = SocketChannel(sock, tls, self._poller, is_server=False)
            try:
                await protocol.cancel(channel, upstream, require_tls)
            except (PeerClosed, PeerViolation):
                # The server answers nothing; whatever it did is seen by the session.
                return
            finally:
                channel.abandon()

        return stop_as_user if protocol.cancels_as_user else stop


def at_endpoint(
    context: SessionContext, endpoint: Endpoint, address: tuple[str, int]
) -> SessionContext:
    """A session's context, with the host that it is on."""
    return replace(
        context,
        upstream_host=endpoint.host,
        upstream_ip=address[0],
        upstream_port=address[1],
    )


def _encoded(pem: str | None) -> bytes | None:
    return None if pem is None else pem.encode()
