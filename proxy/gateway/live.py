"""The sessions there are: who they belong to, how long they may stay, how they end.

One sweep a second looks at all of them, instead of timers for each. Knows no protocol.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from time import monotonic

from policies.effective import EffectivePolicy
from policies.grant import Grant
from protocols.errors import Reason, Refusal
from protocols.interface import Kill, SessionKey
from protocols.scanner import Scanner
from proxy.config import LimitsConfig
from proxy.gateway.counting import OwnPlaces, Places
from proxy.gateway.deadline import Deadline
from proxy.gateway.neighbours import NO_NEIGHBOURS, Neighbours
from proxy.gateway.quotas import Meter
from proxy.gateway.relay import CANCELLING, Relay
from proxy.store.failover import Endpoint
from proxy.store.records import Source
from proxy.store.store import Clock, utc_now

SWEEP_SECONDS = 1.0
# How long a data source may take to note that a statement is to be stopped.
STOP_SECONDS = 5.0
# A session that has done nothing for so long is between two uses, not within one.
REST_SECONDS = 2.0
# Between two looks at which sessions rest.
_LOOK_SECONDS = 0.25

_KILLED = Refusal(Reason.SESSION_ENDED, "this session was killed")
_FAILED = Refusal(Reason.INTERNAL, "internal error of the proxy")


@dataclass(slots=True, eq=False)
class LiveSession:
    """One open session. ``stop_statement`` asks the data source to stop what runs now."""

    id: str
    key: SessionKey
    upstream_number: int
    version: tuple[int, int]
    grant: Grant
    policy: EffectivePolicy
    workspace: str
    source: Source
    endpoint: Endpoint
    application_name: str
    client: str
    started: float
    started_at: datetime
    relay: Relay
    stop_statement: Callable[[], Awaitable[None]]
    is_encrypted: bool
    is_local: bool
    cancelling: asyncio.Task[None] | None = field(default=None)
    deadline: Deadline | None = None
    meter: Meter | None = None

    @property
    def has_statement_to_cancel(self) -> bool:
        """Whether it runs something, and nobody is stopping that already."""
        return self.scanner.has_outstanding and self.cancelling is None

    @property
    def scanner(self) -> Scanner:
        """Its inspector."""
        return self.relay.scanner

    def describe(self, now: float) -> dict[str, object]:
        """For ``session list``; no secret in it."""
        scanner = self.scanner
        if scanner.has_outstanding:
            state = "active"
        elif self.relay.is_waiting:
            state = "waiting"
        elif scanner.is_in_transaction:
            state = "idle in transaction"
        else:
            state = "idle"
        return {
            "id": self.id,
            "number": self.key.number,
            "workspace": self.workspace,
            "workspace_id": self.grant.workspace_id,
            "source": self.source.name,
            "host": str(self.endpoint),
            "token_id": self.grant.token_id,
            "application_name": self.application_name,
            "client": self.client,
            "tls": self.is_encrypted,
            "state": state,
            "started_at": self.started_at.isoformat(),
            "age_seconds": round(now - self.started, 3),
            "idle_seconds": 0.0 if state == "active" else round(now - self.relay.active, 3),
            "bytes_from_client": self.relay.bytes_from_client,
            "bytes_from_source": self.relay.bytes_from_source,
        }


class LiveSessions:
    """All open sessions of this process.

    ``places`` counts those of each workspace and source, here and in the other workers.
    """

    def __init__(
        self,
        limits: LimitsConfig,
        *,
        clock: Clock = utc_now,
        places: Places | None = None,
        neighbours: Neighbours = NO_NEIGHBOURS,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._neighbours = neighbours
        self._sessions: dict[int, LiveSession] = {}
        self._numbers: set[int] = set()
        self._places: Places = OwnPlaces() if places is None else places
        self._sweeper: asyncio.Task[None] | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self._stopping: set[asyncio.Task[None]] = set()
        self.drain_refusal: Refusal | None = None

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(list(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

    def start(self) -> None:
        """Begin the sweep."""
        self._sweeper = asyncio.create_task(self._sweep(), name="live sessions: sweep")

    async def stop(self) -> None:
        """End the sweep."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        for task in list(self._stopping):
            task.cancel()
        await asyncio.gather(*self._stopping, return_exceptions=True)

    # -- places -----------------------------------------------------------------------

    def take_place(self, owner: str, limit: int | None = None) -> None:
        """Count a session of this workspace or source, by its id, before its source is opened.

        ``limit`` is a policy's. Raises Refusal where there are too many.
        """
        bound = self._limits.sessions_per_workspace
        if not self._places.enter(owner, bound if limit is None else min(bound, limit)):
            raise Refusal(
                Reason.TOO_MANY_SESSIONS, "this workspace has too many sessions at the proxy"
            )

    def leave_place(self, owner: str) -> None:
        """The opposite; called once for each ``take_place``."""
        self._places.leave(owner)

    def new_key(self) -> SessionKey:
        """A number that no session has, and a random secret. The number is kept until
        ``forget_key``, so that two logins at once cannot get the same.
        """
        while True:
            number = self._neighbours.new_number()
            if number not in self._numbers:
                self._numbers.add(number)
                return SessionKey(number, secrets.token_bytes(32))

    def forget_key(self, key: SessionKey) -> None:
        """The connection that had this key is over."""
        self._numbers.discard(key.number)

    def add(self, session: LiveSession) -> None:
        """A session is open."""
        self._sessions[session.key.number] = session
        self._neighbours.opened(
            session.key.number,
            session.upstream_number,
            session.grant.workspace_id,
            session.source.id,
        )
        session.relay.on_broken = partial(self.stop_statement, session)
        self._empty.clear()
        if self.drain_refusal is not None:
            session.relay.drain(self.drain_refusal)

    def remove(self, session: LiveSession) -> None:
        """A session is over."""
        if self._sessions.pop(session.key.number, None) is not None:
            self._neighbours.ended(session.key.number)
        # Which held the session: it is freed now, and not when Python next looks for cycles.
        session.relay.on_broken = _nothing
        if not self._sessions:
            self._empty.set()

    def by_number(self, number: int) -> LiveSession | None:
        """The session that a cancel request names."""
        return self._sessions.get(number)

    def killer(self, workspace_id: str, source_id: str) -> Kill:
        """What ends sessions by number for a session of this workspace and source."""

        def kill(number: int, only_statement: bool) -> bool:
            session = self._named(number, workspace_id, source_id)
            if session is None:
                return self._neighbours.kill(number, only_statement, workspace_id, source_id)
            if not only_statement:
                # Not at once: it may be the session whose client is being read right now.
                asyncio.get_running_loop().call_soon(self.cut, session, _KILLED)
            elif session.has_statement_to_cancel:
                self.cancel(session)
            return True

        return kill

    def watch(self, session: LiveSession) -> None:
        """Let the session's meter stop what it has cut, and end what it must."""
        meter = session.meter
        if meter is None:
            return
        loop = asyncio.get_running_loop()
        # Not at once: the scanner is in the middle of a chunk.
        meter.on_cut = partial(loop.call_soon, self._stop_answer, session)
        meter.on_end = lambda refusal: loop.call_soon(self.cut, session, refusal)

    def _stop_answer(self, session: LiveSession) -> None:
        meter = session.meter
        # What has ended meanwhile needs no stopping, and the next one must not be.
        if meter is not None and meter.cut_at is not None and session.has_statement_to_cancel:
            self.cancel(session)

    def _named(self, number: int, workspace_id: str, source_id: str) -> LiveSession | None:
        """By our number first; a client may also have asked its server for its own."""
        session = self._sessions.get(number)
        if session is not None and session.grant.workspace_id == workspace_id:
            return session
        return next(
            (
                one
                for one in self._sessions.values()
                if number
                and one.upstream_number == number
                and one.source.id == source_id
                and one.grant.workspace_id == workspace_id
            ),
            None,
        )

    def cancel(self, session: LiveSession) -> asyncio.Task[None]:
        """Stop what a session runs now, once: never two at a time, never its next statement.

        While the request is on its way the session's client is read no further.
        """
        session.cancelling = asyncio.create_task(_cancel(session), name="cancel a statement")
        self._stopping.add(session.cancelling)
        session.cancelling.add_done_callback(self._stopping.discard)
        return session.cancelling

    # -- ends -------------------------------------------------------------------------

    def cut(self, session: LiveSession, refusal: Refusal) -> None:
        """End a session now, and what it is running at the data source with it."""
        if session.relay.is_closing:
            return
        self.stop_statement(session)
        session.relay.cut(refusal)

    def stop_statement(self, session: LiveSession) -> None:
        """Have the data source stop what a session that is ending still runs.

        A server that only loses the connection may notice when the statement is over.
        """
        if session.scanner.has_outstanding:
            task = asyncio.create_task(_quietly(session.stop_statement), name="stop a statement")
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    def cut_where(self, is_meant: Callable[[LiveSession], bool], refusal: Refusal) -> int:
        """End every session that is meant; how many."""
        meant = [session for session in self if is_meant(session)]
        for session in meant:
            self.cut(session, refusal)
        return len(meant)

    async def ease(self, refusal: Refusal, seconds: float, is_busy: Callable[[], bool]) -> None:
        """Let sessions go that rest, and leave those in use to end by themselves.

        While ``is_busy`` says so, and for at most so long. For a worker that has a successor:
        who has just logged in, or is about to, still gets an answer.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while is_busy():
                    now = monotonic()
                    for session in self:
                        if now - session.relay.active >= REST_SECONDS:
                            session.relay.drain(refusal)
                    await asyncio.sleep(_LOOK_SECONDS)

    async def drain(self, refusal: Refusal, deadline: float) -> None:
        """Let every session end at its next idle point; cut the rest after ``deadline``."""
        self.drain_refusal = refusal
        for session in self:
            session.relay.drain(refusal)
        try:
            async with asyncio.timeout(deadline):
                await self._empty.wait()
        except TimeoutError:
            for session in self:
                self.cut(session, refusal)
            async with asyncio.timeout(10.0):
                await self._empty.wait()

    async def settle(self, seconds: float) -> None:
        """Wait until cut sessions are over and their statements stopped, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()
                while self._stopping:
                    await asyncio.wait(self._stopping)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = monotonic()
            wall = self._clock()
            for session in self:
                try:
                    self._look_at(session, now, wall)
                except Exception as error:  # noqa: BLE001
                    # A bug of ours ends the session it shows in, not the sweep of all others.
                    asyncio.get_running_loop().call_exception_handler(
                        {"message": "a session could not be looked at", "exception": error}
                    )
                    self.cut(session, _FAILED)

    def _look_at(self, session: LiveSession, now: float, wall: datetime) -> None:
        session.relay.notice_resets()
        refusal = self._overdue(session, now, wall)
        if refusal is not None:
            self.cut(session, refusal)
        else:
            self._hold_to_deadline(session, now)

    def _hold_to_deadline(self, session: LiveSession, now: float) -> None:
        """Stop what a session has been running for too long; end it where that is in vain."""
        deadline = session.deadline
        if deadline is None or not deadline.is_over(session.scanner.oldest, now):
            return
        if deadline.is_ignored(now):
            self.cut(session, deadline.why_ended())
        elif session.has_statement_to_cancel:
            deadline.stop(now)
            self.cancel(session)

    def _overdue(self, session: LiveSession, now: float, wall: datetime) -> Refusal | None:
        limits = self._limits
        if not session.grant.is_valid_at(wall):
            return Refusal(Reason.SESSION_ENDED, "the token of this session has expired")
        meter = session.meter
        if meter is not None and meter.cut_at is not None and now - meter.cut_at > STOP_SECONDS:
            return Refusal(
                Reason.QUOTA_EXCEEDED,
                "refused by policy: the result was cut, and the data source does not stop",
            )
        own = session.policy.limits
        longest = _shorter(limits.session_timeout, own.session_seconds)
        if longest and now - session.started > longest:
            return Refusal(Reason.SESSION_TIMEOUT, "this session has reached its longest duration")
        if session.scanner.has_outstanding or session.relay.is_closing:
            return None
        idle = now - session.relay.active
        if session.scanner.is_in_transaction:
            limit, words = limits.transaction_idle_timeout, "idle in a transaction"
        else:
            limit, words = limits.idle_timeout, "idle"
        limit = _shorter(limit, own.idle_seconds)
        if limit and idle > limit:
            return Refusal(Reason.IDLE_TIMEOUT, f"this session was {words} for too long")
        return None


def _nothing() -> None:
    pass


def _shorter(bound: float, limit: int | None) -> float:
    """The stricter of the proxy's bound, where 0 is none, and a policy's."""
    if limit is None:
        return bound
    return min(bound, limit) if bound else float(limit)


async def _cancel(session: LiveSession) -> None:
    session.relay.hold(CANCELLING)
    try:
        await _quietly(session.stop_statement)
    finally:
        session.cancelling = None
        session.relay.release(CANCELLING)


async def _quietly(work: Callable[[], Awaitable[None]]) -> None:
    """Ask once; whether the data source listens is told by its connection's end."""
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await work()
    except (OSError, TimeoutError, Refusal):
        return
