"""A session from its proof to its end: the source is opened, the bytes are relayed.

Takes who has proved a token and what admission says; whatever ends it, the log gets its
last record and both connections are let go. Knows no protocol but through its interface.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from time import monotonic

from policies.classifiers import classifier_for, remains_for
from policies.decide import Verdict
from policies.egress import Address
from policies.length import longest_statement
from protocols.errors import Reason, Refusal
from protocols.interface import Arrival, ClientLeg, SessionKey
from protocols.scanner import Scanner
from protocols.statements import Statement
from proxy.audit.context import Leg as AuditLeg
from proxy.audit.context import SessionContext
from proxy.audit.events import session_failed, session_opened
from proxy.gateway.admission import Admission, Admitted
from proxy.gateway.authenticate import Authenticated, shown_name
from proxy.gateway.channel import SocketChannel
from proxy.gateway.deadline import Deadline
from proxy.gateway.judge import Judge, Ruler
from proxy.gateway.layer import Layer, layers
from proxy.gateway.lease import Lease, Wish
from proxy.gateway.live_session import STOP_SECONDS, LiveSession
from proxy.gateway.record import JudgedRecorder, LimitedRecorder, MeteredRecorder
from proxy.gateway.relay import Relay
from proxy.gateway.rooms import Door, Rooms
from proxy.gateway.rotation import is_rotated
from proxy.gateway.turns import SessionTurns
from proxy.gateway.upstream import at_endpoint
from proxy.metrics import SessionState
from proxy.store.records import Source


@dataclass(frozen=True, slots=True)
class Visitor:
    """A client's connection: where it comes from, its leg, and what we call it.

    ``began`` is when it was accepted (monotonic seconds).
    """

    channel: SocketChannel
    leg: ClientLeg
    key: SessionKey
    id: str
    ip: str
    address: Address
    port: int
    began: float


class Serving:
    """One session of a client that has proved a token."""

    def __init__(
        self,
        door: Door,
        rooms: Rooms,
        visitor: Visitor,
        arrival: Arrival,
        proved: Authenticated,
        move: Callable[[SessionState], None],
    ) -> None:
        self._door = door
        self._rooms = rooms
        self._visitor = visitor
        self._arrival = arrival
        self._proved = proved
        self._move = move
        self._deadline: Deadline | None = None

    async def run(self, admission: Admission) -> None:
        """Open the source and serve the client to its end. Raises Refusal before the welcome."""
        rooms = self._rooms
        context: SessionContext | None = None
        try:
            admission.enter()
            self._move(SessionState.CONNECTING)
            grant, source = await admission.grant()
            context = self._context(source)
            admitted = await admission.admit(grant, source)
            wish = Wish(
                self._door.protocol,
                self._proved.entry.workspace,
                source,
                self._arrival,
                admitted.rules,
            )
            hold: Lease | SessionTurns
            if source.pooling.mode == "transaction":
                hold = await rooms.pools.enter(wish, context)
            else:
                hold = await rooms.pools.acquire(wish, context)
        except Refusal as refusal:
            rooms.audit.record(
                session_failed(
                    context or self._context(None),
                    reason=str(refusal.reason),
                    detail=refusal.private,
                    code=refusal.code or "",
                )
            )
            raise
        source, welcome = hold.source, hold.welcome
        if source is not admitted.source:
            admitted = replace(admitted, source=source)
        try:
            context = replace(
                at_endpoint(context, welcome.endpoint, welcome.address),
                upstream_leg=AuditLeg(welcome.tls_version, welcome.cipher),
                server_version=welcome.upstream.server_version,
            )
            event = session_opened(
                context,
                auth_method=welcome.upstream.method,
                connection=hold.id,
                is_reused=hold.is_reused,
            )
            if source.credential is None or hold.is_reused:
                # No record of the credential's use has been waited for.
                await rooms.audit.record_durably(event)
            else:
                rooms.audit.record(event)
            recorder = self._recorder(admitted, context)
            await self._serve(admitted, hold, recorder, context)
        finally:
            hold.over()

    async def _serve(
        self,
        admitted: Admitted,
        hold: Lease | SessionTurns,
        recorder: MeteredRecorder,
        context: SessionContext,
    ) -> None:
        """The relay's life, and the session's last record."""
        rooms = self._rooms
        word = "not started"
        relay = Relay(self._scanner(admitted, hold, recorder), rooms.audit, rooms.metrics)
        try:
            word = await self._relay(admitted, hold, relay, context)
        except asyncio.CancelledError:
            word = "the proxy stopped"
            raise
        finally:
            relay.scanner.close(monotonic())
            recorder.close(
                word,
                bytes_in=relay.bytes_from_client,
                bytes_out=relay.bytes_from_source,
                duration=monotonic() - self._visitor.began,
                detail="" if relay.reason is None else relay.reason.private,
            )
            rooms.metrics.sessions_ended.add(
                "closed" if relay.reason is None else relay.reason.reason
            )

    def _scanner(
        self, admitted: Admitted, hold: Lease | SessionTurns, recorder: MeteredRecorder
    ) -> Scanner:
        rooms, source, protocol = self._rooms, admitted.source, self._door.protocol
        upstream = hold.welcome.upstream
        if isinstance(hold, SessionTurns):
            sharing, remains = protocol.sharing, remains_for(source.engine)
            assert sharing is not None, "the store allows no other"
            assert remains is not None, "the store allows no other"
            return sharing.scanner(
                upstream,
                recorder,
                rooms.scan_limits,
                hold.texts,
                remains,
                rooms.metrics.pool_pins.add,
                hold.was_reset,
                admitted.meter,
            )
        return protocol.scanner(
            self._arrival,
            upstream,
            recorder,
            rooms.scan_limits,
            rooms.live.killer(source.workspace_id, source.id),
            admitted.meter,
        )

    async def _relay(
        self,
        admitted: Admitted,
        hold: Lease | SessionTurns,
        relay: Relay,
        context: SessionContext,
    ) -> str:
        """From the welcome to the end; returns why it ended."""
        rooms, arrival, visitor = self._rooms, self._arrival, self._visitor
        protocol, source, upstream = self._door.protocol, admitted.source, hold.welcome.upstream
        live = LiveSession(
            id=visitor.id,
            key=visitor.key,
            upstream_number=upstream.number,
            version=arrival.version,
            grant=admitted.grant,
            policy=admitted.policy,
            workspace=arrival.workspace,
            source=source,
            endpoint=hold.welcome.endpoint,
            application_name=arrival.application_name,
            client=f"{visitor.ip}:{visitor.port}",
            started=monotonic(),
            started_at=rooms.clock(),
            relay=relay,
            stop_statement=self._stop_statement(hold, source, context),
            is_encrypted=arrival.is_encrypted,
            is_local=visitor.address.is_loopback,
            meter=admitted.meter,
            deadline=self._deadline,
        )
        rooms.live.watch(live)
        try:
            rooms.live.add(live)
            # A change between the login and this line found no session to cut.
            await self._still_granted(source)
            welcome = visitor.leg.welcome(arrival, upstream)
            wrappings = protocol.wrappings(arrival, upstream, relay.scanner)
            legs = layers(wrappings, relay.cut)
            early = await self._connect_relay(hold, relay, welcome, legs)
            rooms.metrics.setup_seconds.observe(monotonic() - visitor.began)
            self._move(SessionState.OPEN)
            if early:
                relay.from_client(early)
            return await relay.finished
        except BaseException:
            relay.abort()
            raise
        finally:
            rooms.live.remove(live)

    def _stop_statement(
        self, hold: Lease | SessionTurns, source: Source, context: SessionContext
    ) -> Callable[[], Awaitable[None]]:
        """What stops what the session runs.

        Made here, since a function made in ``_relay`` would, compiled, hold all that is known
        there: the session that it is a part of, until Python next looks for cycles.
        """
        rooms, protocol, workspace = self._rooms, self._door.protocol, self._proved.entry.workspace
        return hold.stopper(
            lambda opened: rooms.upstreams.stopper(
                protocol, workspace, source, opened, context, rooms.authenticator.stored
            )
        )

    async def _connect_relay(
        self,
        hold: Lease | SessionTurns,
        relay: Relay,
        welcome: bytes,
        legs: tuple[Layer | None, Layer | None],
    ) -> bytes:
        """Give both connections to the relay; returns what the client has sent already.

        Raises Refusal where the session was cut, or the source has gone, meanwhile.
        """
        client, source = legs
        await hold.connect(relay, source)
        if relay.is_closing:
            raise relay.reason or Refusal(
                Reason.SOURCE_LOST, "the data source closed the connection"
            )
        self._visitor.channel.write(welcome)
        # A client that does not take its welcome would wait here for ever.
        with self._rooms.login_patience.limit():
            _, early = await self._visitor.channel.hand_over(relay.client_side, client)
        return early

    async def _still_granted(self, source: Source) -> None:
        authenticator = self._rooms.authenticator
        again = await authenticator.again(self._arrival.workspace, self._proved.token.id)
        now = None if again is None else await authenticator.source(again, source.name)
        if now is None or not (now == source or is_rotated(source, now)):
            raise Refusal(
                Reason.SESSION_ENDED, "the session's rights have just changed; log in again"
            )

    def _recorder(self, admitted: Admitted, context: SessionContext) -> MeteredRecorder:
        policy, source = admitted.policy, admitted.source
        recorder = self._rooms.audit.recorder(context)
        classifier = classifier_for(source.engine) if policy.is_restricted else None
        meter, metrics = admitted.meter, self._rooms.metrics
        seconds = policy.limits.statement_seconds
        if seconds is not None:
            self._deadline = Deadline(seconds, metrics, STOP_SECONDS)
        deadline = self._deadline
        longest = longest_statement(policy.limits, source.engine)
        verdict: Callable[[Statement], Verdict] | None = None
        if classifier is not None:
            scope = f"{source.workspace_id} {source.engine}"
            verdicts = self._rooms.verdicts
            verdict = Judge(policy, classifier, admitted.schema, verdicts, scope, longest).verdict
        elif longest is not None:
            verdict = Ruler(longest).verdict
        if meter is not None:
            return LimitedRecorder(recorder, metrics, meter, verdict, deadline)
        if verdict is not None:
            return JudgedRecorder(recorder, metrics, verdict, deadline)
        return MeteredRecorder(recorder, metrics, deadline)

    def _context(self, source: Source | None) -> SessionContext:
        visitor, proved = self._visitor, self._proved
        return SessionContext(
            session_id=visitor.id,
            workspace_id=proved.entry.workspace.id,
            workspace=proved.entry.workspace.name,
            source_id="" if source is None else source.id,
            source=shown_name(self._arrival.source),
            engine=self._door.protocol.engine,
            database="" if source is None else source.database,
            token_id=proved.token.id,
            application_name=self._arrival.application_name,
            client_ip=visitor.ip,
            client_port=visitor.port,
            started=self._rooms.clock().timestamp(),
            started_monotonic=monotonic(),
            client_leg=AuditLeg(visitor.channel.tls_version, visitor.channel.cipher),
            upstream_user="" if source is None else source.username,
            default_database="" if source is None else self._default_database(source),
        )

    def _default_database(self, source: Source) -> str:
        """Where a name without a database is looked up; "" where the protocol fixes a schema."""
        if self._door.protocol.default_schema:
            return ""
        return self._arrival.parameters.get("database") or source.database
