"""``accode-proxy admin staff``: the people of the platform, from the host itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import click

from proxy.administration import staff as work
from proxy.administration.workplace import Workplace, open_reading, open_workplace
from proxy.commands import display
from proxy.commands.frame import Group, Invocation, everywhere
from proxy.store import STAFF_ROLES, ApiRole, StaffAccount


@click.group(cls=Group)
def staff() -> None:
    """People who log in to the admin endpoints: create, list, role, reset, disable."""


@staff.command(examples=("accode-proxy admin staff create ada --role owner",))
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in STAFF_ROLES]),
    required=True,
    help="What the person may do.",
)
@everywhere
def create(invocation: Invocation, name: str, role: str) -> None:
    """Create an account and show the invitation to it, once."""
    _invite(invocation, lambda place: work.invite(place, name, ApiRole(role)))


@staff.command(examples=("accode-proxy admin staff reset ada --yes",))
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def reset(invocation: Invocation, name: str, yes: bool) -> None:
    """Take both factors of an account away, end its sessions, and invite again."""
    invocation.confirm(f"Reset {name}?", is_confirmed=yes)

    async def invite(place: Workplace) -> tuple[str, StaffAccount]:
        return await work.invite_anew(place, await work.named(place, name))

    _invite(invocation, invite)


@staff.command(examples=("accode-proxy admin staff role ada --role auditor --yes",))
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in STAFF_ROLES]),
    required=True,
    help="What the person may do from now on.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def role(invocation: Invocation, name: str, role: str, yes: bool) -> None:
    """Give an account another role; its sessions end, and what workspaces granted to it."""
    invocation.confirm(f"Give {name} the role {role}?", is_confirmed=yes)

    async def act() -> StaffAccount:
        async with open_workplace(invocation.config(), invocation.note) as place:
            return await work.change_role(place, await work.named(place, name), ApiRole(role))

    changed = asyncio.run(act())
    invocation.show(staff_value(changed), f"{changed.name} has the role {changed.role}.")


@staff.command(examples=("accode-proxy admin staff disable ada --yes",))
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def disable(invocation: Invocation, name: str, yes: bool) -> None:
    """End an account's sessions and let it log in no more; a reset brings it back."""
    invocation.confirm(f"Disable {name}?", is_confirmed=yes)

    async def act() -> StaffAccount:
        async with open_workplace(invocation.config(), invocation.note) as place:
            return await work.disable(place, await work.named(place, name))

    ended = asyncio.run(act())
    invocation.show(staff_value(ended), f"Disabled {ended.name}.")


@staff.command("list", examples=("accode-proxy admin staff list",))
@everywhere
def list_(invocation: Invocation) -> None:
    """List all accounts, by name."""

    async def read() -> list[StaffAccount]:
        async with open_reading(invocation.config()) as store:
            return await store.staff.all()

    found = asyncio.run(read())
    rows = [
        (one.name, one.role, one.state, display.moment(one.last_login_at), one.id) for one in found
    ]
    headings = ("NAME", "ROLE", "STATE", "LAST LOGIN", "ID")
    invocation.show(
        [staff_value(one) for one in found],
        display.table(headings, rows) if rows else "There are no staff accounts.",
    )


def _invite(
    invocation: Invocation, invite: Callable[[Workplace], Awaitable[tuple[str, StaffAccount]]]
) -> None:
    async def act() -> tuple[str, StaffAccount]:
        async with open_workplace(invocation.config(), invocation.note) as place:
            return await invite(place)

    text, made = asyncio.run(act())
    invocation.show(
        staff_value(made) | {"invitation": text},
        f"{text}\n\nThis invitation is not stored and cannot be shown again. {made.name} takes it "
        f"up until {display.moment(made.invited_until)}, as docs/admin.md tells.",
    )


def staff_value(account: StaffAccount) -> dict[str, object]:
    """An account in JSON: nothing that could be used to log in."""
    return {
        "id": account.id,
        "name": account.name,
        "role": account.role,
        "state": account.state,
        "created_by": account.created_by,
        "created_at": account.created_at,
        "last_login_at": account.last_login_at,
    }
