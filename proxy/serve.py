"""A proxy of one process, from its start to the signal that ends it.

What it consists of is ``app``; several processes are ``workers``.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import structlog

from proxy.app import App, running
from proxy.config import Config
from proxy.memory import settle_garbage
from proxy.notify import NOBODY, Notifier
from vault import harden_process

log = structlog.get_logger("proxy")


async def serve(
    config: Config,
    *,
    notifier: Notifier = NOBODY,
    started: Callable[[App], None] | None = None,
) -> None:
    """Run until SIGTERM or SIGINT, then drain; a second signal ends at once."""
    harden_process()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    hurry = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            hurry.set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    # Left to itself it would end the process, and to a service manager as if it were meant.
    loop.add_signal_handler(signal.SIGHUP, log.warning, "only several workers reload on SIGHUP")
    async with running(config) as app:
        settle_garbage()
        for settings, listener in zip(config.listeners, app.listeners, strict=True):
            log.info(
                "listening", protocol=settings.protocol, host=settings.host, port=listener.port
            )
        if started is not None:
            started(app)
        notifier.ready()
        await stop.wait()
        notifier.stopping()
        log.info("draining", sessions=len(app.live))
        draining = asyncio.create_task(app.drain(), name="drain")
        hurrying = asyncio.create_task(hurry.wait(), name="wait for a second signal")
        await asyncio.wait((draining, hurrying), return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, hurrying):
            task.cancel()
        await asyncio.gather(draining, hurrying, return_exceptions=True)
    notifier.close()
    log.info("stopped")
