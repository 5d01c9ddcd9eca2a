"""``accode-proxy admin support``: what workspaces have granted to the support, from the host.

Deciding is not among the verbs: a workspace does that itself, with a key or as somebody whom
its identity provider vouches for.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import click

from proxy.administration import support as work
from proxy.administration.workplace import open_reading, open_workplace
from proxy.commands import display
from proxy.commands.frame import Group, Invocation, everywhere
from proxy.store import NotFound, SupportGrant


@click.group(cls=Group)
def support() -> None:
    """Support grants of a workspace: list, end."""


@support.command("list", examples=("accode-proxy admin support list finance",))
@click.argument("workspace")
@everywhere
def list_(invocation: Invocation, workspace: str) -> None:
    """List who has asked for access to a workspace, and what became of it, the newest first."""

    async def read() -> list[SupportGrant]:
        async with open_reading(invocation.config()) as store:
            return await store.support.of_workspace((await store.workspace(workspace)).id)

    found, now = asyncio.run(read()), datetime.now(UTC)
    rows = [
        (
            one.id,
            one.staff_name,
            one.state(now),
            display.moment(one.asked_at),
            display.moment(one.expires_at, "-"),
            one.reason,
        )
        for one in found
    ]
    headings = ("ID", "WHO", "STATE", "ASKED", "EXPIRES", "REASON")
    invocation.show(
        [grant_value(one, now) for one in found],
        display.table(headings, rows) if rows else "Nobody has asked for access.",
    )


@support.command(
    examples=("accode-proxy admin support end finance 0f8fad5bd9cb469fa16570867728950e",)
)
@click.argument("workspace")
@click.argument("grant_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def end(invocation: Invocation, workspace: str, grant_id: str, yes: bool) -> None:
    """End a grant or a request now: its tokens are revoked and their sessions cut."""
    invocation.confirm(f"End the grant {grant_id}?", is_confirmed=yes)

    async def act() -> SupportGrant:
        async with open_workplace(invocation.config(), invocation.note) as place:
            found = await place.store.support.find(grant_id)
            here = await place.store.workspace(workspace)
            if found is None or found.workspace_id != here.id:
                raise NotFound(f"there is no grant of that id in {workspace}")
            return await work.end(place, found)

    ended = asyncio.run(act())
    invocation.show(grant_value(ended, datetime.now(UTC)), f"Ended {ended.staff_name}'s grant.")


def grant_value(grant: SupportGrant, now: datetime) -> dict[str, object]:
    """A grant as ``--json`` shows it."""
    return {
        "id": grant.id,
        "staff": grant.staff_name,
        "reason": grant.reason,
        "minutes": grant.minutes,
        "with_database": grant.with_database,
        "state": grant.state(now),
        "asked_at": grant.asked_at,
        "decided_by": grant.decided_by or None,
        "expires_at": grant.expires_at,
        "ended_by": grant.ended_by or None,
    }
