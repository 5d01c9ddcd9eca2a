"""A client's wish to stop a statement: whose, and only that one.

A cancel request comes on a connection of its own and gets no answer, right or wrong. It
stops what its session runs now, never the next statement: see ``LiveSessions.cancel``.
"""

from __future__ import annotations

import asyncio

from protocols.interface import CancelArrival, WireProtocol
from proxy.gateway.live import LiveSessions
from proxy.gateway.neighbours import NO_NEIGHBOURS, Neighbours
from proxy.metrics import Metrics


class Cancels:
    """Takes cancel requests to their sessions."""

    def __init__(
        self, live: LiveSessions, metrics: Metrics, neighbours: Neighbours = NO_NEIGHBOURS
    ) -> None:
        self._live = live
        self._metrics = metrics
        self._neighbours = neighbours

    async def handle(self, protocol: WireProtocol, arrival: CancelArrival) -> None:
        """Stop the statement of the session that the request's key opens, if one runs.

        The kernel gives a connection to any worker, so the session may be another's: the
        number says whose, and that worker alone compares the key.
        """
        number = protocol.cancel_number(arrival)
        if self._neighbours.has(number):
            if not await self._neighbours.cancel(protocol.name, number, arrival):
                self._metrics.cancels.add("ignored")
            return
        session = self._live.by_number(number)
        if (
            session is None
            or not protocol.match_cancel(arrival, session.key, session.version)
            # A key that was given over TLS is worth nothing in plaintext: it was overheard.
            or (session.is_encrypted and not arrival.is_encrypted and not session.is_local)
            or not session.has_statement_to_cancel
        ):
            self._metrics.cancels.add("ignored")
            return
        self._metrics.cancels.add("forwarded")
        await asyncio.shield(self._live.cancel(session))
