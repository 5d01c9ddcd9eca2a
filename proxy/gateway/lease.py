"""One connection to a data source, and one session's hold on it.

The hold ends in one of two ways: the relay gives the connection away, to be reset for
others, or the session ends and it is closed. Knows no pool, and no protocol but through
its interface.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from protocols.errors import PeerClosed, Reason, Refusal
from protocols.interface import Arrival, SessionRules, Upstream, WireProtocol
from proxy.gateway.layer import Layer
from proxy.gateway.relay import Relay, SourceSide, plain_of
from proxy.gateway.upstream import Opened
from proxy.metrics.metrics import Metrics, PoolState
from proxy.store.failover import Endpoint
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


class Loan:
    """A connection that sessions have for a transaction each, while it is in the relays' hands.

    ``key`` is its pool's, ``generation`` the pool's when it was opened, ``memory`` the
    protocol's. ``plain`` is the transport again, where it is in plaintext. ``is_unclean``: since
    its reset a request to stop a statement has gone there, or its client had it for itself.
    """

    def __init__(
        self,
        key: Hashable,
        generation: int,
        memory: object,
        side: SourceSide,
        transport: asyncio.Transport,
    ) -> None:
        self.key = key
        self.generation = generation
        self.memory = memory
        self.side = side
        self.is_unclean = False
        self.transport = transport
        self.plain = plain_of(transport)
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def is_quiet(self) -> bool:
        """Whether the connection stands and its server has said nothing."""
        if self.plain is not None and self.plain.is_quiet():
            # The loop watches it, and has just looked: to ask the kernel once more for each
            # transaction is a tenth of what one costs.
            return True
        return not self.transport.is_closing() and not self._poll.poll(0)


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a connection's login has told: its client, and the log."""

    upstream: Upstream
    tls_version: str
    cipher: str
    endpoint: Endpoint
    address: tuple[str, int]

    @classmethod
    def of(cls, opened: Opened) -> Welcome:
        """This connection's."""
        channel = opened.channel
        return cls(
            opened.upstream, channel.tls_version, channel.cipher, opened.endpoint, opened.address
        )


class Connection:
    """An open connection to a data source, whoever uses it. ``id`` is its name in the log.

    ``stops`` are the requests to stop a statement that are on their way to the data source;
    ``is_in_doubt``: one of them ended without an answer, and may still arrive. ``loan`` is what
    sessions need that have it for a transaction each; None where they have it to their end.
    """

    def __init__(self, id: str, wish: Wish, opened: Opened, expires: float) -> None:
        self.id = id
        self.wish = wish
        self.opened = opened
        self.expires = expires
        self.state: PoolState | None = None
        self.stops = 0
        self.is_in_doubt = False
        self.are_stopped = asyncio.Event()
        self.loan: Loan | None = None

    def move(self, state: PoolState | None, metrics: Metrics) -> None:
        """Count it where it is from now on; None: closed."""
        metrics.move_pooled(self.state, state)
        self.state = state

    def is_quiet(self) -> bool:
        """Whether it stands while nobody uses it, and its server has said nothing."""
        return self.opened.channel.is_quiet if self.loan is None else self.loan.is_quiet()


async def stop_on(connection: Connection, stop: Callable[[], Awaitable[None]]) -> None:
    """Have what runs there stopped. Until it is known that this has arrived, the connection is
    nobody else's.
    """
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
    def welcome(self) -> Welcome:
        """What its client is told, and the log."""
        return Welcome.of(self._connection.opened)

    async def connect(self, relay: Relay, layer: Layer | None) -> None:
        """Give the connection to the relay, which waits for its client. Raises Refusal."""
        relay.keep = None if self._give is None else self._keep
        try:
            _, early = await self._connection.opened.channel.hand_over(relay.source_side, layer)
        except PeerClosed:
            raise Refusal(Reason.SOURCE_LOST, "the data source closed the connection") from None
        relay.wait_for_client()
        if early:
            relay.from_source(early)

    def _keep(self, is_in_transaction: bool) -> None:
        if self._is_over or self._give is None:
            return
        self._is_over = True
        self._give(self._connection, is_in_transaction)

    def over(self) -> None:
        """The session is over; what was not kept is closed."""
        if not self._is_over:
            self._is_over = True
            self._connection.opened.channel.abandon()
            self._lose(self._connection)

    def stopper(
        self, make: Callable[[Opened], Callable[[], Awaitable[None]]]
    ) -> Callable[[], Awaitable[None]]:
        """What stops what this session runs, and nothing of whoever comes after it.

        ``make`` makes it for a connection.
        """
        connection = self._connection
        stop = make(connection.opened)

        async def stop_this() -> None:
            if not self._is_over:
                await stop_on(connection, stop)

        return stop_this
