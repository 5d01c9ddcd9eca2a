"""``accode-proxy token``: what workspaces log in with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

from proxy.administration import tokens
from proxy.administration.trail import operator_name
from proxy.administration.workplace import open_reading, open_workplace
from proxy.commands import display
from proxy.commands.frame import Group, Invocation, everywhere
from proxy.config import Config, parse_duration
from proxy.dsn import SCHEMES, dsn
from proxy.store import Source, Token


@click.group(cls=Group)
def token() -> None:
    """Access tokens: create, list, revoke."""


def _expiry(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@token.command(
    examples=(
        "accode-proxy token create finance --label nightly-report --expires 30d",
        "accode-proxy token create finance --json | jq -r .token",
    )
)
@click.argument("workspace")
@click.option("--label", help="What it is for.  [default: who made it]")
@click.option("--expires", callback=_expiry, help="When it ends, as 12h or 30d.  [default: never]")
@everywhere
def create(
    invocation: Invocation, workspace: str, label: str | None, expires: float | None
) -> None:
    """Create a token and show it, once, with the DSN to paste into a driver."""
    config = invocation.config()
    ends = datetime.now(UTC) + timedelta(seconds=expires) if expires is not None else None

    async def work() -> tuple[str, Token, Sequence[Source]]:
        async with open_workplace(config, invocation.note) as place:
            found = await place.store.workspace(workspace)
            text, made = await tokens.create_token(
                place,
                found,
                label=label or f"made by {operator_name()}"[:128],
                expires_at=ends,
            )
            return text, made, await place.store.list_sources(found)

    text, made, sources = asyncio.run(work())
    dsns = _dsns(config, workspace, text, sources)
    value = token_value(made, datetime.now(UTC)) | {"token": text, "dsns": dsns}
    lines = [
        text,
        "",
        f"This token is not stored and cannot be shown again. Id {made.id}, "
        f"ends: {display.moment(made.expires_at)}.",
        *([] if sources else ["There is no source yet; put its name in SOURCE's place:"]),
        *dsns,
    ]
    invocation.show(value, "\n".join(lines))


@token.command("list", examples=("accode-proxy token list finance --json",))
@click.argument("workspace")
@everywhere
def list_(invocation: Invocation, workspace: str) -> None:
    """List a workspace's tokens, the newest first."""

    async def work() -> list[Token]:
        async with open_reading(invocation.config()) as store:
            return await store.list_tokens(await store.workspace(workspace))

    found = asyncio.run(work())
    now = datetime.now(UTC)
    rows = [
        (
            entry.id,
            entry.state(now),
            entry.label,
            display.moment(entry.created_at),
            display.moment(entry.expires_at),
            display.moment(entry.last_used_at),
        )
        for entry in found
    ]
    headings = ("ID", "STATE", "LABEL", "CREATED", "ENDS", "LAST USED")
    invocation.show(
        [token_value(entry, now) for entry in found],
        display.table(headings, rows) if rows else "There are no tokens.",
    )


@token.command(
    examples=(
        "accode-proxy token revoke finance 4fT9aQ2xZk",
        "accode-proxy token revoke finance 4fT9aQ2xZk --yes",
    )
)
@click.argument("workspace")
@click.argument("token_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def revoke(invocation: Invocation, workspace: str, token_id: str, yes: bool) -> None:
    """End a token, named by its id, and cut the sessions it opened within a second."""
    invocation.confirm("Revoke the token and cut its sessions?", is_confirmed=yes)

    async def work() -> Token:
        async with open_workplace(invocation.config(), invocation.note) as place:
            found = await place.store.workspace(workspace)
            return await tokens.revoke_token(place, found, token_id)

    ended = asyncio.run(work())
    invocation.show(token_value(ended, datetime.now(UTC)), f"Revoked token {ended.id}.")


def _dsns(config: Config, workspace: str, text: str, sources: Sequence[Source]) -> list[str]:
    if not sources:
        return [dsn(config.listeners[0], workspace, text, "SOURCE")]
    # More than ten lines of the same help nobody.
    return [
        dsn(listener, workspace, text, source.name)
        for source in sources[:10]
        for listener in config.listeners
        if SCHEMES[listener.protocol] == source.engine
    ]


def token_value(entry: Token, now: datetime) -> dict[str, object]:
    """A token in JSON: nothing that could be used to log in."""
    return {
        "id": entry.id,
        "label": entry.label,
        "state": entry.state(now),
        "created_at": entry.created_at,
        "expires_at": entry.expires_at,
        "revoked_at": entry.revoked_at,
        "last_used_at": entry.last_used_at,
    }
