"""``accode-proxy policy history`` and ``diff``: what was put when, and what it changed."""

from __future__ import annotations

import asyncio
import json

import click

from proxy.administration import policies
from proxy.administration.workplace import open_reading
from proxy.commands import display
from proxy.commands.frame import Command, Invocation, everywhere
from proxy.store import NotFound
from proxy.store.records import PolicyVersion

_source = click.option("--source", help="The policy that narrows it for one source.")


@click.command(
    cls=Command,
    examples=(
        "accode-proxy policy history finance",
        "accode-proxy policy history finance --source orders",
    ),
)
@click.argument("workspace")
@_source
@everywhere
def history(invocation: Invocation, workspace: str, source: str | None) -> None:
    """List the policies that were put, and by whom, the newest first; a hundred are kept."""
    found = _versions(invocation, workspace, source)
    rows = [
        (
            one.number,
            display.moment(one.at),
            one.actor,
            "none" if one.policy is None else one.policy.access,
        )
        for one in found
    ]
    headings = ("NUMBER", "PUT AT", "BY", "ACCESS")
    invocation.show(
        [_value(one) for one in found],
        display.table(headings, rows) if rows else "No policy was ever put.",
    )


@click.command(
    cls=Command,
    examples=(
        "accode-proxy policy diff finance 3 4",
        "accode-proxy policy diff finance 1 2 --source orders --json",
    ),
)
@click.argument("workspace")
@click.argument("before", type=click.IntRange(min=1))
@click.argument("after", type=click.IntRange(min=1))
@_source
@everywhere
def diff(
    invocation: Invocation, workspace: str, before: int, after: int, source: str | None
) -> None:
    """Show in which places two of the policies that were put differ, by their numbers."""
    versions = {one.number: one for one in _versions(invocation, workspace, source)}
    for number in (before, after):
        if number not in versions:
            raise NotFound(f"there is no policy {number} in this history")
    found = policies.differences(versions[before].policy, versions[after].policy)
    lines = [
        f"{'.'.join(one.path)}: {json.dumps(one.before)} -> {json.dumps(one.after)}"
        for one in found
    ]
    invocation.show(
        [{"path": list(one.path), "before": one.before, "after": one.after} for one in found],
        display.printable("\n".join(lines)) if lines else "They are the same.",
    )


def _versions(invocation: Invocation, workspace: str, source: str | None) -> list[PolicyVersion]:
    async def read() -> list[PolicyVersion]:
        async with open_reading(invocation.config()) as store:
            found, narrowed = await policies.find(store, workspace, source)
            return await store.policies.history(found, narrowed)

    return asyncio.run(read())


def _value(version: PolicyVersion) -> dict[str, object]:
    policy = version.policy
    return {
        "number": version.number,
        "policy": None if policy is None else policy.to_value(),
        "digest": None if policy is None else policy.digest,
        "put_by": version.actor,
        "put_at": version.at,
    }
