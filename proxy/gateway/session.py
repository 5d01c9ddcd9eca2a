"""The life of a connection, as a script: from an accepted socket to its last word.

Each step takes what only the step before can make. Whatever ends it, the client gets
one clear sentence, the log gets its records, and every place and descriptor is given
back. Knows no protocol but through its interface.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from ipaddress import ip_address
from time import monotonic
from uuid import uuid4

import structlog

from protocols.errors import PeerClosed, PeerViolation, Reason, Refusal
from protocols.interface import Arrival, CancelArrival
from proxy.audit.events import authenticated as authenticated_event
from proxy.gateway.admission import Admission
from proxy.gateway.authenticate import Authenticated, shown_name
from proxy.gateway.channel import SocketChannel
from proxy.gateway.rooms import Door, Rooms
from proxy.gateway.serving import Serving, Visitor
from proxy.metrics import Leg, Login, SessionState

log = structlog.get_logger("session")


class Session:
    """One accepted connection. ``run`` is its whole life and never raises."""

    def __init__(
        self, door: Door, rooms: Rooms, sock: socket.socket, address: tuple[str, int]
    ) -> None:
        self._door = door
        self._rooms = rooms
        key = rooms.live.new_key()
        self._visitor = Visitor(
            channel=SocketChannel(sock, door.tls, rooms.poller, is_server=True),
            leg=door.protocol.client_leg(key, os.urandom),
            key=key,
            id=uuid4().hex,
            ip=address[0],
            address=ip_address(address[0]),
            port=address[1],
            began=monotonic(),
        )
        self._state: SessionState | None = None

    async def run(self, logged_in: Callable[[], None]) -> None:
        """Serve the connection. ``logged_in`` is called when it stops being a pending login."""
        visitor = self._visitor
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
            await visitor.channel.close()
        except asyncio.CancelledError:
            await self._stop()
            raise
        except Exception:
            # The session is a boundary: a bug of ours ends it, not the proxy.
            log.exception("session failed", session=visitor.id)
            await self._refuse(Refusal(Reason.INTERNAL, "internal error of the proxy"))
        finally:
            self._rooms.live.forget_key(visitor.key)
            self._move(None)

    async def _run(self, logged_in: Callable[[], None]) -> None:
        rooms, visitor = self._rooms, self._visitor
        protocol = self._door.protocol
        with rooms.login_patience.limit():
            arrival = await visitor.leg.greet(visitor.channel)
        if isinstance(arrival, CancelArrival):
            logged_in()
            await rooms.cancels.handle(protocol, arrival)
            await visitor.channel.close()
            return
        self._check_transport(arrival)
        if rooms.live.drain_refusal is not None:
            raise rooms.live.drain_refusal.again()
        proved = await self._authenticate(arrival)
        logged_in()
        admission = Admission(self._door, rooms, arrival, proved, visitor.address)
        try:
            await Serving(self._door, rooms, visitor, arrival, proved, self._move).run(admission)
        finally:
            admission.close()

    # -- who ---------------------------------------------------------------------------

    def _check_transport(self, arrival: Arrival) -> None:
        self._rooms.metrics.used_tls(
            Leg.CLIENT, self._door.tls.profile if arrival.is_encrypted else "none"
        )
        allowed = self._door.config.plaintext
        if arrival.is_encrypted or allowed == "always":
            return
        if allowed == "loopback" and self._visitor.address.is_loopback:
            return
        raise Refusal(Reason.TLS_REQUIRED, "this proxy accepts only encrypted connections")

    async def _authenticate(self, arrival: Arrival) -> Authenticated:
        rooms, visitor = self._rooms, self._visitor
        try:
            with rooms.login_patience.limit():
                proved = await rooms.authenticator.authenticate(
                    visitor.leg, visitor.channel, arrival
                )
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
                client_ip=self._visitor.ip,
                client_port=self._visitor.port,
                session_id=self._visitor.id,
                protocol=self._door.protocol.name,
                reason=reason,
                is_encrypted=arrival.is_encrypted,
            )
        )

    # -- no ----------------------------------------------------------------------------

    async def _refuse(self, refusal: Refusal, *, is_told: bool = False) -> None:
        """Tell the client, no sooner than the floor: causes must not be told apart by time.

        ``is_told``: the protocol has written what the client understands.
        """
        visitor = self._visitor
        self._rooms.metrics.refused(refusal.reason)
        log.info(
            "session refused",
            session=visitor.id,
            reason=str(refusal.reason),
            detail=refusal.private,
            client=visitor.ip,
        )
        wait = self._rooms.limits.failure_floor - (monotonic() - visitor.began)
        try:
            if wait > 0:
                await asyncio.sleep(wait)
        except asyncio.CancelledError:
            await self._stop()
            raise
        await visitor.channel.close(b"" if is_told else visitor.leg.refusal(refusal))

    async def _stop(self) -> None:
        """The proxy ends: who is still in a login is told so. Bounded by the channel's close."""
        channel, refusal = self._visitor.channel, self._rooms.live.drain_refusal
        if refusal is None or self._state is SessionState.OPEN:
            channel.abandon()
            return
        self._rooms.metrics.refused(refusal.reason)
        await channel.close(self._visitor.leg.refusal(refusal))

    def _move(self, state: SessionState | None) -> None:
        self._rooms.metrics.move_session(self._state, state)
        self._state = state
