"""All workers: started, replaced, let go.

Decides nothing about configurations and signals: that is ``supervisor``. Who may have which
seat is ``seats``, who accepts whose connections ``slots``, and who still answers ``watch``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import structlog

from proxy.config import Config
from proxy.control import Handler
from proxy.parts import idle_seats
from proxy.workers.counts import MOST_SESSIONS, Counts, Shape
from proxy.workers.desk import Past
from proxy.workers.link import LinkError
from proxy.workers.member import START_SECONDS, Member, State, WorkerFailed
from proxy.workers.seats import Seats
from proxy.workers.slots import BACKOFF_FIRST, Slot, shares_of
from proxy.workers.watch import Watch

log = structlog.get_logger("supervisor")

# Old and new workers of two reloads, one soon after the other.
SEATS_PER_WORKER = 4
# What a worker may take to end, beyond its drain; and where it is told to hurry.
LONGEST_END = 20.0
_HURRY_SECONDS = 5.0
# How long one must have served for its death to be the first one again.
_STEADY_SECONDS = 60.0
_BACKOFF_MOST = 10.0


@dataclass(frozen=True, slots=True)
class Orders:
    """What workers are started with: a configuration that was read once, and its text.

    The text goes to the worker, not the file's name alone: a file that was edited is in force
    for all workers or for none.
    """

    config: Config
    text: str
    file: Path


class Fleet:
    """The workers of one proxy. ``say`` is what a worker may ask beyond its own affairs.

    ``retire`` is told of each that is gone, ``fail`` that nobody watches them any more.
    """

    def __init__(
        self,
        orders: Orders,
        say: Mapping[str, Handler],
        retire: Callable[[Member], None],
        fail: Callable[[], None],
    ) -> None:
        config = orders.config
        self.orders = orders
        self.slots: list[Slot] = []
        self.members: list[Member] = []
        self.restarts = 0
        self.is_stopping = False
        self.metrics_port = 0
        self._say = say
        self._retire = retire
        self._fail = fail
        self._counts = Counts.create(
            Shape(
                seats=SEATS_PER_WORKER * config.workers.count,
                sessions=max(config.limits.sessions, MOST_SESSIONS),
            )
        )
        self._past = Past(self._counts)
        self._seats = Seats(self._counts.shape.seats, self._counts.seat)
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._watch = Watch(self.members, self._answer_timeout, self.keep, self.share_out)

    # -- together -----------------------------------------------------------------------------

    async def start_first(self) -> None:
        """One for each slot: what keeps one from starting keeps the proxy from it.

        Raises WorkerFailed.
        """
        made = await self._start_all(self.orders)
        for member in made:
            self.slots[member.slot].member = member
        self.share_out()
        self._see_chains()
        self.keep(self._watch.run(), "watch the workers", is_vital=True)
        self.keep(self._recover(made[0]), "recover chains")

    async def replace_all(self, orders: Orders) -> None:
        """New workers for all slots, and the old ones drain; or, with WorkerFailed, nothing."""
        while not self._seats.has_free(len(self.slots)):
            log.info("the reload waits until older workers have drained")
            self._changed.clear()
            await self._changed.wait()
        made = await self._start_all(orders)
        self.orders = orders
        old = [slot.member for slot in self.slots if slot.member is not None]
        for member in made:
            slot = self.slots[member.slot]
            if slot.restart is not None:
                slot.restart.cancel()
                slot.restart = None
            slot.member, slot.backoff = member, BACKOFF_FIRST
        self.share_out()
        for member in old:
            self._let_go(member, member.drain_seconds / 2)
        self._see_chains()

    def _answer_timeout(self) -> float:
        return self.orders.config.workers.answer_timeout

    async def _start_all(self, orders: Orders) -> list[Member]:
        made: list[Member] = []
        try:
            for number in range(len(self.slots)):
                made.append(await self._start(number, orders, is_first=number == 0))
            await _all_ready(made)
        except OSError as error:
            self._dismiss(made)
            raise WorkerFailed(f"a worker cannot be started: {error.strerror}") from None
        except WorkerFailed:
            self._dismiss(made)
            raise
        return made

    def drain(self) -> None:
        """Nobody accepts any more, and every session ends at its next idle point."""
        self.is_stopping = True
        for slot in self.slots:
            if slot.restart is not None:
                slot.restart.cancel()
        for member in self.members:
            self._let_go(member, 0.0)

    def hurry(self) -> None:
        """What drains ends at once."""
        for member in self.members:
            member.link.tell("hurry")
            member.deadline = monotonic() + _HURRY_SECONDS

    async def all_gone(self) -> None:
        """Until no worker is left."""
        while self.members:
            await self.members[0].gone.wait()

    async def close(self) -> None:
        """No process of ours is left running, however this ends."""
        self.is_stopping = True
        await self._cancel_tasks()
        self.hurry()
        try:
            async with asyncio.timeout(_HURRY_SECONDS):
                await self.all_gone()
        except TimeoutError:
            for member in self.members:
                member.end()
            await self.all_gone()
        await self._cancel_tasks()
        self._counts.close()

    # -- one of them --------------------------------------------------------------------------

    async def _start(self, slot: int, orders: Orders, *, is_first: bool) -> Member:
        seat = self._seats.take()
        inherited = [sock.fileno() for one in self.slots for sock in one.sockets]
        made: list[Member] = []
        try:
            member = await Member.start(
                seat,
                slot,
                lambda: self._handlers_of(made),
                [*inherited, self._counts.descriptor],
                self._gone,
            )
        except BaseException:
            self._seats.leave(seat)
            raise
        self.members.append(member)
        member.drain_seconds = orders.config.limits.drain_deadline
        made.append(member)
        shape = self._counts.shape
        member.link.tell(
            "begin",
            text=orders.text,
            file=str(orders.file.absolute()),
            seat=seat,
            is_first=is_first,
            slots=[[sock.fileno() for sock in one.sockets] for one in self.slots],
            counts=self._counts.descriptor,
            shape={"seats": shape.seats, "rows": shape.rows, "sessions": shape.sessions},
            metrics_port=self.metrics_port,
        )
        log.info("worker started", worker=seat, pid=member.pid)
        return member

    def _handlers_of(self, made: list[Member]) -> Mapping[str, Handler]:
        """What one worker may say; ``made`` holds it once it is there."""

        async def ready(arguments: dict[str, Any]) -> object:
            member = made[0]
            member.answered = monotonic()
            if member.state is State.STARTING:
                member.state = State.READY
            if not member.ready.done():
                member.ready.set_result(None)
            return None

        async def failed(arguments: dict[str, Any]) -> object:
            made[0].fail(str(arguments["sentence"]))
            return None

        async def bye(arguments: dict[str, Any]) -> object:
            made[0].metrics = arguments["metrics"]
            return None

        return {"ready": ready, "failed": failed, "bye": bye, **self._say}

    def _gone(self, member: Member) -> None:
        """A worker has ended, as it should or not."""
        self.members.remove(member)
        self._past.take_over(member.seat, int(monotonic()), datetime.now(UTC).date())
        is_expected = member.state is State.DRAINING or self.is_stopping
        self._seats.leave(member.seat, is_unfinished=not is_expected or member.exit_code != 0)
        self._retire(member)
        self.keep(member.link.close(), "close a link")
        self._changed.set()
        if is_expected:
            log.info("worker ended", worker=member.seat, pid=member.pid, how=member.how())
            return
        log.error("worker died", worker=member.seat, pid=member.pid, how=member.how())
        slot = self.slots[member.slot]
        if slot.member is member:
            slot.member = None
            if monotonic() - member.began > _STEADY_SECONDS:
                slot.backoff = BACKOFF_FIRST
            self._restart_later(slot, member.slot)
            self.share_out()

    def _restart_later(self, slot: Slot, number: int) -> None:
        delay, slot.backoff = slot.backoff, min(slot.backoff * 2, _BACKOFF_MOST)

        def restart() -> None:
            slot.restart = None
            if not self.is_stopping and slot.member is None:
                self.keep(self._restart(slot, number), "restart a worker")

        slot.restart = asyncio.get_running_loop().call_later(delay, restart)

    async def _restart(self, slot: Slot, number: int) -> None:
        self.restarts += 1
        made: list[Member] = []
        try:
            made.append(await self._start(number, self.orders, is_first=False))
            await _all_ready(made)
        except (WorkerFailed, OSError) as error:
            log.error("a worker could not be started", detail=str(error))
            self._dismiss(made)
            if slot.member is None and not self.is_stopping:
                self._restart_later(slot, number)
            return
        if self.is_stopping or slot.member is not None:
            # A reload has filled the slot meanwhile.
            self._let_go(made[0], 0.0)
            return
        slot.member = made[0]
        self.share_out()
        self._see_chains()

    def _dismiss(self, members: list[Member]) -> None:
        """Some that never served."""
        for member in members:
            member.state = State.DRAINING
            member.end()

    def _let_go(self, member: Member, patience: float) -> None:
        member.state = State.DRAINING
        member.accepting = frozenset()
        member.deadline = monotonic() + member.drain_seconds + LONGEST_END
        member.link.tell("drain", patience=patience)

    # -- who accepts what ---------------------------------------------------------------------

    def share_out(self) -> None:
        """Each slot to its worker; that of one that is gone or silent to another one as well."""
        if self.is_stopping:
            return
        for member, slots in shares_of(self.slots):
            if slots != member.accepting:
                member.accepting = slots
                member.link.tell("accept", slots=sorted(slots))

    # -- chains -------------------------------------------------------------------------------

    def _see_chains(self) -> None:
        for member in self.members:
            if member.state is State.READY:
                member.link.tell("look")

    async def _recover(self, member: Member) -> None:
        """What workers left that there no longer are, into their chains."""
        try:
            seats = idle_seats(self.orders.config, self._seats.taken)
        except OSError as error:
            log.error("left audit chains cannot be looked at", detail=type(error).__name__)
            return
        self._seats.keep_free(seats)
        try:
            if seats:
                await member.link.call("recover", 10 * START_SECONDS, seats=seats)
        except LinkError as error:
            log.error("left audit chains were not recovered", detail=str(error))
        finally:
            self._seats.give_back(seats)
            self._changed.set()

    # -- tasks --------------------------------------------------------------------------------

    def keep(self, work: Coroutine[Any, Any, None], name: str, *, is_vital: bool = False) -> None:
        """Run in the background. Without a vital task workers would be left to themselves."""

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is not None:
                log.error("a task of the supervisor failed", task=name, exc_info=error)
                if is_vital and not self.is_stopping:
                    self._fail()

        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(done)

    async def _cancel_tasks(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _all_ready(members: list[Member]) -> None:
    """Until all of them serve. Raises WorkerFailed for the first that cannot, or takes long."""
    try:
        async with asyncio.timeout(START_SECONDS):
            await asyncio.gather(*(asyncio.shield(member.ready) for member in members))
    except TimeoutError:
        raise WorkerFailed(f"a worker did not start within {START_SECONDS:.0f} s") from None
