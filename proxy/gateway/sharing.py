"""The pools of a process, also of sources whose connections are had for a transaction each.

What a session needs of them for its turns: a connection that is in the relays' hands from its
login to its end, reset and lent again where a session has left something in it, and what a
login tells, for clients to come. Knows no protocol but through its interface.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import replace
from functools import partial
from time import monotonic

from policies.classifiers import remains_for
from protocols.errors import PeerClosed, Reason, Refusal
from protocols.interface import Entropy
from proxy.audit.context import SessionContext
from proxy.gateway.authenticate import Authenticator
from proxy.gateway.channel import WRITE_HIGH, WRITE_LOW
from proxy.gateway.ends import nothing
from proxy.gateway.lease import Connection, Loan, Welcome, Wish
from proxy.gateway.pool import Pool
from proxy.gateway.pooling import Pools
from proxy.gateway.relay import SourceSide
from proxy.gateway.turns import SessionTurns, Shared
from proxy.gateway.upstream import Upstreams
from proxy.metrics import Metrics, PoolClose, PoolState
from proxy.store.sources import is_same_place


class SharingPools(Pools):
    """The connections of all pooled sources of this process."""

    def __init__(
        self,
        upstreams: Upstreams,
        authenticator: Authenticator,
        metrics: Metrics,
        entropy: Entropy,
        workers: int = 1,
    ) -> None:
        super().__init__(upstreams, authenticator, metrics, entropy, workers)
        self._shared: dict[tuple[str, str], Shared] = {}

    def _is_needed(self, place: tuple[str, str]) -> bool:
        shared = self._shared.get(place)
        if shared is not None and shared.sessions:
            return True
        self._shared.pop(place, None)
        return False

    def _outdate(self, place: tuple[str, str]) -> None:
        if place in self._shared:
            self._shared[place].outdate()

    async def _put_back(self, pool: Pool, key: Hashable, connection: Connection) -> None:
        if connection.loan is None:
            await super()._put_back(pool, key, connection)
        else:
            await self._lend_again(pool, key, connection)

    async def enter(self, wish: Wish, context: SessionContext) -> SessionTurns:
        """A session's turns at the connections of a source that was granted.

        Nothing is opened where it is known what a login to it tells. Raises Refusal.
        """
        self._upstreams.check(wish.protocol, wish.workspace, wish.source)
        if (wish.source.workspace_id, wish.source.id) not in self._shared:
            # In a thread: its first call loads a grammar, for a fifth of a second.
            await asyncio.to_thread(remains_for, wish.source.engine)
        shared = self._shared_of(wish)
        welcome = shared.welcomes.get(wish.key())
        shared.sessions += 1
        try:
            while welcome is None:
                ticket = await self._place(
                    shared.pool, wish.key(), wish.source.pooling.queue_seconds
                )
                if ticket.found is not None:
                    shared.remember(ticket.found.key, Welcome.of(ticket.found.connection.opened))
                    shared.pool.withdraw(ticket, monotonic())
                else:
                    wish = await self._learn(shared, wish, context)
                welcome = shared.welcomes.get(wish.key())
            return SessionTurns(self, shared, wish, context, welcome, self._metrics)
        finally:
            shared.sessions -= 1

    async def _learn(self, shared: Shared, wish: Wish, context: SessionContext) -> Wish:
        """Open a connection for what its login tells, and leave it to whoever is next."""
        self._metrics.pool_misses += 1
        try:
            connection = await self.open_shared(shared, wish, context)
        except BaseException:
            shared.pool.leave()
            raise
        self._put(shared.pool, connection)
        return connection.wish

    def _shared_of(self, wish: Wish) -> Shared:
        source = wish.source
        place = (source.workspace_id, source.id)
        pool = self._pool(source)
        shared = self._shared.get(place)
        if shared is None:
            sharing = wish.protocol.sharing
            assert sharing is not None, "the store refuses the setting for other engines"
            shared = self._shared[place] = Shared(pool, sharing.texts())
        return shared

    async def open_shared(self, shared: Shared, wish: Wish, context: SessionContext) -> Connection:
        """See ``Lender.open_shared``."""
        generation = shared.generation
        connection = await self._with_newer(wish, partial(self._open_kept, context))
        key = shared.key_of(connection.wish)
        try:
            await self._lend(shared, connection, key, generation)
        except BaseException as error:
            connection.opened.channel.abandon()
            if isinstance(error, PeerClosed):
                raise Refusal(Reason.SOURCE_LOST, "the data source closed the connection") from None
            raise
        if generation == shared.generation:
            shared.remember(key, Welcome.of(connection.opened))
        self._move(connection, PoolState.ACTIVE)
        return connection

    async def _open_kept(self, context: SessionContext, wish: Wish) -> Connection:
        opened = await self._open(wish, context, is_kept=True)
        return self._connection(wish, opened)

    async def _lend(
        self, shared: Shared, connection: Connection, key: Hashable, generation: int
    ) -> None:
        """Give a connection into the relays' hands. Raises PeerClosed."""
        sharing = connection.wish.protocol.sharing
        assert sharing is not None, "only such connections are lent"
        opened = connection.opened
        side = SourceSide(None)
        # No function within this one, as in ``_place``.
        side.on_stir = partial(self._stirred, shared.pool, connection)
        transport, early = await opened.channel.hand_over(side)
        transport.set_write_buffer_limits(high=WRITE_HIGH, low=WRITE_LOW)
        if early:
            opened.channel.take_back()
            raise PeerClosed("the data source spoke unasked")
        memory = sharing.memory(opened.upstream, shared.texts)
        connection.loan = Loan(key, generation, memory, side, transport)

    async def renewed(self, wish: Wish) -> Wish:
        """See ``Lender.renewed``."""
        place = await self._authenticator.place(wish.workspace, wish.source.name)
        if place is None or not is_same_place(place[1], wish.source):
            raise Refusal(
                Reason.SESSION_ENDED, "the session's rights have just changed; log in again"
            )
        return replace(wish, workspace=place[0], source=place[1])

    def clean(self, connection: Connection, is_in_transaction: bool) -> None:
        """See ``Lender.clean``."""
        loan, source = connection.loan, connection.wish.source
        assert loan is not None, "only what is lent is cleaned"
        pool = self._shared[source.workspace_id, source.id].pool
        self._take_back(pool, loan.key, connection, is_in_transaction)

    def part(self, connection: Connection, cause: PoolClose) -> None:
        """See ``Lender.part``."""
        self._part(connection, cause)

    def lost(self, connection: Connection) -> None:
        """See ``Lender.lost``."""
        self._closed(connection, PoolClose.UNCLEAN)

    def _closed(self, connection: Connection, cause: PoolClose) -> None:
        super()._closed(connection, cause)
        if connection.loan is not None:
            # Each knew the other: both are freed now, not when Python next looks for cycles.
            connection.loan.side.on_stir = nothing

    def _put(self, pool: Pool, connection: Connection) -> None:
        """A lent connection that nothing was done with."""
        loan = connection.loan
        assert loan is not None, "only what is lent is put there"
        self._move(connection, PoolState.IDLE)
        pool.put(loan.key, connection, connection.expires, monotonic())

    async def _lend_again(self, pool: Pool, key: Hashable, connection: Connection) -> None:
        source = connection.wish.source
        shared = self._shared[source.workspace_id, source.id]
        try:
            await self._lend(shared, connection, key, shared.generation)
        except PeerClosed:
            self._part(connection, PoolClose.LOST)
            pool.leave()
        else:
            self._put(pool, connection)
