"""``accode-proxy admin oidc``: where the administrators of a workspace log in."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from proxy.administration import oidc as work
from proxy.administration.workplace import open_reading, open_workplace
from proxy.commands import display
from proxy.commands.frame import CommandError, Group, Invocation, everywhere
from proxy.commands.secrets import read_client_secret
from proxy.oidc.failures import ProviderFailed
from proxy.store import ApiKey, IdentityProvider


@click.group(cls=Group)
def oidc() -> None:
    """Identity providers of workspaces (OpenID Connect): set, show, test, remove, sessions."""


@oidc.command(
    "set",
    examples=(
        "accode-proxy admin oidc set finance --issuer https://login.example.com --client-id accode"
        " --redirect-uri https://console.example.com/oidc/callback --claim groups"
        " --allow finance-admins --secret-stdin < secret.txt",
        "accode-proxy admin oidc set finance --session-minutes 60",
    ),
)
@click.argument("workspace")
@click.option("--issuer", help="As its discovery document names it, to the letter.")
@click.option("--client-id", help="What the provider knows this client by.")
@click.option("--secret-stdin", is_flag=True, help="Read the client's secret from standard input.")
@click.option(
    "--secret-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Read the client's secret from this file, of mode 0600.",
)
@click.option(
    "--redirect-uri", "redirect_uris", multiple=True, help="Where users are taken back; repeatable."
)
@click.option("--scope", "scopes", multiple=True, help="Repeatable.  [default: openid and email]")
@click.option("--claim", help="The claim that says who is an administrator, as email or groups.")
@click.option("--allow", "allowed", multiple=True, help="A value of it that is one; repeatable.")
@click.option(
    "--session-minutes", type=int, help="After so long a session is over.  [default: 480]"
)
@everywhere
def set_(
    invocation: Invocation,
    workspace: str,
    issuer: str | None,
    client_id: str | None,
    secret_stdin: bool,
    secret_file: Path | None,
    redirect_uris: tuple[str, ...],
    scopes: tuple[str, ...],
    claim: str | None,
    allowed: tuple[str, ...],
    session_minutes: int | None,
) -> None:
    """Set the provider, or change what is named of it; its sessions end.

    Another issuer or client needs its secret with it.
    """
    text = read_client_secret(from_stdin=secret_stdin, file=secret_file)

    async def act() -> IdentityProvider:
        async with open_workplace(invocation.config(), invocation.note) as place:
            found = await place.store.workspace(workspace)
            before = await place.store.oidc.of_workspace(found.id)
            given = {
                "issuer": issuer,
                "client_id": client_id,
                "redirect_uris": redirect_uris,
                "scopes": scopes,
                "claim": claim,
                "allowed": allowed,
                "session_minutes": session_minutes,
            }
            return await work.set_provider(
                place,
                found,
                before,
                _wanted(
                    before,
                    {name: value for name, value in given.items() if value not in (None, ())},
                ),
                None if text is None else work.client_secret_of(text),
            )

    made = asyncio.run(act())
    invocation.show(provider_value(made), f"Set the identity provider of {workspace}.")


def _wanted(before: IdentityProvider | None, given: dict[str, Any]) -> work.Wanted:
    if before is None:
        needed = ("issuer", "client_id", "redirect_uris", "claim", "allowed")
        options = {"redirect_uris": "redirect-uri", "allowed": "allow", "client_id": "client-id"}
        missing = [f"--{options.get(name, name)}" for name in needed if name not in given]
        if missing:
            raise click.UsageError(f"A first provider needs {', '.join(missing)}, and its secret.")
        return work.Wanted(**given)
    names = work.Wanted.__dataclass_fields__
    return work.Wanted(**{name: given.get(name, getattr(before, name)) for name in names})


@oidc.command(examples=("accode-proxy admin oidc show finance",))
@click.argument("workspace")
@everywhere
def show(invocation: Invocation, workspace: str) -> None:
    """Show the provider of a workspace, without its secret."""

    async def read() -> IdentityProvider:
        async with open_reading(invocation.config()) as store:
            return await work.find_provider(store, await store.workspace(workspace))

    found = asyncio.run(read())
    rows = [
        ("issuer", found.issuer),
        ("client id", found.client_id),
        ("redirect URIs", ", ".join(found.redirect_uris)),
        ("scopes", " ".join(found.scopes)),
        ("administrators", f"{found.claim}: {', '.join(found.allowed)}"),
        ("session", f"{found.session_minutes} minutes"),
        ("set", f"{display.moment(found.set_at)} by {found.set_by}"),
    ]
    invocation.show(provider_value(found), display.table(("SETTING", "VALUE"), rows))


@oidc.command(examples=("accode-proxy admin oidc test finance",))
@click.argument("workspace")
@everywhere
def test(invocation: Invocation, workspace: str) -> None:
    """Ask the provider for its description and keys; the secret is not sent."""
    from proxy.commands.identity import fetch_for
    from proxy.oidc.client import Client

    async def ask() -> dict[str, object]:
        config = invocation.config()
        async with open_reading(config) as store:
            found = await store.workspace(workspace)
            provider = await work.find_provider(store, found)
            fetch = (await fetch_for(config))(found)
            loop = asyncio.get_running_loop()
            try:
                metadata = await Client(loop.time).look(fetch, provider)
            except ProviderFailed as failure:
                raise CommandError(str(failure)) from None
            return {
                "ok": True,
                "authorization_endpoint": metadata.authorization_endpoint,
                "token_endpoint": metadata.token_endpoint,
                "jwks_uri": metadata.jwks_uri,
            }

    invocation.show(
        asyncio.run(ask()),
        "The identity provider describes itself, and shows keys, as it must.",
    )


@oidc.command(examples=("accode-proxy admin oidc remove finance --yes",))
@click.argument("workspace")
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def remove(invocation: Invocation, workspace: str, yes: bool) -> None:
    """Remove the provider of a workspace, and end its sessions."""
    invocation.confirm(f"Remove the identity provider of {workspace}?", is_confirmed=yes)

    async def act() -> IdentityProvider:
        async with open_workplace(invocation.config(), invocation.note) as place:
            found = await work.find_provider(place.store, await place.store.workspace(workspace))
            await work.remove_provider(place, found)
            return found

    removed = asyncio.run(act())
    invocation.show(provider_value(removed), f"Removed the identity provider of {workspace}.")


@oidc.group(cls=Group)
def session() -> None:
    """Sessions of administrators who have logged in: list, revoke."""


@session.command("list", examples=("accode-proxy admin oidc session list finance",))
@click.argument("workspace")
@everywhere
def list_(invocation: Invocation, workspace: str) -> None:
    """List them, the newest first; those that ended are there until the next login."""

    async def read() -> list[ApiKey]:
        async with open_reading(invocation.config()) as store:
            return await store.oidc.sessions((await store.workspace(workspace)).id)

    found, now = asyncio.run(read()), datetime.now(UTC)
    rows = [
        (
            one.id,
            one.state(now),
            one.label,
            one.address,
            display.moment(one.created_at),
            display.moment(one.expires_at),
            display.moment(one.last_used_at),
        )
        for one in found
    ]
    headings = ("ID", "STATE", "NAME", "ADDRESS", "BEGAN", "ENDS", "LAST USED")
    invocation.show(
        [session_value(one, now) for one in found],
        display.table(headings, rows) if rows else "There are no sessions.",
    )


@session.command(examples=("accode-proxy admin oidc session revoke finance 4fT9aQ2xZk --yes",))
@click.argument("workspace")
@click.argument("identity", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def revoke(invocation: Invocation, workspace: str, identity: str, yes: bool) -> None:
    """End a session, named by its id; the next call with it is refused."""
    invocation.confirm("End the session?", is_confirmed=yes)

    async def act() -> ApiKey:
        async with open_workplace(invocation.config(), invocation.note) as place:
            found = await place.store.workspace(workspace)
            return await work.end_session(place, found, identity)

    ended = asyncio.run(act())
    invocation.show(session_value(ended, datetime.now(UTC)), f"Ended session {ended.id}.")


def provider_value(provider: IdentityProvider) -> dict[str, object]:
    """A provider in JSON, without its secret."""
    return {
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "redirect_uris": list(provider.redirect_uris),
        "scopes": list(provider.scopes),
        "claim": provider.claim,
        "allowed": list(provider.allowed),
        "session_minutes": provider.session_minutes,
        "set_by": provider.set_by,
        "set_at": provider.set_at,
    }


def session_value(entry: ApiKey, now: datetime) -> dict[str, object]:
    """A session in JSON: nothing that could be used to call."""
    return {
        "id": entry.id,
        "state": entry.state(now),
        "name": entry.label,
        "subject": entry.subject,
        "address": entry.address,
        "created_at": entry.created_at,
        "last_used_at": entry.last_used_at,
        "expires_at": entry.expires_at,
        "revoked_at": entry.revoked_at,
    }
