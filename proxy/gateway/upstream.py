"""Open a data source: dial, record the credential's use, unseal it, TLS, log in.

The one place of the program where a credential is used. The record of its use is
durable before it is opened, and TLS is verified before the first byte that depends on
it. Knows no protocol but through its interface.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address

from policies.egress import UNREACHABLE, EgressRules
from policies.upstream import check_upstream, narrowed
from protocols.errors import PeerClosed, PeerViolation, Reason, Refusal, UpstreamRefused
from protocols.interface import (
    Arrival,
    Derive,
    Entropy,
    SessionRules,
    Upstream,
    UpstreamLogin,
    WireProtocol,
)
from proxy.audit.context import SessionContext
from proxy.audit.events import credential_unsealed
from proxy.audit.log import AuditLog
from proxy.gateway.channel import SocketChannel
from proxy.gateway.dial import Resolve, SharedResolver, connect_to, dial, resolve_by_system
from proxy.gateway.poller import Poller
from proxy.gateway.tls import NoTls, UpstreamTls, upstream_tls
from proxy.metrics import Credential, Leg, Metrics
from proxy.store.records import CredentialField, Source, Workspace
from proxy.store.sources import open_credential
from proxy.store.store import Clock, utc_now
from vault import UnsealError, Vault

# Contexts kept: one for each source in use; loading the system's CAs takes milliseconds.
CONTEXT_LIMIT = 512
# Derived SCRAM keys kept, 32 bytes each.
DERIVED_LIMIT = 4_096
# Sources remembered whose server has accepted a credential.
ACCEPTED_LIMIT = 4_096
# The largest PBKDF2 work a server may ask of us; PostgreSQL's default is 4,096.
MAX_ITERATIONS = 100_000


class CredentialRejected(Refusal):
    """The data source's server did not accept the stored credential."""


@dataclass(slots=True)
class Opened:
    """A data source that let us in. ``address`` is where cancel requests go.

    ``upstream`` is another one after each reset.
    """

    channel: SocketChannel
    upstream: Upstream
    address: tuple[str, int]
    tls: UpstreamTls | NoTls


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
        self._vault = vault
        self._audit = audit
        self._metrics = metrics
        self._rules = rules
        self._entropy = entropy
        self._timeout = connect_timeout
        self._poller = poller
        self._resolve = SharedResolver(resolve)
        self._clock = clock
        self._contexts: OrderedDict[tuple[str, int, int], UpstreamTls | NoTls] = OrderedDict()
        self._derived: OrderedDict[tuple[str, int, bytes, int], bytes] = OrderedDict()
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
        refusal = check_upstream((workspace.policy, source.policy), source.place, now=self._clock())
        if refusal is not None:
            raise refusal

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
        egress = narrowed(self._rules, workspace.policy, source.policy)
        try:
            async with asyncio.timeout(self._timeout):
                sock = await dial(source.host, source.port, egress, self._resolve)
                return await self._log_in(
                    sock, protocol, workspace, source, arrival, context, rules, is_kept
                )
        except TimeoutError:
            raise Refusal(
                Reason.SOURCE_UNREACHABLE, UNREACHABLE, "the data source did not answer in time"
            ) from None
        except PeerClosed:
            raise Refusal(
                Reason.SOURCE_UNREACHABLE, UNREACHABLE, "the data source closed the connection"
            ) from None
        except UpstreamRefused as error:
            # SQLSTATE class 28, in every protocol: invalid authorization specification.
            told = protocol.explain(error)
            if error.code.startswith("28") and source.credential is not None:
                self._metrics.credentials.add(Credential.REJECTED)
                raise CredentialRejected(
                    told.reason, told.public, told.private, code=told.code
                ) from None
            raise told from None
        except PeerViolation as violation:
            raise Refusal(
                Reason.SOURCE_UNTRUSTED,
                "the data source did not keep to its protocol during the login",
                str(violation),
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise Refusal(
                Reason.SOURCE_UNTRUSTED,
                f"the data source's certificate was not accepted: {error.verify_message}",
            ) from None
        except ssl.SSLError as error:
            raise Refusal(
                Reason.SOURCE_UNTRUSTED,
                "the TLS handshake with the data source failed",
                f"TLS handshake: {error.reason}",
            ) from None
        except OSError as error:
            raise Refusal(
                Reason.SOURCE_UNREACHABLE, UNREACHABLE, f"{type(error).__name__} during the login"
            ) from None

    async def _log_in(
        self,
        sock: socket.socket,
        protocol: WireProtocol,
        workspace: Workspace,
        source: Source,
        arrival: Arrival | None,
        context: SessionContext,
        rules: SessionRules | None,
        is_kept: bool,
    ) -> Opened:
        channel: SocketChannel | None = None
        try:
            address = sock.getpeername()[:2]
            password = await self._use(workspace, source, "password", context)
            tls = await self._tls(protocol, workspace, source, context)
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
                rules=rules,
                compression=source.compression,
                is_kept=is_kept,
            )
            upstream = await protocol.connect(channel, login, self._derive(source), self._entropy)
            self._accept(source)
            return Opened(channel, upstream, address, tls)
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

    async def _use(
        self,
        workspace: Workspace,
        source: Source,
        field: CredentialField,
        context: SessionContext,
    ) -> bytes | None:
        """A stored secret, opened after the record of its use is durable; None if none is."""
        if not source.has_secret(field):
            return None
        await self._announce(source, field, context)
        try:
            secret = open_credential(self._vault, workspace, source, field).reveal()
        except UnsealError as error:
            self._metrics.credentials.add(Credential.UNUSABLE)
            raise Refusal(
                Reason.CREDENTIAL_UNUSABLE,
                "the data source's stored credential cannot be opened; store it again",
                str(error),
            ) from None
        self._metrics.credentials.add(Credential.USED)
        return secret

    async def _announce(
        self, source: Source, field: CredentialField, context: SessionContext
    ) -> None:
        """Put into the log, durably, that a stored secret is about to be used."""
        await self._audit.record_durably(
            credential_unsealed(
                context, credential_version=source.highest_version(field), purpose=field
            )
        )

    async def _tls(
        self,
        protocol: WireProtocol,
        workspace: Workspace,
        source: Source,
        context: SessionContext,
    ) -> UpstreamTls | NoTls:
        key = (source.id, source.version, source.client_key_version)
        found = self._contexts.get(key)
        if found is not None:
            self._contexts.move_to_end(key)
            if source.has_secret("client_key"):
                # The key is in the context: a handshake uses it as much as the first one did.
                await self._announce(source, "client_key", context)
                self._metrics.credentials.add(Credential.USED)
            return found
        client_key = None
        if source.tls.client_cert_pem is not None:
            client_key = await self._use(workspace, source, "client_key", context)
        made = await asyncio.to_thread(
            upstream_tls, source.tls, source.host, protocol.alpn, client_key
        )
        self._contexts[key] = made
        if len(self._contexts) > CONTEXT_LIMIT:
            self._contexts.popitem(last=False)
        return made

    def _derive(self, source: Source) -> Derive:
        """PBKDF2 in a thread, remembered for this credential, salt and count."""

        async def derive(password: bytes, salt: bytes, iterations: int) -> bytes:
            key = (source.id, source.password_version, salt, iterations)
            found = self._derived.get(key)
            if found is None:
                found = await asyncio.to_thread(
                    hashlib.pbkdf2_hmac, "sha256", password, salt, iterations
                )
                self._derived[key] = found
                if len(self._derived) > DERIVED_LIMIT:
                    self._derived.popitem(last=False)
            return found

        return derive

    def stopper(
        self,
        protocol: WireProtocol,
        workspace: Workspace,
        source: Source,
        opened: Opened,
        context: SessionContext,
    ) -> Callable[[], Awaitable[None]]:
        """How to stop what a session runs: a connection of its own, same address and TLS.

        Where the protocol asks for a login, that is one more use of the credential, with
        its own record.
        """
        address, tls, upstream = opened.address, opened.tls, opened.upstream
        require_tls = source.tls.mode != "disable"

        async def stop_as_user() -> None:
            second = await self.open(protocol, workspace, source, None, context)
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


def _encoded(pem: str | None) -> bytes | None:
    return None if pem is None else pem.encode()
