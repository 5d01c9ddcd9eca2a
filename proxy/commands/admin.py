"""``accode-proxy admin``: the endpoints over HTTP, in a process of their own, and their keys."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import click

from proxy import logs
from proxy.administration import api_keys
from proxy.administration.trail import operator_name
from proxy.administration.workplace import open_reading, open_workplace
from proxy.commands import display
from proxy.commands.frame import Group, Invocation, everywhere
from proxy.commands.oidc import oidc
from proxy.commands.staff import staff
from proxy.commands.support import support
from proxy.config import parse_duration
from proxy.store import ApiKey, ApiRole, Store, Workspace


@click.group(cls=Group)
def admin() -> None:
    """The admin endpoints: serve, openapi, key, staff, oidc. docs/admin.md tells of them."""


admin.add_command(staff)
admin.add_command(oidc)
admin.add_command(support)


@admin.command(
    examples=(
        "accode-proxy admin serve",
        "ACCODE_PROXY_LOGS__FORMAT=json accode-proxy admin serve --config /etc/accode/accode.toml",
    )
)
@everywhere
def serve(invocation: Invocation) -> None:
    """Serve the endpoints until SIGTERM. The proxy itself must be running beside it."""
    from proxy.admin.server import serve as serve_endpoints
    from proxy.commands.identity import fetch_for

    async def work() -> None:
        await serve_endpoints(config, await fetch_for(config))

    config = invocation.config()
    logs.configure(config.logs.format, config.logs.level)
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(logs.loop_exception_handler)
        runner.run(work())


@admin.command(examples=("accode-proxy admin openapi > openapi.json",))
@everywhere
def openapi(invocation: Invocation) -> None:
    """Print the description of the endpoints (OpenAPI 3.1), as JSON. Needs no configuration."""
    from proxy.admin.app import bare_app, describe

    document = describe(bare_app())
    invocation.show(document, json.dumps(document, indent=2))


@admin.group(cls=Group)
def key() -> None:
    """API keys: create, list, revoke."""


def _expiry(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


_workspace_option = click.option(
    "--workspace", help="The one workspace of the key.  [default: the platform]"
)


@key.command(
    examples=(
        "accode-proxy admin key create --role owner --label 'first key'",
        "accode-proxy admin key create --workspace finance --label ci --expires 90d --json",
    )
)
@click.option(
    "--role",
    type=click.Choice(["owner", "operator", "auditor"]),
    help="What a key of the platform may do.  [default: operator]",
)
@_workspace_option
@click.option("--label", help="Whose it is, or what for.  [default: who made it]")
@click.option("--expires", callback=_expiry, help="When it ends, as 12h or 90d.  [default: never]")
@everywhere
def create(
    invocation: Invocation,
    role: str | None,
    workspace: str | None,
    label: str | None,
    expires: float | None,
) -> None:
    """Create a key and show it, once."""
    if role is not None and workspace is not None:
        raise click.UsageError("A workspace's keys have one role: give --role or --workspace.")
    wanted = ApiRole(role or "operator") if workspace is None else ApiRole.WORKSPACE_ADMIN
    ends = datetime.now(UTC) + timedelta(seconds=expires) if expires is not None else None

    async def work() -> tuple[str, ApiKey]:
        async with open_workplace(invocation.config(), invocation.note) as place:
            return await api_keys.create_api_key(
                place,
                wanted,
                await _named(place.store, workspace),
                label=label or f"made by {operator_name()}"[:128],
                expires_at=ends,
            )

    text, made = asyncio.run(work())
    invocation.show(
        key_value(made, datetime.now(UTC)) | {"key": text},
        f"{text}\n\nThis key is not stored and cannot be shown again. Id {made.id}, "
        f"role {made.role}, ends: {display.moment(made.expires_at)}.",
    )


@key.command(
    "list",
    examples=("accode-proxy admin key list", "accode-proxy admin key list --workspace finance"),
)
@_workspace_option
@everywhere
def list_(invocation: Invocation, workspace: str | None) -> None:
    """List the keys of the platform, or of a workspace, the newest first."""

    async def work() -> list[ApiKey]:
        async with open_reading(invocation.config()) as store:
            named = await _named(store, workspace)
            return await store.api_keys.of(None if named is None else named.id)

    found, now = asyncio.run(work()), datetime.now(UTC)
    rows = [
        (
            entry.id,
            entry.state(now),
            entry.role,
            entry.label,
            display.moment(entry.created_at),
            display.moment(entry.expires_at),
            display.moment(entry.last_used_at),
        )
        for entry in found
    ]
    headings = ("ID", "STATE", "ROLE", "LABEL", "CREATED", "ENDS", "LAST USED")
    invocation.show(
        [key_value(entry, now) for entry in found],
        display.table(headings, rows) if rows else "There are no keys.",
    )


@key.command(examples=("accode-proxy admin key revoke 4fT9aQ2xZk --yes",))
@click.argument("identity", metavar="ID")
@_workspace_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def revoke(invocation: Invocation, identity: str, workspace: str | None, yes: bool) -> None:
    """End a key, named by its id; the next call with it is refused."""
    invocation.confirm("Revoke the key?", is_confirmed=yes)

    async def work() -> ApiKey:
        async with open_workplace(invocation.config(), invocation.note) as place:
            named = await _named(place.store, workspace)
            return await api_keys.revoke_api_key(place, named, identity)

    ended = asyncio.run(work())
    invocation.show(key_value(ended, datetime.now(UTC)), f"Revoked key {ended.id}.")


async def _named(store: Store, name: str | None) -> Workspace | None:
    return None if name is None else await store.workspace(name)


def key_value(entry: ApiKey, now: datetime) -> dict[str, object]:
    """A key in JSON: nothing that could be used to call."""
    return {
        "id": entry.id,
        "role": entry.role,
        "label": entry.label,
        "state": entry.state(now),
        "created_by": entry.created_by,
        "created_at": entry.created_at,
        "expires_at": entry.expires_at,
        "revoked_at": entry.revoked_at,
        "last_used_at": entry.last_used_at,
    }
