"""The parent of all workers: keeps the sockets, hears the signals, reloads, drains.

It holds every listening socket open for as long as the proxy runs, so a connection that waits
in a queue outlives the worker it was meant for. Holds no key, opens no store, and reads
nothing that a client sends. Its workers are in ``fleet``; what it is asked is in ``enquiries``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from proxy.config import Config, ConfigError, read_config
from proxy.control import serve_control
from proxy.heartbeat import Heartbeat
from proxy.metrics import Metrics
from proxy.notify import NOBODY, Notifier
from proxy.parts import address_of, start_health, with_workers
from proxy.sockets import bind_group
from proxy.workers.counts import MOST_SESSIONS
from proxy.workers.enquiries import Enquiries, new_registry
from proxy.workers.fleet import Fleet, Orders
from proxy.workers.member import WorkerFailed
from proxy.workers.slots import Slot
from vault import harden_process

log = structlog.get_logger("supervisor")


class Supervisor:
    """Runs with ``run``. ``ports`` and ``metrics_port`` are known once it has started."""

    def __init__(self, file: Path, config: Config, text: str, notifier: Notifier = NOBODY) -> None:
        self._orders = Orders(config, text, file)
        self._notifier = notifier
        self.ports: list[int] = []
        self.metrics_port = 0
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._reload = asyncio.Event()
        self._sockets: list[socket.socket] = []

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
        config = self._orders.config
        async with AsyncExitStack() as stack:
            stack.callback(self._notifier.close)
            stack.callback(self._close_sockets)
            slots = self._bind(config)
            enquiries = Enquiries()
            fleet = Fleet(
                self._orders, enquiries.between_workers(), enquiries.retire, self._asked_to_stop
            )
            enquiries.fleet = fleet
            fleet.slots = slots
            stack.push_async_callback(fleet.close)
            control = await serve_control(config.control.socket, enquiries.handlers())
            stack.push_async_callback(control.close)
            heartbeat = Heartbeat(Metrics().observe_loop)
            heartbeat.start()
            stack.callback(heartbeat.stop)
            health = start_health(
                config, new_registry(enquiries, loop), heartbeat, enquiries.readiness()
            )
            stack.push_async_callback(asyncio.to_thread, health.stop)
            self.metrics_port = fleet.metrics_port = health.port
            await fleet.start_first()
            for settings, port in zip(config.listeners, self.ports, strict=True):
                log.info(
                    "listening",
                    protocol=settings.protocol,
                    host=settings.host,
                    port=port,
                    workers=config.workers.count,
                )
            if started is not None:
                started(self)
            self._notifier.ready()
            fleet.keep(self._reloads(fleet), "reload", is_vital=True)
            await self._stop.wait()
            self._notifier.stopping()
            log.info("draining")
            await self._drain(fleet)
        log.info("stopped")

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def _bind(self, config: Config) -> list[Slot]:
        """A group of sockets for each listener, one for each slot. Raises PortError."""
        groups: list[list[socket.socket]] = []
        for number, listener in enumerate(config.listeners):
            group = bind_group(
                listener.host, listener.port, f"listeners.{number}", config.workers.count
            )
            self._sockets += group
            groups.append(group)
        self.ports = [address_of(group[0])[1] for group in groups]
        return [Slot(sockets) for sockets in zip(*groups, strict=True)]

    def _close_sockets(self) -> None:
        for sock in self._sockets:
            sock.close()

    async def _drain(self, fleet: Fleet) -> None:
        # Who comes now is refused by the system, as soon as the workers have let go as well.
        self._close_sockets()
        fleet.drain()
        hurrying = asyncio.create_task(self._hurry.wait(), name="wait for a second signal")
        ending = asyncio.create_task(fleet.all_gone(), name="wait for the workers' end")
        await asyncio.wait((hurrying, ending), return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if not ending.done():
            fleet.hurry()
        await asyncio.gather(hurrying, ending, return_exceptions=True)

    # -- reload -------------------------------------------------------------------------------

    async def _reloads(self, fleet: Fleet) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            self._notifier.reloading()
            try:
                await fleet.replace_all(self._read_again())
            except (ConfigError, WorkerFailed) as error:
                log.error("the configuration is not reloaded", detail=str(error))
                self._notifier.kept()
            else:
                self._orders = fleet.orders
                self._notifier.ready()
                log.info("the configuration is reloaded", workers=len(fleet.slots))

    def _read_again(self) -> Orders:
        """The configuration as it is now. Raises ConfigError."""
        old = self._orders
        config, text = read_config(old.file, os.environ)
        # Their number is what it was at the start, by the file or the command line.
        config = with_workers(config, old.config.workers.count)
        fixed = _needs_restart(old.config, config)
        if fixed:
            raise ConfigError(f"{old.file}: {fixed} can only be changed by a restart.")
        return Orders(config, text, old.file)


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
    if new.limits.sessions > max(old.limits.sessions, MOST_SESSIONS):
        return f"limits.sessions, where it is more than {MOST_SESSIONS},"
    return ""
