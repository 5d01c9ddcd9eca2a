"""Upstream connections are kept and handed on: asked for, reset, watched while idle, closed.

A connection belongs to one workspace, one source as it was stored, and one set of session
settings; the next client of the same gets it after a reset that was seen to work. What is
in doubt is closed. The pools decide (``pool``); the protocols know how to reset. Knows no
protocol but through its interface, and no credential.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TypeVar
from uuid import uuid4

import structlog

from protocols.errors import PeerClosed, PeerViolation, Reason, Refusal, UpstreamRefused
from protocols.interface import Entropy
from proxy.audit.context import SessionContext
from proxy.gateway.authenticate import Authenticator
from proxy.gateway.blame import CredentialRejected
from proxy.gateway.lease import Connection, Lease, Wish
from proxy.gateway.pool import Idle, Pool, QueueFull, Ticket
from proxy.gateway.rotation import wait_for_newer
from proxy.gateway.turns import FULL
from proxy.gateway.upstream import Opened, Upstreams
from proxy.metrics import Metrics, PoolClose, PoolState
from proxy.patience import Patience
from proxy.standing import stand
from proxy.store.records import Change, ChangeKind, Source

log = structlog.get_logger("pool")

RESET_SECONDS = 5.0
"""How long a reset may take. It is nobody's time but the connection's."""
SWEEP_SECONDS = 1.0
ROTATIONS = 2
"""How many newer credentials one session tries."""
ROLE_SECONDS = 1.0
"""How old what a server has said of its role may be, where a source asks for one; and how long
it may take to say it again."""
YOUNGER = 0.1
"""The part of a connection's life time that is left out at random: those that were opened
together are not closed together."""

T = TypeVar("T")


class Pools:
    """The connections of all pooled sources of this process, which is one of ``workers``."""

    def __init__(
        self,
        upstreams: Upstreams,
        authenticator: Authenticator,
        metrics: Metrics,
        entropy: Entropy,
        workers: int = 1,
    ) -> None:
        self._upstreams = upstreams
        self._authenticator = authenticator
        self._metrics = metrics
        self._entropy = entropy
        self._workers = workers
        self._pools: dict[tuple[str, str], Pool] = {}
        self._resets: set[asyncio.Task[None]] = set()
        self._reset_patience = Patience(RESET_SECONDS)
        self._sweeper: asyncio.Task[None] | None = None
        self._is_closed = False

    # -- life --------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the sweep."""
        sweeping = stand(self._sweep, "the pools could not be swept")
        self._sweeper = asyncio.create_task(sweeping, name="pools: sweep")

    async def stop(self) -> None:
        """Close what is idle, give up what is being reset, and keep nothing more."""
        self._is_closed = True
        tasks = [*self._resets, *([] if self._sweeper is None else [self._sweeper])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for pool in self._pools.values():
            pool.clear(PoolClose.SHUTDOWN)

    async def _sweep(self) -> None:
        await asyncio.sleep(SWEEP_SECONDS)
        now = monotonic()
        for place, pool in list(self._pools.items()):
            pool.sweep(now)
            if pool.is_unused and not self._is_needed(place):
                del self._pools[place]

    def changed(self, change: Change) -> None:
        """A change has happened; what it may concern is closed, and what is in use will be.

        A connection in use is held against the store when it comes back.
        """
        if change.kind is ChangeKind.TOKEN:
            # Nothing of a connection is its first client's token's.
            return
        for (workspace_id, source_id), pool in list(self._pools.items()):
            if change.kind is not ChangeKind.EVERYTHING:
                if workspace_id != change.workspace_id:
                    continue
                is_of_source = change.kind in (ChangeKind.SOURCE, ChangeKind.CREDENTIAL)
                if is_of_source and change.object_id != source_id:
                    continue
            self._outdate((workspace_id, source_id))
            pool.clear(PoolClose.CHANGED)

    # -- a session's ------------------------------------------------------------------

    async def acquire(self, wish: Wish, context: SessionContext) -> Lease:
        """A connection to a source that was granted: a kept one, or a new one.

        Where the server, which has let us in before, no longer does, a newer credential is
        waited for. Raises Refusal.
        """
        self._upstreams.check(wish.protocol, wish.workspace, wish.source)
        return await self._with_newer(wish, lambda wish: self._acquire(wish, context))

    async def _with_newer(self, wish: Wish, work: Callable[[Wish], Awaitable[T]]) -> T:
        left = ROTATIONS
        while True:
            try:
                return await work(wish)
            except CredentialRejected:
                if left == 0 or not self._upstreams.has_accepted(wish.source):
                    raise
                left -= 1
                newer = await wait_for_newer(wish.source, self._authenticator.stored)
                if newer is None:
                    raise
                wish = replace(wish, source=newer)

    async def _acquire(self, wish: Wish, context: SessionContext) -> Lease:
        source = wish.source
        if source.pooling.mode == "off":
            opened = await self._open(wish, context)
            return Lease(self._connection(wish, opened), None, _nothing, is_reused=False)
        pool = self._pool(source)
        key = wish.key()
        while True:
            ticket = await self._place(pool, key, source.pooling.queue_seconds)
            if ticket.found is None:
                break
            connection = ticket.found.connection
            connection.opened.channel.watch(None)
            cause = await self._why_not(pool, ticket.found)
            if cause is None:
                self._move(connection, PoolState.ACTIVE)
                self._metrics.pool_hits += 1
                return self._lease(pool, key, connection, is_reused=True)
            self._part(connection, cause)
            pool.leave()
        self._metrics.pool_misses += 1
        try:
            opened = await self._open(wish, context, is_kept=True)
        except BaseException:
            pool.leave()
            raise
        connection = self._connection(wish, opened)
        self._move(connection, PoolState.ACTIVE)
        return self._lease(pool, key, connection, is_reused=False)

    async def _why_not(self, pool: Pool, found: Idle) -> PoolClose | None:
        """Why a kept connection is not for its next client, or None.

        Where the source asks for a role, the server may have another since the connection was
        last used, and says so to who asks. Where it has, or does not say, nothing idle is
        trusted any more.
        """
        connection = found.connection
        opened, wish = connection.opened, connection.wish
        if not connection.is_quiet():
            # It was when it was granted; who has waited was told of that a moment later.
            return PoolClose.LOST
        if opened.upstream.role is None:
            return None
        hosts = self._upstreams.hosts
        if not hosts.has_changed(wish.source, opened.endpoint, opened.upstream.role):
            if monotonic() - found.since < ROLE_SECONDS:
                return None
            try:
                async with asyncio.timeout(ROLE_SECONDS):
                    await self._reset_once(connection, is_in_transaction=False)
                return None
            except (UpstreamRefused, Refusal, PeerViolation, PeerClosed, OSError):
                # TimeoutError is an OSError.
                pass
            except BaseException:
                self._part(connection, PoolClose.UNCLEAN)
                pool.leave()
                raise
        pool.clear(PoolClose.ROLE)
        return PoolClose.ROLE

    async def _place(self, pool: Pool, key: Hashable, seconds: float) -> Ticket:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        started = monotonic()
        try:
            # No function within this one: compiled, it would hold all that is known here, the
            # ticket and itself among it, until Python next looks for cycles.
            ticket = pool.ask(key, partial(_wake, granted))
        except QueueFull:
            self._metrics.pool_refusals += 1
            raise Refusal(
                Reason.TOO_MANY_SESSIONS, FULL, "too many clients wait for the data source"
            ) from None
        if not ticket.is_granted:
            try:
                async with asyncio.timeout(seconds):
                    await granted
            except TimeoutError:
                # Granted in the same moment counts: the client is still here.
                if not ticket.is_granted:
                    pool.withdraw(ticket, monotonic())
                    self._metrics.pool_refusals += 1
                    raise Refusal(
                        Reason.TOO_MANY_SESSIONS, FULL, "no connection became free in time"
                    ) from None
            except BaseException:
                pool.withdraw(ticket, monotonic())
                raise
            finally:
                self._metrics.pool_wait_seconds.observe(monotonic() - started)
        return ticket

    def _lease(
        self, pool: Pool, key: Hashable, connection: Connection, *, is_reused: bool
    ) -> Lease:
        def give(connection: Connection, is_in_transaction: bool) -> None:
            self._take_back(pool, key, connection, is_in_transaction)

        def lose(connection: Connection) -> None:
            self._closed(connection, PoolClose.UNCLEAN)
            pool.leave()

        is_kept = connection.opened.upstream.is_resettable
        return Lease(connection, give if is_kept else None, lose, is_reused=is_reused)

    async def _open(self, wish: Wish, context: SessionContext, *, is_kept: bool = False) -> Opened:
        started = monotonic()
        opened = await self._upstreams.open(
            wish.protocol,
            wish.workspace,
            wish.source,
            wish.arrival,
            context,
            wish.rules,
            is_kept=is_kept,
        )
        self._metrics.connect_seconds.observe(monotonic() - started)
        return opened

    def _connection(self, wish: Wish, opened: Opened) -> Connection:
        part = int.from_bytes(self._entropy(4), "big") / (1 << 32)
        life = wish.source.pooling.life_seconds * (1.0 - YOUNGER * part)
        return Connection(uuid4().hex, wish, opened, expires=monotonic() + life)

    def _pool(self, source: Source) -> Pool:
        place = (source.workspace_id, source.id)
        pool = self._pools.get(place)
        settings = source.pooling.share_of_one(self._workers)
        if pool is None:
            pool = self._pools[place] = Pool(settings, Connection.is_quiet, self._part)
        pool.settings = settings
        return pool

    # -- what comes back ---------------------------------------------------------------

    def _take_back(
        self,
        pool: Pool,
        key: Hashable,
        connection: Connection,
        is_in_transaction: bool,
    ) -> None:
        """From a relay: not to wait here, it is in the middle of something."""
        connection.opened.channel.take_back()
        if self._is_closed:
            self._part(connection, PoolClose.SHUTDOWN)
            pool.leave()
            return
        self._move(connection, PoolState.RESETTING)
        task = asyncio.create_task(
            self._renew(pool, key, connection, is_in_transaction), name="reset a connection"
        )
        self._resets.add(task)
        task.add_done_callback(self._resets.discard)

    async def _renew(
        self,
        pool: Pool,
        key: Hashable,
        connection: Connection,
        is_in_transaction: bool,
    ) -> None:
        """Reset a connection and put it back, or close it."""
        cause = PoolClose.RESET_FAILED
        try:
            cause = await self._reset(connection, is_in_transaction)
        except (UpstreamRefused, Refusal, PeerViolation, PeerClosed, OSError) as error:
            # TimeoutError is an OSError. The server's own words are not written down.
            log.info(
                "a connection could not be reset",
                connection=connection.id,
                source=connection.wish.source.name,
                reason=_why(error),
            )
        except Exception:
            log.exception("a reset failed", connection=connection.id)
        except asyncio.CancelledError:
            self._part(connection, PoolClose.SHUTDOWN)
            pool.leave()
            raise
        channel = connection.opened.channel
        if cause is PoolClose.IDLE and channel.is_quiet:
            await self._put_back(pool, key, connection)
            return
        self._part(connection, PoolClose.LOST if cause is PoolClose.IDLE else cause)
        pool.leave()

    async def _put_back(self, pool: Pool, key: Hashable, connection: Connection) -> None:
        """It is fit for the next session."""
        self._move(connection, PoolState.IDLE)
        connection.opened.channel.watch(lambda: self._stirred(pool, connection))
        pool.put(key, connection, connection.expires, monotonic())

    def _is_needed(self, place: tuple[str, str]) -> bool:
        """Whether a pool is to be kept though nothing is in it."""
        return False

    def _outdate(self, place: tuple[str, str]) -> None:
        """What is known of a pool's source may have changed."""

    async def _reset(self, connection: Connection, is_in_transaction: bool) -> PoolClose:
        """Why it is to be closed; IDLE where it is fit for the next client."""
        with self._reset_patience.limit():
            if connection.stops:
                # One that comes too late would stop the next client's statement.
                await connection.are_stopped.wait()
            if connection.is_in_doubt:
                return PoolClose.UNCLEAN
            if monotonic() >= connection.expires:
                return PoolClose.AGE
            await self._reset_once(connection, is_in_transaction=is_in_transaction)
            is_current = await self._is_current(connection)
        if self._is_closed:
            return PoolClose.SHUTDOWN
        return PoolClose.IDLE if is_current else PoolClose.CHANGED

    async def _reset_once(self, connection: Connection, *, is_in_transaction: bool) -> None:
        opened, wish = connection.opened, connection.wish
        opened.upstream = await wish.protocol.reset(
            opened.channel,
            opened.upstream,
            wish.arrival,
            wish.rules,
            self._entropy,
            is_in_transaction=is_in_transaction,
        )

    async def _is_current(self, connection: Connection) -> bool:
        """Whether workspace and source are still what they were when it was opened."""
        wish = connection.wish
        return await self._authenticator.is_current(wish.workspace, wish.source)

    def _stirred(self, pool: Pool, connection: Connection) -> None:
        """An idle connection's server has said something, or gone."""
        if connection.loan is None:
            connection.opened.channel.watch(None)
        pool.remove(connection, PoolClose.LOST)

    # -- ends --------------------------------------------------------------------------

    def _part(self, connection: Connection, cause: PoolClose) -> None:
        if connection.opened.channel.is_lent:
            connection.opened.channel.take_back()
        connection.opened.channel.watch(None)
        connection.opened.channel.part(connection.wish.protocol.goodbye)
        self._closed(connection, cause)

    def _closed(self, connection: Connection, cause: PoolClose) -> None:
        self._move(connection, None)
        self._metrics.pool_closes.add(cause)

    def _move(self, connection: Connection, state: PoolState | None) -> None:
        connection.move(state, self._metrics)


def _why(error: Exception) -> str:
    """For the log: nothing of it is the server's words."""
    if isinstance(error, UpstreamRefused):
        return f"the server refused it with {error.code or 'no code'}"
    if isinstance(error, PeerViolation):
        return str(error)
    return type(error).__name__


def _wake(granted: asyncio.Future[None]) -> None:
    if not granted.done():
        granted.set_result(None)


def _nothing(connection: Connection) -> None:
    pass
