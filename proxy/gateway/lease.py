"""One connection to a data source, and one session's hold on it.

The hold ends in one of two ways: the relay gives the connection away, to be reset for
others, or the session ends and it is closed. Knows no pool, and no protocol but through
its interface.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field

from protocols.interface import Arrival, SessionRules, WireProtocol
from proxy.gateway.upstream import Opened
from proxy.metrics import PoolState
from proxy.store.records import Source, Workspace


@dataclass(frozen=True, slots=True)
class Wish:
    """What a connection is to be: for whom, to what, and as which client's session."""

    protocol: WireProtocol
    workspace: Workspace
    source: Source
    arrival: Arrival
    rules: SessionRules | None

    def key(self) -> Hashable:
        """What two sessions of one source must have in common to have the same connection."""
        source = self.source
        return (
            self.protocol.name,
            source.version,
            source.password_version,
            source.client_key_version,
            self.rules,
            self.protocol.session_settings(self.arrival),
        )


@dataclass(slots=True, eq=False)
class Connection:
    """An open connection to a data source, whoever uses it. ``id`` is its name in the log."""

    id: str
    wish: Wish
    opened: Opened
    expires: float
    state: PoolState | None = None
    stops: int = 0
    """Requests to stop a statement that are on their way to the data source."""
    is_in_doubt: bool = False
    """One of them ended without an answer: it may still arrive."""
    are_stopped: asyncio.Event = field(default_factory=asyncio.Event)


class Lease:
    """A session's hold on a connection, to its end.

    ``is_reused``: other sessions had it before.
    """

    def __init__(
        self,
        connection: Connection,
        give: Callable[[Connection, bool], None] | None,
        lose: Callable[[Connection], None],
        *,
        is_reused: bool,
    ) -> None:
        self._connection = connection
        self._give = give
        self._lose = lose
        self._is_over = False
        self.is_reused = is_reused

    @property
    def id(self) -> str:
        """The connection's name in the log."""
        return self._connection.id

    @property
    def source(self) -> Source:
        """The source as it was opened: perhaps with a newer credential than was asked for."""
        return self._connection.wish.source

    @property
    def opened(self) -> Opened:
        """The connection."""
        return self._connection.opened

    @property
    def keep(self) -> Callable[[bool], None] | None:
        """Takes the connection from the relay, for others; None where it is not kept."""
        return None if self._give is None else self._keep

    def _keep(self, is_in_transaction: bool) -> None:
        if self._is_over or self._give is None:
            return
        self._is_over = True
        self._give(self._connection, is_in_transaction)

    def end(self) -> None:
        """The session is over; what was not kept is closed."""
        if not self._is_over:
            self._is_over = True
            self._connection.opened.channel.abandon()
            self._lose(self._connection)

    def guarded(self, stop: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """``stop`` stops what this session runs, and nothing of whoever comes after it."""
        connection = self._connection

        async def stop_this() -> None:
            if self._is_over:
                return
            connection.stops += 1
            connection.are_stopped.clear()
            is_answered = False
            try:
                await stop()
                is_answered = True
            finally:
                connection.stops -= 1
                connection.is_in_doubt |= not is_answered
                if connection.stops == 0:
                    connection.are_stopped.set()

        return stop_this
