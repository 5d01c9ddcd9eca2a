"""``accode-proxy runner``: the process that runs workflows."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import Callable

import click

from proxy import logs
from proxy.administration.trail import PING_VERB, ProxyTrail
from proxy.commands.frame import Command, Invocation, everywhere
from proxy.config import Config
from proxy.content.entrance import Entrance
from proxy.content.runner import Runner, RunnerSettings
from proxy.content.webhook import Caller, EgressCaller
from proxy.control import ControlError, SocketClient
from proxy.parts import open_store, web_egress_rules
from proxy.store import Workspace


@click.command(
    cls=Command,
    examples=("accode-proxy runner", "accode-proxy runner --config /etc/accode/accode.toml"),
)
@everywhere
def runner(invocation: Invocation) -> None:
    """Run workflows: those asked for, and those whose schedule is due.

    It enters the proxy of this host as any client does, and records in its audit log.
    Several runners may share a store on PostgreSQL. SIGTERM: take nothing new, let what
    runs end for limits.drain_deadline, then stop it.
    """
    config = invocation.config()
    logs.configure(config.logs.format, config.logs.level)
    asyncio.run(_run(config))


async def _run(config: Config) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.loop_exception_handler)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    client = SocketClient(config.control.socket)

    async def is_proxy_up() -> bool:
        try:
            await asyncio.to_thread(client.call, PING_VERB, {})
        except ControlError:
            return False
        return True

    store = await open_store(config)
    try:
        worker = Runner(
            store,
            ProxyTrail(client),
            Entrance.of(config),
            await _caller_of(config),
            RunnerSettings(
                runs=config.runner.runs,
                runs_per_workspace=config.runner.runs_per_workspace,
                lease=config.runner.lease,
            ),
            is_proxy_up=is_proxy_up,
        )
        logs.get_logger("runner").info("runner started", id=worker.id)
        await worker.run(stop, config.limits.drain_deadline)
    finally:
        await store.close()


async def _caller_of(config: Config) -> Callable[[Workspace], Caller]:
    rules = await web_egress_rules(config)
    tls = ssl.create_default_context()
    if config.runner.ca is not None:
        tls.load_verify_locations(cafile=config.runner.ca)

    def caller_of(workspace: Workspace) -> Caller:
        return EgressCaller(rules, workspace.policy, tls=tls, allow_plain=config.runner.plain_http)

    return caller_of
