"""``accode-proxy session``: what is open now in the running proxy."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

import click

from proxy.administration import session_changes, sessions
from proxy.administration.trail import ProxyTrail, operator_name
from proxy.commands import display
from proxy.commands.frame import Group, Invocation, everywhere
from proxy.control import SocketClient


@click.group(cls=Group)
def session() -> None:
    """Live sessions of the proxy running on this host: list, kill."""


@session.command(
    "list",
    examples=(
        "accode-proxy session list",
        "accode-proxy session list --workspace finance --json",
        "accode-proxy session list --watch",
    ),
)
@click.option("--workspace", help="Only this workspace's.")
@click.option("--watch", is_flag=True, help="Go on with what changes, until Ctrl-C.")
@everywhere
def list_(invocation: Invocation, workspace: str | None, watch: bool) -> None:
    """List the open sessions. With --watch and --json, one event a line."""
    client = SocketClient(invocation.config().control.socket)
    if watch:
        with suppress(KeyboardInterrupt):
            _watch(invocation, client, workspace)
        return
    found = asyncio.run(sessions.list_sessions(client, workspace))
    columns = {
        "NUMBER": "number",
        "WORKSPACE": "workspace",
        "SOURCE": "source",
        "HOST": "host",
        "TOKEN": "token_id",
        "CLIENT": "client",
        "APPLICATION": "application_name",
        "STATE": "state",
        "AGE": "age_seconds",
    }
    rows = [[entry.get(key, "") for key in columns.values()] for entry in found]
    invocation.show(
        found, display.table(list(columns), rows) if rows else "There are no open sessions."
    )


def _watch(invocation: Invocation, client: SocketClient, workspace: str | None) -> None:
    def look() -> list[dict[str, Any]]:
        return asyncio.run(sessions.list_sessions(client, workspace))

    for change in session_changes.watch(look, lambda: time.sleep(_WATCH_SECONDS)):
        one = change.session
        if invocation.as_json:
            click.echo(json.dumps({"event": change.what, "session": one}), nl=True)
            continue
        where = f"{one.get('workspace', '')}/{one.get('source', '')}"
        words = (change.what, one["number"], where, one["client"], one["application_name"])
        click.echo(display.printable("  ".join(map(str, (*words, one["state"])))))


_WATCH_SECONDS = 1.0


@session.command(examples=("accode-proxy session kill 1734009921 --yes",))
@click.argument("session_id", metavar="ID_OR_NUMBER")
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def kill(invocation: Invocation, session_id: str, yes: bool) -> None:
    """End a session, and the statement it runs."""
    invocation.confirm(f"End session {session_id}?", is_confirmed=yes)
    client = SocketClient(invocation.config().control.socket)
    ending = sessions.kill_session(
        client, ProxyTrail(client), session_id, actor=operator_name(), warn=invocation.note
    )
    count = asyncio.run(ending)
    invocation.show({"killed": count}, f"Ended session {session_id}.")
