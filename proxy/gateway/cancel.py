"""A client's wish to stop a statement: whose, and only that one.

A cancel request comes on a connection of its own and gets no answer, right or wrong. It
stops what its session runs now, never the next statement: while our request is on its
way, the session's client is read no further.
"""

from __future__ import annotations

import asyncio

from protocols.errors import Refusal
from protocols.interface import CancelArrival, WireProtocol
from proxy.gateway.live import LiveSession, LiveSessions
from proxy.gateway.relay import CANCELLING
from proxy.metrics import Metrics

# How long the data source may take to note a cancel request.
CANCEL_SECONDS = 5.0


class Cancels:
    """Takes cancel requests to their sessions."""

    def __init__(self, live: LiveSessions, metrics: Metrics) -> None:
        self._live = live
        self._metrics = metrics

    async def handle(self, protocol: WireProtocol, arrival: CancelArrival) -> None:
        """Stop the statement of the session that the request's key opens, if one runs."""
        session = self._live.by_number(protocol.cancel_number(arrival))
        if (
            session is None
            or not protocol.match_cancel(arrival, session.key, session.version)
            # A key that was given over TLS is worth nothing in plaintext: it was overheard.
            or (session.is_encrypted and not arrival.is_encrypted and not session.is_local)
            or not session.scanner.has_outstanding
            or session.cancelling is not None
        ):
            self._metrics.cancels.add("ignored")
            return
        self._metrics.cancels.add("forwarded")
        session.cancelling = asyncio.create_task(self._stop(session), name="cancel a statement")
        await asyncio.shield(session.cancelling)

    async def _stop(self, session: LiveSession) -> None:
        session.relay.hold(CANCELLING)
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                await session.stop_statement()
        except (OSError, TimeoutError, Refusal):
            # As with a server that cannot be reached: the statement goes on.
            return
        finally:
            session.cancelling = None
            session.relay.release(CANCELLING)
