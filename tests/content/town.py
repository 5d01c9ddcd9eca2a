"""A proxy with both listeners before a PostgreSQL and a MariaDB, and what runs through it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from policies.egress import EgressRules
from proxy.administration.trail import ProxyTrail
from proxy.administration.workplace import Workplace, open_workplace
from proxy.config import Config, load_config
from proxy.content.entrance import Entrance
from proxy.content.library import save_document
from proxy.content.runner import Runner, RunnerSettings
from proxy.content.runs import start_run
from proxy.content.webhook import Caller, EgressCaller
from proxy.control import SocketClient
from proxy.store import Store, Workspace
from proxy.store.contents import Run
from tests.mysql.conftest import add_source
from tests.servers.certificates import Certificates
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.sql import SqlServer

_names = count(1)


class TwoListeners(ProxyServer):
    """A proxy for PostgreSQL and MySQL, at ports that its configuration names."""

    def __init__(self, folder: Path, certificates: Certificates, **overrides: Any) -> None:
        super().__init__(folder, certificates, listener={"port": free_port()}, **overrides)
        with self.config_file.open("a") as file:
            file.write(f'[[listeners]]\nprotocol = "mysql"\nport = {free_port()}\n')
            file.write(f'tls_certificate = "{certificates.certificate("server")}"\n')
            file.write(f'tls_key = "{certificates.key("server")}"\n')

    @property
    def config(self) -> Config:
        return load_config(self.config_file, {})


@dataclass
class Town:
    """The servers, the proxy, and workspaces with a source at each server."""

    proxy: TwoListeners
    postgres: PostgresServer
    mariadb: SqlServer
    rules: EgressRules = field(default_factory=lambda: EgressRules(allow_private=True))

    def workspace(self) -> str:
        """A new workspace with sources ``orders`` (PostgreSQL) and ``shop`` (MariaDB)."""
        name = f"town{next(_names)}"
        self.proxy.create_workspace(name)
        self.proxy.add_source(name, "orders", self.postgres)
        add_source(self.proxy, name, self.mariadb, "native", name="shop")
        return name

    @asynccontextmanager
    async def desk(self, notes: list[str] | None = None) -> AsyncIterator[Workplace]:
        """To change things, as the command line does."""
        warn: Callable[[str], None] = (notes if notes is not None else []).append
        async with open_workplace(self.proxy.config, warn) as place:
            yield place

    def runner(self, store: Store, caller: Caller | None = None, **settings: Any) -> Runner:
        """A runner of this process."""

        def caller_of(workspace: Workspace) -> Caller:
            return caller or EgressCaller(self.rules, workspace.policy)

        return Runner(
            store,
            ProxyTrail(SocketClient(self.proxy.config.control.socket)),
            Entrance.of(self.proxy.config),
            caller_of,
            RunnerSettings(**settings),
        )

    @asynccontextmanager
    async def running(self, caller: Caller | None = None, **settings: Any) -> AsyncIterator[Runner]:
        """A runner at work."""
        store = await Store.open(self.proxy.store_url)
        stop = asyncio.Event()
        runner = self.runner(store, caller, **settings)
        task = asyncio.create_task(runner.run(stop, drain_seconds=0.0))
        try:
            yield runner
        finally:
            stop.set()
            await task
            await store.close()

    @contextmanager
    def runner_process(self) -> Iterator[subprocess.Popen[bytes]]:
        """``accode-proxy runner`` in a process of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "proxy.cli", "runner", "--config", str(self.proxy.config_file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"]},
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait(20)


async def save(place: Workplace, workspace: str, name: str, document: dict[str, Any]) -> None:
    """Save a workflow."""
    import json

    await save_document(place, workspace, "workflow", name, json.dumps(document))


async def run_to_end(
    place: Workplace, workspace: str, name: str, within: float = 60.0, **parameters: Any
) -> Run:
    """Ask for a run and wait until it has ended."""
    run = await start_run(place, workspace, name, parameters)
    return await ended(place, workspace, run, within)


async def ended(place: Workplace, workspace: str, run: Run, within: float = 60.0) -> Run:
    """Wait until a run has ended."""
    return await until(place, workspace, run, lambda found: found.has_ended, within)


async def until(
    place: Workplace,
    workspace: str,
    run: Run,
    condition: Callable[[Run], bool],
    within: float = 60.0,
) -> Run:
    """Wait until a run is as wanted."""
    found = await place.store.workspace(workspace)
    async with asyncio.timeout(within):
        while not condition(run):
            # The store is asked, which lets every other task take its turn.
            run = await place.store.content.run(found, run.id)
    return run
