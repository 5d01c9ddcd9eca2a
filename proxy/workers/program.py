"""A worker's program: ``python -m proxy.workers.program DESCRIPTOR``.

Serves as a whole proxy does, on sockets that it was given, and does what the supervisor says
at the other end of DESCRIPTOR. When that end is gone, so is the worker: its sessions are told
that the proxy is shutting down.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocols.interface import CancelArrival
from proxy import logs
from proxy.app import App, Post, running
from proxy.audit.chains import folder_of, name_of
from proxy.audit.crosscheck import checkpoints
from proxy.audit.events import chains_seen
from proxy.config import Config, config_from_text
from proxy.control import ControlError, Handler
from proxy.gateway.loop import SessionLoop
from proxy.memory import settle_garbage
from proxy.metrics import new_registry
from proxy.parts import open_vault, recover_chains
from proxy.preflight import examine, raise_descriptor_limit
from proxy.workers.counts import Counts, Shape
from proxy.workers.desk import Desk
from proxy.workers.link import Link
from proxy.workers.reach import Reach
from proxy.workers.tally import Dump, dump
from vault import harden_process

log = logs.get_logger("workers")


class Work:
    """One worker's run: what it is told, and what it answers."""

    def __init__(self) -> None:
        self._begin: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._orders = asyncio.Event()
        self._patience = 0.0
        self._hurry = asyncio.Event()
        self._app: App | None = None
        self._config: Config | None = None
        self._seat = 0
        self._metrics: Callable[[], Dump] = list
        handlers: dict[str, Handler] = {
            "begin": self._take_begin,
            "ping": self._ping,
            "accept": self._accept,
            "drain": self._drain,
            "hurry": self._be_quick,
            "metrics": self._tell_metrics,
            "kill": self._kill,
            "cancel": self._cancel,
            "recover": self._recover,
            "look": self._look,
            "control": self._control,
        }
        self.link = Link(handlers)

    # -- its life -----------------------------------------------------------------------

    async def run(self) -> int:
        """Until told to stop, or left alone; the exit code."""
        loop = asyncio.get_running_loop()
        # Told by hand, a worker drains; the supervisor starts another.
        loop.add_signal_handler(signal.SIGTERM, self._orders.set)
        serving = asyncio.create_task(self._serve(), name="serve")
        left = asyncio.create_task(self.link.lost.wait(), name="wait for the supervisor's end")
        await asyncio.wait((serving, left), return_when=asyncio.FIRST_COMPLETED)
        self._orders.set()
        if not serving.done():
            self._hurry.set()
            if self._app is None:
                serving.cancel()
        try:
            await serving
            return 0
        except asyncio.CancelledError:
            return 1
        except Exception as error:
            log.error("the worker cannot serve", exc_info=error)
            self.link.tell("failed", sentence=_sentence(error))
            return 1
        finally:
            left.cancel()
            await asyncio.gather(left, return_exceptions=True)
            await self.link.close()

    async def _serve(self) -> None:
        begin = await self._begin
        self._seat = begin["seat"]
        config = config_from_text(begin["text"], os.environ, Path(begin["file"]))
        self._config = config
        writer = logs.configure(config.logs.format, config.logs.level, worker=self._seat)
        for finding in examine(config):
            if finding.is_error:
                raise ControlError(finding.sentence)
            if begin["is_first"]:
                log.warning(finding.sentence)
        raise_descriptor_limit(config)
        counts = Counts.attach(begin["counts"], Shape(**begin["shape"]))
        desk = Desk(counts, self._seat)
        post = Post(
            slots=[[_listening(one) for one in slot] for slot in begin["slots"]],
            metrics_port=begin["metrics_port"],
            audit_folder=folder_of(config.audit.folder, self._seat),
            places=desk.places,
            shares=desk.share,
            neighbours=Reach(desk, self.link),
        )
        async with running(config, post) as app:
            app.metrics.read_log_lines_lost = lambda: writer.lost
            registry = new_registry(app.metrics)
            self._metrics = lambda: dump(registry)
            self._app = app
            settle_garbage()
            self.link.tell("ready")
            await self._orders.wait()
            await self._let_go(app)
        self.link.tell("bye", metrics=self._metrics())

    async def _let_go(self, app: App) -> None:
        draining = asyncio.create_task(app.drain(self._patience), name="drain")
        hurrying = asyncio.create_task(self._hurry.wait(), name="wait for haste")
        await asyncio.wait((draining, hurrying), return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, hurrying):
            task.cancel()
        await asyncio.gather(draining, hurrying, return_exceptions=True)

    # -- what it is told ------------------------------------------------------------------

    async def _take_begin(self, arguments: dict[str, Any]) -> object:
        if not self._begin.done():
            self._begin.set_result(arguments)
        return None

    async def _accept(self, arguments: dict[str, Any]) -> object:
        if self._app is not None and not self._app.is_draining:
            self._app.accept(arguments["slots"])
        return None

    async def _drain(self, arguments: dict[str, Any]) -> object:
        self._patience = arguments["patience"]
        self._orders.set()
        return None

    async def _be_quick(self, arguments: dict[str, Any]) -> object:
        self._orders.set()
        self._hurry.set()
        return None

    async def _kill(self, arguments: dict[str, Any]) -> object:
        if self._app is not None:
            kill = self._app.live.killer(arguments["workspace"], arguments["source"])
            kill(arguments["number"], arguments["only_statement"])
        return None

    async def _look(self, arguments: dict[str, Any]) -> object:
        """Record where the other chains are: see ``proxy.audit.crosscheck``."""
        if self._app is None or self._config is None:
            return None
        points = await asyncio.to_thread(checkpoints, self._config.audit.folder)
        points.pop(name_of(self._seat), None)
        if points:
            self._app.audit.record(chains_seen(points))
        return None

    # -- what it is asked -----------------------------------------------------------------

    async def _ping(self, arguments: dict[str, Any]) -> object:
        app = self._app
        if app is None:
            return {"serving": "The worker is starting."}
        return {name: probe() for name, probe in app.readiness.items()}

    async def _tell_metrics(self, arguments: dict[str, Any]) -> object:
        return self._metrics()

    async def _cancel(self, arguments: dict[str, Any]) -> object:
        app = self._app
        if app is not None and app.cancels is not None:
            protocol = app.protocols.get(arguments["protocol"])
            arrival = CancelArrival(bytes.fromhex(arguments["key"]), arguments["is_encrypted"])
            if protocol is not None:
                await app.cancels.handle(protocol, arrival)
        return None

    async def _recover(self, arguments: dict[str, Any]) -> object:
        if self._config is not None:
            await recover_chains(self._config, open_vault(self._config), arguments["seats"])
        return None

    async def _control(self, arguments: dict[str, Any]) -> object:
        """A verb of the control socket, for one worker to answer."""
        handler = self._app.handlers.get(arguments["verb"]) if self._app is not None else None
        if handler is None:
            raise ControlError("The worker cannot answer this.")
        return await handler(arguments["arguments"])


def _listening(descriptor: int) -> socket.socket:
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    return sock


def _sentence(error: Exception) -> str:
    """Our own exceptions are one sentence without a secret; of others only the type is told."""
    if type(error).__module__.partition(".")[0] in ("proxy", "vault", "policies", "protocols"):
        return str(getattr(error, "public", "") or error)
    return logs.describe(error)


async def _main(descriptor: int) -> int:
    work = Work()
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    await asyncio.get_running_loop().create_unix_connection(lambda: work.link, sock=sock)
    return await work.run()


def main() -> None:
    """Run, and exit."""
    harden_process()
    # Ctrl-C and a terminal's end go to the whole group: the supervisor says what they mean.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logs.configure()
    with asyncio.Runner(loop_factory=SessionLoop) as runner:
        runner.get_loop().set_exception_handler(logs.loop_exception_handler)
        code = runner.run(_main(int(sys.argv[1])))
    sys.exit(code)


if __name__ == "__main__":
    main()
