"""The parent of all workers: keeps the sockets, replaces who dies, rolls, drains.

It holds every listening socket open for as long as the proxy runs, so a connection that waits
in a queue outlives the worker it was meant for. Holds no key, opens no store, and reads
nothing that a client sends. What it decides is here; what it is asked is in ``enquiries``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Any

import structlog

from proxy.audit.files import AuditFolderError
from proxy.config import Config, ConfigError, read_config
from proxy.control import Handler, serve_control
from proxy.heartbeat import Heartbeat
from proxy.metrics import Metrics
from proxy.parts import address_of, idle_seats, start_health
from proxy.sockets import bind_group
from proxy.workers.counts import MOST_SESSIONS, Counts, Shape
from proxy.workers.desk import Past
from proxy.workers.enquiries import Enquiries, new_registry
from proxy.workers.link import LinkError
from proxy.workers.member import Member, State, WorkerFailed
from vault import harden_process

log = structlog.get_logger("supervisor")

# Old and new workers of two reloads, one soon after the other.
SEATS_PER_WORKER = 4
# Twice a second: readiness is then never much older than a probe expects.
_PING_SECONDS = 0.5
# A worker that was silent for so long has its queue looked after by another one.
_SILENT_SECONDS = 2.0
_START_SECONDS = 60.0
# What a worker may take to end, beyond its drain.
_END_SECONDS = 20.0
# How long one must have served for its death to be the first one again.
_STEADY_SECONDS = 60.0
_BACKOFF_FIRST, _BACKOFF_MOST = 0.1, 10.0


@dataclass(frozen=True, slots=True)
class Orders:
    """What workers are started with: a configuration that was read once, and its text."""

    config: Config
    text: str


@dataclass(slots=True)
class Slot:
    """One place to accept connections, and who has it now."""

    sockets: list[socket.socket]
    member: Member | None = None
    restart: asyncio.TimerHandle | None = None
    backoff: float = _BACKOFF_FIRST


class Supervisor:
    """Runs with ``run``. ``ports`` and ``metrics_port`` are known once it has started."""

    def __init__(self, file: Path, config: Config, text: str) -> None:
        self._file = file
        self.orders = Orders(config, text)
        self.slots: list[Slot] = []
        self.members: list[Member] = []
        self.restarts = 0
        self.is_stopping = False
        self.ports: list[int] = []
        self.metrics_port = 0
        seats = SEATS_PER_WORKER * config.workers.count
        sessions = max(config.limits.sessions, MOST_SESSIONS)
        self._counts = Counts.create(Shape(seats=seats, sessions=sessions))
        self._past = Past(self._counts)
        self._recovering: set[int] = set()
        self._dirty: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._reload = asyncio.Event()
        self._changed = asyncio.Event()
        self._enquiries = Enquiries(self)

    # -- its life ---------------------------------------------------------------------------

    async def run(self, started: Callable[[Supervisor], None] | None = None) -> None:
        """Serve until SIGTERM or SIGINT; a second one ends at once; SIGHUP reloads.

        Raises PortError, ControlError, WorkerFailed: each one clear sentence.
        """
        # The store's password may be in its configuration.
        harden_process()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        config = self.orders.config
        async with AsyncExitStack() as stack:
            stack.callback(self._counts.close)
            self._bind(config)
            stack.callback(self._close_sockets)
            control = await serve_control(config.control.socket, self._enquiries.handlers())
            stack.push_async_callback(control.close)
            heartbeat = Heartbeat(Metrics().observe_loop)
            heartbeat.start()
            stack.callback(heartbeat.stop)
            health = start_health(
                config, new_registry(self._enquiries, loop), heartbeat, self._enquiries.readiness()
            )
            stack.push_async_callback(asyncio.to_thread, health.stop)
            self.metrics_port = health.port
            stack.push_async_callback(self._end_all)
            await self._start_first()
            for settings, sock in zip(config.listeners, self.slots[0].sockets, strict=True):
                log.info(
                    "listening",
                    protocol=settings.protocol,
                    host=settings.host,
                    port=address_of(sock)[1],
                    workers=config.workers.count,
                )
            if started is not None and not self.is_stopping:
                started(self)
            self._keep(self._watch(), "watch the workers")
            self._keep(self._reloads(), "reload")
            await self._stop.wait()
            log.info("draining")
            await self._drain()
        log.info("stopped")

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self.is_stopping = True
        self._stop.set()
        self._changed.set()

    def _bind(self, config: Config) -> None:
        groups: list[list[socket.socket]] = []
        try:
            for listener in config.listeners:
                groups.append(
                    bind_group(listener.host, listener.port, "listeners", config.workers.count)
                )
        except BaseException:
            for sock in chain.from_iterable(groups):
                sock.close()
            raise
        self.slots = [Slot(list(sockets)) for sockets in zip(*groups, strict=True)]
        self.ports = [address_of(sock)[1] for sock in self.slots[0].sockets]

    def _close_sockets(self) -> None:
        for slot in self.slots:
            for sock in slot.sockets:
                sock.close()

    async def _start_first(self) -> None:
        """All of them, or none: what keeps one from starting keeps the proxy from it."""
        made = [await self._start(number, self.orders) for number in range(len(self.slots))]
        await _all_ready(made)
        for member in made:
            self.slots[member.slot].member = member
        self._share_out()
        self._see_chains()
        self._keep(self._recover(made[0]), "recover chains")

    # -- one worker ---------------------------------------------------------------------------

    async def _start(self, slot: int, orders: Orders, *, is_first: bool | None = None) -> Member:
        seat = self._free_seat()
        inherited = [sock.fileno() for one in self.slots for sock in one.sockets]
        self._counts.seat([*(one.seat for one in self.members), seat])
        made: list[Member] = []
        member = await Member.start(
            seat,
            slot,
            lambda: self._handlers_of(made),
            [*inherited, self._counts.descriptor],
            self._gone,
        )
        made.append(member)
        self.members.append(member)
        shape = self._counts.shape
        member.link.tell(
            "begin",
            text=orders.text,
            file=str(self._file.absolute()),
            seat=seat,
            is_first=slot == 0 if is_first is None else is_first,
            slots=[[sock.fileno() for sock in one.sockets] for one in self.slots],
            counts=self._counts.descriptor,
            shape={"seats": shape.seats, "rows": shape.rows, "sessions": shape.sessions},
            metrics_port=self.metrics_port,
        )
        log.info("worker started", worker=seat, pid=member.pid)
        return member

    def _free_seat(self) -> int:
        """One whose last worker has left something first, so that it is recovered soon."""
        taken = {member.seat for member in self.members} | self._recovering
        free = [seat for seat in range(self._counts.shape.seats) if seat not in taken]
        if not free:
            raise WorkerFailed("too many old workers are still draining")
        seat = next((seat for seat in self._dirty if seat in free), free[0])
        with suppress(ValueError):
            self._dirty.remove(seat)
        return seat

    def has_free_seats(self, count: int) -> bool:
        """Whether so many workers can be started."""
        taken = len(self.members) + len(self._recovering)
        return self._counts.shape.seats - taken >= count

    def _handlers_of(self, made: list[Member]) -> Mapping[str, Handler]:
        """What one worker may say; ``made`` holds it once it is there."""

        async def ready(arguments: dict[str, Any]) -> object:
            member = made[0]
            member.answered = monotonic()
            member.state = State.READY
            if not member.ready.done():
                member.ready.set_result(None)
            return None

        async def failed(arguments: dict[str, Any]) -> object:
            if not made[0].ready.done():
                made[0].ready.set_exception(WorkerFailed(str(arguments["sentence"])))
                made[0].ready.exception()
            return None

        async def bye(arguments: dict[str, Any]) -> object:
            made[0].metrics = arguments["metrics"]
            return None

        return {
            "ready": ready,
            "failed": failed,
            "bye": bye,
            "kill": self._enquiries.pass_on("kill"),
            "cancel": self._enquiries.pass_on("cancel"),
        }

    def _gone(self, member: Member) -> None:
        """A worker has ended, as it should or not."""
        self.members.remove(member)
        self._past.take_over(member.seat, int(monotonic()), datetime.now(UTC).date())
        self._counts.seat([one.seat for one in self.members])
        self._enquiries.retire(member)
        self._keep(member.link.close(), "close a link")
        self._changed.set()
        slot = self.slots[member.slot]
        is_expected = member.state is State.DRAINING or self.is_stopping
        if not is_expected or member.exit_code != 0:
            self._dirty.append(member.seat)
        if is_expected:
            log.info("worker ended", worker=member.seat, pid=member.pid, how=member.how())
            return
        log.error("worker died", worker=member.seat, pid=member.pid, how=member.how())
        if slot.member is member:
            slot.member = None
            if monotonic() - member.began > _STEADY_SECONDS:
                slot.backoff = _BACKOFF_FIRST
            self._restart_later(slot, member.slot)
            self._share_out()

    def _restart_later(self, slot: Slot, number: int) -> None:
        delay, slot.backoff = slot.backoff, min(slot.backoff * 2, _BACKOFF_MOST)

        def restart() -> None:
            slot.restart = None
            if not self.is_stopping and slot.member is None:
                self._keep(self._restart(slot, number), "restart a worker")

        slot.restart = asyncio.get_running_loop().call_later(delay, restart)

    async def _restart(self, slot: Slot, number: int) -> None:
        self.restarts += 1
        member: Member | None = None
        try:
            # Another one may have the slot, by a reload, before this one is ready.
            member = await self._start(number, self.orders, is_first=False)
            await _all_ready([member])
        except (WorkerFailed, OSError) as error:
            log.error("a worker could not be started", detail=str(error))
            if member is not None:
                self._dismiss(member)
            if slot.member is None and not self.is_stopping:
                self._restart_later(slot, number)
            return
        if self.is_stopping or slot.member is not None:
            self._let_go(member, 0.0)
            return
        slot.member = member
        self._share_out()
        self._see_chains()

    def _dismiss(self, member: Member) -> None:
        """One that never served."""
        member.state = State.DRAINING
        member.end()

    def _let_go(self, member: Member, patience: float) -> None:
        limits = self.orders.config.limits
        member.state = State.DRAINING
        member.accepting = frozenset()
        member.deadline = monotonic() + limits.drain_deadline + _END_SECONDS
        member.link.tell("drain", patience=patience)

    # -- who accepts what ---------------------------------------------------------------------

    def _share_out(self) -> None:
        """Each slot to its worker; that of one that is gone or silent to another one as well."""
        if self.is_stopping:
            return
        wanted: dict[int, set[int]] = {}
        able = [
            slot.member
            for slot in self.slots
            if slot.member is not None and slot.member.answers(_SILENT_SECONDS)
        ]
        for number, slot in enumerate(self.slots):
            if slot.member is not None:
                wanted.setdefault(slot.member.seat, set()).add(number)
            if able and slot.member not in able:
                stand_in = min(able, key=lambda one: len(wanted.get(one.seat, ())))
                wanted.setdefault(stand_in.seat, set()).add(number)
        for slot in self.slots:
            member = slot.member
            if member is None:
                continue
            slots = frozenset(wanted[member.seat])
            if slots != member.accepting:
                member.accepting = slots
                member.link.tell("accept", slots=sorted(slots))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_PING_SECONDS)
            now = monotonic()
            limit = self.orders.config.workers.answer_timeout
            for member in list(self.members):
                if member.state is State.STARTING:
                    is_over = now - member.began > _START_SECONDS
                else:
                    is_over = now - member.answered > limit
                if is_over or (member.deadline and now > member.deadline):
                    log.error("worker does not answer", worker=member.seat, pid=member.pid)
                    member.end()
                elif not member.is_asked and member.state is not State.STARTING:
                    member.is_asked = True
                    self._keep(self._ask(member, limit), "ask a worker")
            self._share_out()

    async def _ask(self, member: Member, timeout: float) -> None:
        try:
            member.readiness = await member.link.call("ping", timeout)
            member.answered = monotonic()
        except LinkError:
            # Its silence is seen by the watch, its end by its process.
            return
        finally:
            member.is_asked = False

    # -- reload and end -------------------------------------------------------------------------

    async def _reloads(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            try:
                config, text = read_config(self._file, os.environ)
            except ConfigError as error:
                log.error("the configuration is not reloaded", detail=str(error))
                continue
            config = replace(config, workers=replace(config.workers, count=len(self.slots)))
            fixed = _needs_restart(self.orders.config, config)
            if fixed:
                log.error(
                    "the configuration is not reloaded",
                    detail=f"{fixed} can only be changed by a restart",
                )
                continue
            await self._roll(Orders(config, text))

    async def _roll(self, orders: Orders) -> None:
        """New workers for all slots; the old ones drain. All of them, or none."""
        while not self.has_free_seats(len(self.slots)):
            log.info("the reload waits until older workers have drained")
            self._changed.clear()
            await self._changed.wait()
        made: list[Member] = []
        try:
            for number in range(len(self.slots)):
                made.append(await self._start(number, orders))
            await _all_ready(made)
        except (WorkerFailed, OSError) as error:
            for member in made:
                self._dismiss(member)
            log.error("the configuration is not reloaded", detail=str(error))
            return
        before = self.orders
        self.orders = orders
        old = [slot.member for slot in self.slots if slot.member is not None]
        for member in made:
            slot = self.slots[member.slot]
            if slot.restart is not None:
                slot.restart.cancel()
                slot.restart = None
            slot.member, slot.backoff = member, _BACKOFF_FIRST
        self._share_out()
        for member in old:
            self._let_go(member, before.config.limits.drain_deadline / 2)
        self._see_chains()
        log.info("the configuration is reloaded", workers=len(made))

    async def _drain(self) -> None:
        for slot in self.slots:
            if slot.restart is not None:
                slot.restart.cancel()
        # Who comes now is refused by the system, as soon as the workers have let go as well.
        self._close_sockets()
        for member in self.members:
            self._let_go(member, 0.0)
        hurrying = asyncio.create_task(self._hurry.wait(), name="wait for a second signal")
        ending = asyncio.create_task(self._all_gone(), name="wait for the workers' end")
        await asyncio.wait((hurrying, ending), return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if not ending.done():
            for member in self.members:
                member.link.tell("hurry")
                member.deadline = monotonic() + _END_SECONDS
        await asyncio.gather(hurrying, ending, return_exceptions=True)

    async def _all_gone(self) -> None:
        while self.members:
            await self.members[0].gone.wait()

    async def _end_all(self) -> None:
        """Nothing of ours is left running, however this ends."""
        self.is_stopping = True
        await self._cancel_tasks()
        for member in self.members:
            member.link.tell("hurry")
        try:
            async with asyncio.timeout(_END_SECONDS / 4):
                await self._all_gone()
        except TimeoutError:
            for member in self.members:
                member.end()
            await self._all_gone()
        await self._cancel_tasks()

    async def _cancel_tasks(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- chains -----------------------------------------------------------------------------------

    def _see_chains(self) -> None:
        for member in self.members:
            if member.state is State.READY:
                member.link.tell("look")

    async def _recover(self, member: Member) -> None:
        """What workers left that there no longer are, into their chains."""
        try:
            seats = idle_seats(self.orders.config, [one.seat for one in self.members])
        except (OSError, AuditFolderError) as error:
            log.error("left audit chains cannot be looked at", detail=type(error).__name__)
            return
        self._recovering.update(seats)
        try:
            if seats:
                await member.link.call("recover", 10 * _START_SECONDS, seats=seats)
        except LinkError as error:
            log.error("left audit chains were not recovered", detail=str(error))
        finally:
            self._recovering.difference_update(seats)
            self._changed.set()

    def _keep(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _all_ready(members: list[Member]) -> None:
    """Until all of them serve. Raises WorkerFailed for the first that cannot, or takes long."""
    try:
        async with asyncio.timeout(_START_SECONDS):
            await asyncio.gather(*(asyncio.shield(member.ready) for member in members))
    except TimeoutError:
        raise WorkerFailed(f"a worker did not start within {_START_SECONDS:.0f} s") from None


def _needs_restart(old: Config, new: Config) -> str:
    """What was changed that lies with the supervisor; "" for nothing."""

    def places(config: Config) -> list[tuple[str, str, int]]:
        return [(one.protocol, one.host, one.port) for one in config.listeners]

    if places(old) != places(new):
        return "a listener's protocol, host or port"
    if old.metrics != new.metrics:
        return "metrics.host or metrics.port"
    if old.control != new.control:
        return "control.socket"
    if old.audit.folder != new.audit.folder:
        return "audit.folder"
    if max(new.limits.sessions, MOST_SESSIONS) > max(old.limits.sessions, MOST_SESSIONS):
        return f"limits.sessions, where it is more than {MOST_SESSIONS},"
    return ""
