"""A session that has the data source's connection for one transaction at a time.

When a turn begins and ends is the relay's to say; here is what that means in the pool: an
idle connection at once and in the same call, else a place in the queue, for a limited
time, else a new connection. Between two turns nothing is asked of the server. Knows no
protocol and no credential.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from time import monotonic
from typing import Protocol

import cython

from protocols.errors import Reason, Refusal
from proxy.audit.context import SessionContext
from proxy.gateway.ends import Turns
from proxy.gateway.layer import Layer
from proxy.gateway.lease import Connection, Welcome, Wish, stop_on
from proxy.gateway.pool import Pool, Ticket
from proxy.gateway.relay import Relay
from proxy.gateway.upstream import Opened
from proxy.metrics.metrics import Metrics, PoolClose, PoolState
from proxy.patience import Patience
from proxy.standing import tell
from proxy.store.records import Source

if cython.compiled:
    from cython.cimports.proxy.gateway.syscalls import now as clock
else:
    from proxy.gateway.syscalls import now as clock

WELCOMES = 1_000
"""Sets of session settings of one source whose welcome is remembered, some KB each."""
WAITING_LIMIT = 100_000
"""Sessions that wait for one source's connection: no fewer than there can be, and a session that
waits costs no more than one that does not."""

_ACTIVE = PoolState.ACTIVE
_IDLE = PoolState.IDLE

_NOT_BEGUN = "a session's turn could not begin"

FULL = "all connections to the data source are in use; try again"


class Shared:
    """What the sessions of one source have in common. ``generation`` counts the changes that
    made its connections old; ``texts`` are the protocol's; ``sessions`` is how many there are.
    """

    def __init__(self, pool: Pool, texts: object) -> None:
        self.pool = pool
        self.texts = texts
        self.generation = 0
        self.sessions = 0
        self.welcomes: OrderedDict[Hashable, Welcome] = OrderedDict()
        self._keys: dict[Hashable, Hashable] = {}
        self._patience = Patience(pool.settings.queue_seconds)

    def key_of(self, wish: Wish) -> Hashable:
        """The wish's key, as one object for all that are equal: each turn compares two."""
        key = wish.key()
        if len(self._keys) >= WELCOMES:
            self._keys.clear()
        return self._keys.setdefault(key, key)

    def patience(self) -> Patience:
        """Of those who wait for a connection, by the source as it is now."""
        seconds = self.pool.settings.queue_seconds
        if self._patience.seconds != seconds:
            # Those who wait already have the time that they were given.
            self._patience = Patience(seconds)
        return self._patience

    def remember(self, key: Hashable, welcome: Welcome) -> None:
        """The newest for this key."""
        self.welcomes[key] = welcome
        self.welcomes.move_to_end(key)
        if len(self.welcomes) > WELCOMES:
            self.welcomes.popitem(last=False)

    def outdate(self) -> None:
        """A change has made everything old."""
        self.generation += 1
        self.welcomes.clear()
        self._keys.clear()


class Lender(Protocol):
    """What the pools do for a session's turns."""

    async def open_shared(self, shared: Shared, wish: Wish, context: SessionContext) -> Connection:
        """A new connection, in a place that is taken. Raises Refusal; the place stays taken."""
        ...

    async def renewed(self, wish: Wish) -> Wish:
        """The same wish for what the store has now. Raises Refusal."""
        ...

    def clean(self, connection: Connection, is_in_transaction: bool) -> None:
        """Reset a connection for others, or close it; its place stays taken until then."""
        ...

    def part(self, connection: Connection, cause: PoolClose) -> None:
        """Close one."""
        ...

    def lost(self, connection: Connection) -> None:
        """One was closed by its session."""
        ...


class SessionTurns(Turns):
    """One session's. ``connect`` gives it the relay.

    Plain Python; compiled with the types in ``turns.pxd``: a turn is had and given back as calls
    of C's.
    """

    def __init__(
        self,
        lender: Lender,
        shared: Shared,
        wish: Wish,
        context: SessionContext,
        welcome: Welcome,
        metrics: Metrics,
    ) -> None:
        super().__init__()
        self._welcome = welcome
        self._lender = lender
        self._shared = shared
        self._wish = wish
        self._key = shared.key_of(wish)
        self._generation = shared.generation
        self._context = context
        self._metrics = metrics
        self._relay: Relay | None = None
        self._connection: Connection | None = None
        self._ticket: Ticket | None = None
        self._since = 0.0
        self._patience: Patience | None = None
        self._opening: asyncio.Task[None] | None = None
        # Whether a place in the pool is taken that no connection has yet.
        self._has_place = False
        shared.sessions += 1

    @property
    def source(self) -> Source:
        """The source as the session was granted it, perhaps with a newer credential."""
        return self._wish.source

    @property
    def id(self) -> str:
        """No connection's: it has many, one after the other."""
        return ""

    @property
    def is_reused(self) -> bool:
        """Others have the connections, too; no credential was used for this session alone."""
        return True

    @property
    def welcome(self) -> Welcome:
        """What its client is told, and the log."""
        return self._welcome

    @property
    def texts(self) -> object:
        """The protocol's, of all sessions of the source."""
        return self._shared.texts

    async def connect(self, relay: Relay, layer: Layer | None) -> None:
        """The session's relay; it asks for turns from now on."""
        self._relay = relay
        relay.turns = self
        if self.welcome.upstream.is_resettable:
            relay.keep = self._keep

    # -- one turn ----------------------------------------------------------------------

    def begin(self) -> bool:
        """See ``Turns.begin``."""
        shared = self._shared
        if self._generation != shared.generation:
            self._open(self._renew)
            return False
        connection: Connection | None = shared.pool.take(self._key)
        if connection is not None:
            self._have(connection)
            return True
        ticket = shared.pool.ask(self._key, self._granted, WAITING_LIMIT)
        if ticket.is_granted:
            return self._use(ticket)
        self._ticket = ticket
        self._since = clock()
        self._patience = shared.patience()
        self._patience.begin(self)
        return False

    def _use(self, ticket: Ticket) -> bool:
        """What was granted: a connection, which the pool has just seen alive, or the place for
        one.
        """
        if ticket.found is not None:
            self._have(ticket.found.connection)
            return True
        self._has_place = True
        self._open(self._connect)
        return False

    def _have(self, connection: Connection) -> None:
        self._metrics.pool_hits += 1
        self._hold(connection)

    def _hold(self, connection: Connection) -> None:
        loan, relay = connection.loan, self._relay
        assert loan is not None, "only what is lent is held"
        assert relay is not None, "a session asks for turns once it has a relay"
        self._connection = connection
        connection.move(_ACTIVE, self._metrics)
        loan.side.relay = relay
        relay.take_turn(loan.transport, loan.plain, relay.scanner.attach(loan.memory))

    def end(self, now: float) -> None:
        """See ``Turns.end``."""
        connection = self._connection
        assert connection is not None, "only what was begun is ended"
        self._connection = None
        self._give(connection, now)

    def _give(self, connection: Connection, now: float) -> None:
        loan, pool = connection.loan, self._shared.pool
        assert loan is not None, "only what is lent is given back"
        loan.side.relay = None
        if (
            # A request to stop what ran here may come late: not to whoever is next. And what a
            # client's own reset has left, ours has not.
            connection.stops
            or loan.is_unclean
            # And what a change has left of it, the store knows.
            or loan.generation != self._shared.generation
        ):
            self._lender.clean(connection, False)
        elif now >= connection.expires:
            self._lender.part(connection, PoolClose.AGE)
            pool.leave()
        else:
            connection.move(_IDLE, self._metrics)
            pool.put(loan.key, connection, connection.expires, now)

    def was_reset(self) -> None:
        """From the scanner: the client had the connection for itself, and has had it reset."""
        connection = self._connection
        assert connection is not None, "only what a session has is reset"
        assert connection.loan is not None, "only what is lent is had for a transaction"
        connection.loan.is_unclean = True

    # -- waiting -----------------------------------------------------------------------

    def _granted(self) -> None:
        """From the pool, in the middle of another session's work: nothing of it may fail there."""
        ticket, relay = self._ticket, self._relay
        assert ticket is not None, "only who waits is granted something"
        assert relay is not None, "a session asks for turns once it has a relay"
        self._waited()
        try:
            if self._use(ticket):
                relay.go_on()
        except Exception as error:  # noqa: BLE001
            tell(_NOT_BEGUN, error)
            relay.abort()

    def _waited(self) -> None:
        self._ticket = None
        self._metrics.pool_wait_seconds.observe(clock() - self._since)
        if self._patience is not None:
            self._patience.end(self)
            self._patience = None

    def expire(self) -> None:
        """It has waited too long."""
        self._withdraw()
        self._metrics.pool_refusals += 1
        self._end_session(
            Refusal(Reason.TOO_MANY_SESSIONS, FULL, "no connection became free in time")
        )

    def _withdraw(self) -> None:
        ticket = self._ticket
        if ticket is not None:
            self._waited()
            self._shared.pool.withdraw(ticket, monotonic())

    def give_up(self) -> None:
        """See ``Turns.give_up``."""
        self._withdraw()
        if self._opening is not None:
            self._opening.cancel()

    def _end_session(self, refusal: Refusal) -> None:
        if self._relay is not None:
            self._relay.cut(refusal)

    # -- new connections ---------------------------------------------------------------

    def _open(self, work: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            try:
                await work()
            except Refusal as refusal:
                self._end_session(refusal)
            finally:
                if self._opening is asyncio.current_task():
                    self._opening = None

        self._opening = asyncio.create_task(run(), name="a session's turn")
        self._opening.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        """However it ended, and if it never began."""
        if self._has_place:
            self._has_place = False
            self._shared.pool.leave()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            tell(_NOT_BEGUN, error)
            if self._relay is not None:
                self._relay.abort()

    async def _renew(self) -> None:
        """The store has changed: what the session was granted may be elsewhere."""
        generation = self._shared.generation
        self._wish = await self._lender.renewed(self._wish)
        self._key = self._shared.key_of(self._wish)
        self._generation = generation
        self._opening = None
        if self.begin() and self._relay is not None:
            self._relay.go_on()

    async def _connect(self) -> None:
        self._metrics.pool_misses += 1
        connection = await self._lender.open_shared(self._shared, self._wish, self._context)
        self._has_place = False
        self._opening = None
        self._wish = connection.wish
        self._key = self._shared.key_of(self._wish)
        relay = self._relay
        if relay is None or relay.is_closing:
            self._give(connection, monotonic())
            return
        self._hold(connection)
        relay.go_on()

    # -- the session's end -------------------------------------------------------------

    def _keep(self, is_in_transaction: bool) -> None:
        """From the relay: its client has left the connection behind, reusable."""
        connection = self._connection
        assert connection is not None, "only what a session has is kept"
        assert connection.loan is not None, "only what is lent is kept so"
        self._connection = None
        connection.loan.side.relay = None
        self._lender.clean(connection, is_in_transaction)

    def over(self) -> None:
        """The session is over; a connection that it still has is closed."""
        self.give_up()
        # Each knew the other: the session is freed now, not when Python next looks for cycles.
        self._relay = None
        self._shared.sessions -= 1
        connection, self._connection = self._connection, None
        if connection is not None:
            self._lender.lost(connection)
            self._shared.pool.leave()

    def stopper(
        self, make: Callable[[Opened], Callable[[], Awaitable[None]]]
    ) -> Callable[[], Awaitable[None]]:
        """What stops the statement that this session runs, where it runs it then.

        ``make`` makes it for a connection.
        """

        async def stop() -> None:
            connection = self._connection
            if connection is not None and connection.loan is not None:
                connection.loan.is_unclean = True
                await stop_on(connection, make(connection.opened))

        return stop
