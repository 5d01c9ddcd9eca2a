"""The sessions there are: counted, found by number, looked at, ended.

One sweep a second looks at all of them, instead of timers for each. Knows no protocol.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from time import monotonic

from protocols.errors import Reason, Refusal
from protocols.interface import Kill, SessionKey
from proxy.config import LimitsConfig
from proxy.gateway.counting import OwnPlaces, Places
from proxy.gateway.live_session import STOP_SECONDS, LiveSession
from proxy.gateway.neighbours import NO_NEIGHBOURS, Neighbours
from proxy.gateway.relay import CANCELLING
from proxy.standing import stand, tell
from proxy.store.store import Clock, utc_now

SWEEP_SECONDS = 1.0
SILENCE_SWEEPS = 10
"""In so many sweeps, or a quarter of the time that a peer has, each session's peers are looked for
once: two system calls, and seldom news."""
# A session that has done nothing for so long is between two uses, not within one.
REST_SECONDS = 2.0
# Between two looks at which sessions rest.
_LOOK_SECONDS = 0.25

_KILLED = Refusal(Reason.SESSION_ENDED, "this session was killed")
_FAILED = Refusal(Reason.INTERNAL, "internal error of the proxy")


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
        self._sweeps = 0
        self._silence_sweeps = max(1, min(SILENCE_SWEEPS, int(limits.peer_timeout) // 4))
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
        sweeping = stand(self._sweep, "the open sessions could not be swept")
        self._sweeper = asyncio.create_task(sweeping, name="live sessions: sweep")

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
        await asyncio.sleep(SWEEP_SECONDS)
        self._look_at_all(monotonic(), self._clock())

    def _look_at_all(self, now: float, wall: datetime) -> None:
        # Not in the sweep itself: what waits there would hold the last session looked at.
        self._sweeps += 1
        for session in self:
            try:
                self._look_at(session, now, wall)
            except Exception as error:  # noqa: BLE001
                # A bug of ours ends the session it shows in, not the sweep of all others.
                tell("a session could not be looked at", error)
                self.cut(session, _FAILED)

    def _look_at(self, session: LiveSession, now: float, wall: datetime) -> None:
        session.relay.notice_resets()
        # By its number: each has its turn, whoever comes and goes.
        if self._limits.peer_timeout and self._is_turn_of(session):
            session.relay.notice_silence(self._limits.peer_timeout)
        refusal = session.overdue(self._limits, now, wall)
        if refusal is not None:
            self.cut(session, refusal)
        else:
            self._hold_to_deadline(session, now)

    def _is_turn_of(self, session: LiveSession) -> bool:
        return (session.key.number + self._sweeps) % self._silence_sweeps == 0

    def _hold_to_deadline(self, session: LiveSession, now: float) -> None:
        """Stop what a session has been running for too long; end it where that is in vain."""
        deadline = session.deadline
        if deadline is None or not deadline.is_over(session.scanner.oldest, now):
            return
        arrived = session.relay.bytes_from_source
        if deadline.is_ignored(now, arrived):
            self.cut(session, deadline.why_ended())
        elif session.has_statement_to_cancel:
            deadline.stop(now, arrived)
            self.cancel(session)


def _nothing() -> None:
    pass


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
