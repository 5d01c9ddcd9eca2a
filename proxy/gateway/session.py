"""The life of a session, as a script: from an accepted socket to its last record.

Each step takes what only the step before can make. Whatever ends it, the client gets
one clear sentence, the log gets its records, and every place and descriptor is given
back. Knows no protocol but through its interface.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from time import monotonic
from uuid import uuid4

import structlog

from policies.classifiers import classifier_for
from policies.client import check_client
from policies.document import Policy
from policies.effective import EffectivePolicy
from policies.grant import (
    ArrivalFacts,
    Grant,
    SourceFacts,
    TokenFacts,
    WorkspaceFacts,
    decide_access,
)
from protocols.errors import PeerClosed, PeerViolation, Reason, Refusal
from protocols.interface import (
    Arrival,
    CancelArrival,
    ScanLimits,
    SessionRules,
    WireProtocol,
)
from proxy.audit.context import Leg as AuditLeg
from proxy.audit.context import SessionContext
from proxy.audit.events import authenticated as authenticated_event
from proxy.audit.events import session_failed, session_opened
from proxy.audit.log import AuditLog
from proxy.config import LimitsConfig, ListenerConfig
from proxy.gateway.authenticate import Authenticated, Authenticator, shown_name
from proxy.gateway.cancel import Cancels
from proxy.gateway.channel import SocketChannel
from proxy.gateway.deadline import Deadline
from proxy.gateway.judge import Judge, Verdicts
from proxy.gateway.layer import Layer, layers
from proxy.gateway.live import STOP_SECONDS, LiveSession, LiveSessions
from proxy.gateway.poller import Poller
from proxy.gateway.quotas import Meter, Quotas
from proxy.gateway.record import JudgedRecorder, LimitedRecorder, MeteredRecorder
from proxy.gateway.relay import Relay
from proxy.gateway.tls import NoTls, ServerTls
from proxy.gateway.upstream import Opened, Upstreams
from proxy.metrics import Leg, Login, Metrics, SessionState
from proxy.store.records import Source
from proxy.store.store import Clock, utc_now

log = structlog.get_logger("session")


@dataclass(frozen=True, slots=True)
class Door:
    """One listener's own: its protocol, its TLS, its rules."""

    protocol: WireProtocol
    config: ListenerConfig
    tls: ServerTls | NoTls


@dataclass(frozen=True, slots=True)
class Rooms:
    """What every session of this process works with."""

    authenticator: Authenticator
    upstreams: Upstreams
    cancels: Cancels
    live: LiveSessions
    audit: AuditLog
    metrics: Metrics
    limits: LimitsConfig
    scan_limits: ScanLimits
    verdicts: Verdicts
    quotas: Quotas
    poller: Poller
    clock: Clock = utc_now


class Session:
    """One accepted connection. ``run`` is its whole life and never raises."""

    def __init__(
        self, door: Door, rooms: Rooms, sock: socket.socket, address: tuple[str, int]
    ) -> None:
        self._door = door
        self._rooms = rooms
        self._client_ip, self._client_port = address
        self._channel = SocketChannel(sock, door.tls, rooms.poller, is_server=True)
        self._key = rooms.live.new_key()
        self._leg = door.protocol.client_leg(self._key, os.urandom)
        self._id = uuid4().hex
        self._began = monotonic()
        self._state: SessionState | None = None
        self._places: list[str] = []
        self._meter: Meter | None = None
        self._deadline: Deadline | None = None

    async def run(self, logged_in: Callable[[], None]) -> None:
        """Serve the connection. ``logged_in`` is called when it stops being a pending login."""
        self._move(SessionState.LOGIN)
        try:
            await self._run(logged_in)
        except Refusal as refusal:
            await self._refuse(refusal)
        except PeerViolation as violation:
            self._rooms.metrics.logins.add(Login.ABANDONED)
            await self._refuse(
                Refusal(Reason.PROTOCOL_VIOLATION, f"protocol violation: {violation}"),
                is_told=violation.is_told,
            )
        except TimeoutError:
            # Before OSError, which it is one of.
            self._rooms.metrics.logins.add(Login.ABANDONED)
            await self._refuse(Refusal(Reason.TIMED_OUT, "the login took too long"))
        except (PeerClosed, OSError):
            self._rooms.metrics.logins.add(Login.ABANDONED)
            await self._channel.close()
        except asyncio.CancelledError:
            self._channel.abandon()
            raise
        except Exception:
            # The session is a boundary: a bug of ours ends it, not the proxy.
            log.exception("session failed", session=self._id)
            await self._refuse(Refusal(Reason.INTERNAL, "internal error of the proxy"))
        finally:
            self._rooms.live.forget_key(self._key)
            self._move(None)

    async def _run(self, logged_in: Callable[[], None]) -> None:
        rooms = self._rooms
        protocol = self._door.protocol
        async with asyncio.timeout(rooms.limits.login_deadline):
            arrival = await self._leg.greet(self._channel)
        if isinstance(arrival, CancelArrival):
            logged_in()
            await rooms.cancels.handle(protocol, arrival)
            await self._channel.close()
            return
        self._check_transport(arrival)
        if rooms.live.drain_refusal is not None:
            raise rooms.live.drain_refusal
        proved = await self._authenticate(arrival)
        logged_in()
        try:
            await self._serve(arrival, proved)
        finally:
            for owner in self._places:
                rooms.live.leave_place(owner)
            if self._meter is not None:
                self._meter.close()

    # -- who ---------------------------------------------------------------------------

    def _check_transport(self, arrival: Arrival) -> None:
        self._rooms.metrics.used_tls(
            Leg.CLIENT, self._door.tls.profile if arrival.is_encrypted else "none"
        )
        allowed = self._door.config.plaintext
        if arrival.is_encrypted or allowed == "always":
            return
        if allowed == "loopback" and ip_address(self._client_ip).is_loopback:
            return
        raise Refusal(Reason.TLS_REQUIRED, "this proxy accepts only encrypted connections")

    async def _authenticate(self, arrival: Arrival) -> Authenticated:
        rooms = self._rooms
        try:
            async with asyncio.timeout(rooms.limits.login_deadline):
                proved = await rooms.authenticator.authenticate(self._leg, self._channel, arrival)
        except Refusal as refusal:
            rooms.metrics.logins.add(Login.FAILED)
            self._record_login(arrival, "", "", refusal.private)
            raise
        except (PeerViolation, PeerClosed, OSError, TimeoutError) as error:
            self._record_login(arrival, "", "", f"the exchange broke off: {type(error).__name__}")
            raise
        rooms.metrics.logins.add(Login.SUCCEEDED)
        self._record_login(arrival, proved.entry.workspace.id, proved.token.id, "")
        return proved

    def _record_login(
        self, arrival: Arrival, workspace_id: str, token_id: str, reason: str
    ) -> None:
        self._rooms.audit.record(
            authenticated_event(
                workspace_id=workspace_id,
                workspace=shown_name(arrival.workspace),
                token_id=token_id,
                client_ip=self._client_ip,
                client_port=self._client_port,
                session_id=self._id,
                protocol=self._door.protocol.name,
                reason=reason,
                is_encrypted=arrival.is_encrypted,
            )
        )

    async def _grant(self, arrival: Arrival, proved: Authenticated) -> tuple[Grant, Source]:
        """The grant, and the source it opens. Raises Refusal."""
        source = await self._rooms.authenticator.source(proved, arrival.source)
        workspace, token = proved.entry.workspace, proved.token
        decision = decide_access(
            WorkspaceFacts(workspace.id, workspace.state),
            TokenFacts(
                token.id, token.workspace_id, token.expires_at, token.revoked_at is not None
            ),
            None if source is None else SourceFacts(source.id, source.workspace_id),
            ArrivalFacts(
                ip_address(self._client_ip),
                arrival.is_encrypted,
                self._door.config.plaintext == "always",
            ),
            now=self._rooms.clock(),
        )
        if isinstance(decision, Refusal):
            raise decision
        assert source is not None, "a grant is for a source that is there"
        return decision, source

    def _take_place(self, owner: str, policy: Policy | None) -> None:
        """Count this session for its workspace or source. Raises Refusal."""
        limits = None if policy is None else policy.limits
        self._rooms.live.take_place(owner, None if limits is None else limits.sessions)
        self._places.append(owner)
        if limits is not None:
            self._rooms.quotas.admit(owner, limits.sessions_per_minute)

    def _default_schema(self, arrival: Arrival, source: Source) -> str:
        """Where the server will look for a table's name that has no schema."""
        fixed = self._door.protocol.default_schema
        return fixed or arrival.parameters.get("database") or source.database

    async def _check_policy(
        self, policy: EffectivePolicy, source: Source, schema: str
    ) -> SessionRules | None:
        """What the database session must be; None where no statement is judged.

        Raises Refusal where this client may not come now, or the engine cannot be judged.
        """
        refusal = check_client(
            policy,
            ip_address(self._client_ip),
            now=self._rooms.clock(),
            is_encrypted=self._channel.is_encrypted,
        )
        if refusal is not None:
            raise refusal
        if not policy.is_restricted:
            return None
        # In a thread: its first call loads a grammar, for a tenth of a second.
        if await asyncio.to_thread(classifier_for, source.engine) is None:
            raise Refusal(
                Reason.UNSUPPORTED,
                f"refused by policy: statements for {source.engine} cannot be judged yet",
            )
        return SessionRules(
            is_read_only=policy.is_read_only,
            search_path=schema if policy.names_tables else "",
        )

    def _recorder(
        self, policy: EffectivePolicy, source: Source, schema: str, context: SessionContext
    ) -> MeteredRecorder:
        recorder = self._rooms.audit.recorder(context)
        classifier = classifier_for(source.engine) if policy.is_restricted else None
        meter, metrics = self._meter, self._rooms.metrics
        seconds = policy.limits.statement_seconds
        if seconds is not None:
            self._deadline = Deadline(seconds, metrics, STOP_SECONDS)
        deadline = self._deadline
        if classifier is None:
            if meter is None:
                return MeteredRecorder(recorder, metrics, deadline)
            return LimitedRecorder(recorder, metrics, meter, deadline=deadline)
        judge = Judge(
            policy,
            classifier,
            schema,
            self._rooms.verdicts,
            f"{source.workspace_id} {source.engine}",
        )
        if meter is None:
            return JudgedRecorder(recorder, metrics, judge.verdict, deadline)
        return LimitedRecorder(recorder, metrics, meter, judge.verdict, deadline)

    # -- what --------------------------------------------------------------------------

    async def _serve(self, arrival: Arrival, proved: Authenticated) -> None:
        rooms = self._rooms
        context = self._context(arrival, proved, None)
        try:
            workspace = proved.entry.workspace
            self._take_place(workspace.id, workspace.policy)
            self._move(SessionState.CONNECTING)
            grant, source = await self._grant(arrival, proved)
            context = self._context(arrival, proved, source)
            policy = EffectivePolicy.of(proved.entry.workspace.policy, source.policy)
            schema = policy.schema(self._default_schema(arrival, source))
            rules = await self._check_policy(policy, source, schema)
            self._take_place(source.id, source.policy)
            self._meter = rooms.quotas.meter(
                [
                    (owner, limited.limits)
                    for owner, limited in (
                        (workspace.id, workspace.policy),
                        (source.id, source.policy),
                    )
                    if limited is not None
                ],
                rooms.metrics,
            )
            started = monotonic()
            opened = await rooms.upstreams.open(
                self._door.protocol,
                proved.entry.workspace,
                source,
                arrival,
                context,
                rules,
            )
            rooms.metrics.connect_seconds.observe(monotonic() - started)
        except Refusal as refusal:
            rooms.audit.record(
                session_failed(
                    context,
                    reason=str(refusal.reason),
                    detail=refusal.private,
                    code=refusal.code or "",
                )
            )
            raise
        try:
            context = replace(
                context,
                upstream_leg=AuditLeg(opened.channel.tls_version, opened.channel.cipher),
                server_version=opened.upstream.server_version,
            )
            if source.credential is None:
                await rooms.audit.record_durably(
                    session_opened(context, auth_method=opened.upstream.method)
                )
            else:
                rooms.audit.record(session_opened(context, auth_method=opened.upstream.method))
            recorder = self._recorder(policy, source, schema, context)
        except BaseException:
            opened.channel.abandon()
            raise
        word = "not started"
        relay = Relay(
            self._door.protocol.scanner(
                arrival,
                opened.upstream,
                recorder,
                rooms.scan_limits,
                rooms.live.killer(proved.entry.workspace.id, source.id),
                self._meter,
            ),
            rooms.audit,
            rooms.metrics,
        )
        try:
            word = await self._relay(
                arrival, proved, grant, policy, source, opened, relay, recorder, context
            )
        except asyncio.CancelledError:
            word = "the proxy stopped"
            raise
        finally:
            relay.scanner.close(monotonic())
            recorder.close(
                word,
                bytes_in=relay.bytes_from_client,
                bytes_out=relay.bytes_from_source,
                duration=monotonic() - self._began,
                detail="" if relay.reason is None else relay.reason.private,
            )
            rooms.metrics.sessions_ended.add(
                "closed" if relay.reason is None else relay.reason.reason
            )

    async def _relay(
        self,
        arrival: Arrival,
        proved: Authenticated,
        grant: Grant,
        policy: EffectivePolicy,
        source: Source,
        opened: Opened,
        relay: Relay,
        recorder: MeteredRecorder,
        context: SessionContext,
    ) -> str:
        """From the welcome to the end; returns why it ended."""
        rooms = self._rooms
        protocol = self._door.protocol
        live = LiveSession(
            id=self._id,
            key=self._key,
            upstream_number=opened.upstream.number,
            version=arrival.version,
            grant=grant,
            policy=policy,
            workspace=arrival.workspace,
            source=source,
            application_name=arrival.application_name,
            client=f"{self._client_ip}:{self._client_port}",
            started=monotonic(),
            started_at=rooms.clock(),
            relay=relay,
            stop_statement=rooms.upstreams.stopper(
                protocol, proved.entry.workspace, source, opened, context
            ),
            is_encrypted=arrival.is_encrypted,
            is_local=ip_address(self._client_ip).is_loopback,
            meter=self._meter,
            deadline=self._deadline,
        )
        rooms.live.watch(live)
        try:
            rooms.live.add(live)
            # A change between the login and this line found no session to cut.
            await self._still_granted(arrival, proved, source)
            welcome = self._leg.welcome(arrival, opened.upstream)
            wrappings = protocol.wrappings(arrival, opened.upstream, relay.scanner)
            legs = layers(wrappings, relay.cut)
            early = await self._connect_relay(opened, relay, welcome, legs)
            rooms.metrics.setup_seconds.observe(monotonic() - self._began)
            self._move(SessionState.OPEN)
            if early:
                relay.from_client(early)
            return await relay.finished
        except BaseException:
            relay.abort()
            opened.channel.abandon()
            raise
        finally:
            rooms.live.remove(live)

    async def _connect_relay(
        self,
        opened: Opened,
        relay: Relay,
        welcome: bytes,
        legs: tuple[Layer | None, Layer | None],
    ) -> bytes:
        """Give both connections to the relay; returns what the client has sent already.

        Raises Refusal where the session was cut, or the source has gone, meanwhile.
        """
        client, source = legs
        try:
            _, early = await opened.channel.hand_over(relay.source_side, source)
        except PeerClosed:
            raise Refusal(Reason.SOURCE_LOST, "the data source closed the connection") from None
        relay.wait_for_client()
        if early:
            relay.from_source(early)
        if relay.is_closing:
            raise relay.reason or Refusal(
                Reason.SOURCE_LOST, "the data source closed the connection"
            )
        self._channel.write(welcome)
        # A client that does not take its welcome would wait here for ever.
        async with asyncio.timeout(self._rooms.limits.login_deadline):
            _, early = await self._channel.hand_over(relay.client_side, client)
        return early

    async def _still_granted(self, arrival: Arrival, proved: Authenticated, source: Source) -> None:
        again = await self._rooms.authenticator.again(arrival.workspace, proved.token.id)
        if again is None or await self._rooms.authenticator.source(again, source.name) != source:
            raise Refusal(
                Reason.SESSION_ENDED, "the session's rights have just changed; log in again"
            )

    def _context(
        self, arrival: Arrival, proved: Authenticated, source: Source | None
    ) -> SessionContext:
        return SessionContext(
            session_id=self._id,
            workspace_id=proved.entry.workspace.id,
            workspace=proved.entry.workspace.name,
            source_id="" if source is None else source.id,
            source=shown_name(arrival.source),
            engine=self._door.protocol.engine,
            database="" if source is None else source.database,
            token_id=proved.token.id,
            application_name=arrival.application_name,
            client_ip=self._client_ip,
            client_port=self._client_port,
            started=self._rooms.clock().timestamp(),
            started_monotonic=monotonic(),
            client_leg=AuditLeg(self._channel.tls_version, self._channel.cipher),
            upstream_user="" if source is None else source.username,
        )

    # -- no ----------------------------------------------------------------------------

    async def _refuse(self, refusal: Refusal, *, is_told: bool = False) -> None:
        """Tell the client, no sooner than the floor: causes must not be told apart by time.

        ``is_told``: the protocol has written what the client understands.
        """
        self._rooms.metrics.refused(refusal.reason)
        log.info(
            "session refused",
            session=self._id,
            reason=str(refusal.reason),
            detail=refusal.private,
            client=self._client_ip,
        )
        wait = self._rooms.limits.failure_floor - (monotonic() - self._began)
        try:
            if wait > 0:
                await asyncio.sleep(wait)
        except asyncio.CancelledError:
            self._channel.abandon()
            raise
        await self._channel.close(b"" if is_told else self._leg.refusal(refusal))

    def _move(self, state: SessionState | None) -> None:
        self._rooms.metrics.move_session(self._state, state)
        self._state = state
