"""``accode-proxy workspace``: tenants."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from proxy.administration import workspaces
from proxy.administration.rekeying import Rekeying, rekey_workspace
from proxy.administration.workplace import open_reading, open_workplace
from proxy.commands import display, documents
from proxy.commands.frame import Group, Invocation, everywhere
from proxy.content.archive import MAX_ARCHIVE, Archive, archive_text, export_workspace
from proxy.content.restoring import Restoration, import_workspace, read_secrets
from proxy.store import DeletionReceipt, Source, Token, Workspace
from proxy.store.tokens import DEFAULT_ITERATIONS


@click.group(cls=Group)
def workspace() -> None:
    """Workspaces: create, list, show, rename, rekey, suspend, resume, delete, export, import."""


@workspace.command(
    examples=(
        "accode-proxy workspace create finance",
        "accode-proxy workspace create batch --scram-iterations 1",
    )
)
@click.argument("name")
@click.option(
    "--scram-iterations",
    type=int,
    default=DEFAULT_ITERATIONS,
    show_default=True,
    help="PBKDF2 rounds of a login; fewer make clients faster, pg8000 needs 4096.",
)
@everywhere
def create(invocation: Invocation, name: str, scram_iterations: int) -> None:
    """Create a workspace with an encryption key of its own."""

    async def work() -> Workspace:
        async with open_workplace(invocation.config(), invocation.note) as place:
            return await workspaces.create_workspace(place, name, scram_iterations=scram_iterations)

    made = asyncio.run(work())
    invocation.show(
        workspace_value(made),
        f"Created workspace {made.name}.\n"
        f"Next: accode-proxy source add {made.name} ...; "
        f"accode-proxy token create {made.name}",
    )


@workspace.command("list", examples=("accode-proxy workspace list --json",))
@everywhere
def list_(invocation: Invocation) -> None:
    """List all workspaces."""

    async def work() -> list[Workspace]:
        async with open_reading(invocation.config()) as store:
            return await store.list_workspaces()

    found = asyncio.run(work())
    rows = [(entry.name, entry.state, display.moment(entry.created_at)) for entry in found]
    invocation.show(
        [workspace_value(entry) for entry in found],
        display.table(("NAME", "STATE", "CREATED"), rows) if rows else "There are no workspaces.",
    )


@workspace.command(examples=("accode-proxy workspace show finance",))
@click.argument("name")
@everywhere
def show(invocation: Invocation, name: str) -> None:
    """Show a workspace with its tokens and sources."""

    async def work() -> tuple[Workspace, list[Token], list[Source]]:
        async with open_reading(invocation.config()) as store:
            found = await store.workspace(name)
            return found, await store.list_tokens(found), await store.list_sources(found)

    found, tokens, sources = asyncio.run(work())
    now = datetime.now(UTC)
    live = sum(token.state(now) == "live" for token in tokens)
    value = workspace_value(found) | {
        "live_tokens": live,
        "tokens": len(tokens),
        "sources": [source.name for source in sources],
        "root_key_versions": [root.version for root in found.root_keys],
    }
    pairs = [
        ("Name", found.name),
        ("Id", found.id),
        ("State", found.state),
        ("Created", display.moment(found.created_at)),
        ("Tokens", f"{live} live, {len(tokens) - live} ended"),
        ("Sources", ", ".join(source.name for source in sources) or "none"),
        ("SCRAM iterations", found.scram_iterations),
    ]
    invocation.show(value, display.facts(pairs))


@workspace.command(examples=("accode-proxy workspace rekey finance",))
@click.argument("name")
@everywhere
def rekey(invocation: Invocation, name: str) -> None:
    """Seal a workspace's secrets under a new root key and destroy the earlier one.

    Takes some seconds, and no session notices. Finishes one that was interrupted.
    """

    async def work() -> Rekeying:
        async with open_workplace(invocation.config(), invocation.note) as place:
            return await rekey_workspace(place, await place.store.workspace(name))

    done = asyncio.run(work())
    invocation.show(
        {
            "root_key_version": done.version,
            "resealed": done.resealed,
            "destroyed": list(done.destroyed),
        },
        f"Workspace {name} has root key {done.version}. Sealed anew: {done.resealed} secrets; "
        f"destroyed: {', '.join(f'root key {one}' for one in done.destroyed) or 'none'}.",
    )


@workspace.command(examples=("accode-proxy workspace rename finance accounts",))
@click.argument("name")
@click.argument("new_name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def rename(invocation: Invocation, name: str, new_name: str, yes: bool) -> None:
    """Give a workspace another name. Its sessions end, for a DSN holds the name."""
    invocation.confirm(f"Rename {name} to {new_name} and end its sessions?", is_confirmed=yes)

    async def work() -> Workspace:
        async with open_workplace(invocation.config(), invocation.note) as place:
            found = await place.store.workspace(name)
            return await workspaces.rename_workspace(place, found, new_name)

    renamed = asyncio.run(work())
    invocation.show(workspace_value(renamed), f"Renamed workspace {name} to {renamed.name}.")


@workspace.command(
    examples=(
        "accode-proxy workspace suspend finance",
        "accode-proxy workspace suspend finance --yes",
    )
)
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def suspend(invocation: Invocation, name: str, yes: bool) -> None:
    """Refuse a workspace's logins and end its sessions within a second."""
    invocation.confirm(f"Suspend {name} and end its sessions?", is_confirmed=yes)

    async def work() -> Workspace:
        async with open_workplace(invocation.config(), invocation.note) as place:
            found = await place.store.workspace(name)
            return await workspaces.suspend_workspace(place, found)

    invocation.show(workspace_value(asyncio.run(work())), f"Suspended workspace {name}.")


@workspace.command(examples=("accode-proxy workspace resume finance",))
@click.argument("name")
@everywhere
def resume(invocation: Invocation, name: str) -> None:
    """Allow a suspended workspace's logins again."""

    async def work() -> Workspace:
        async with open_workplace(invocation.config(), invocation.note) as place:
            found = await place.store.workspace(name)
            return await workspaces.resume_workspace(place, found)

    invocation.show(workspace_value(asyncio.run(work())), f"Resumed workspace {name}.")


@workspace.command(examples=("accode-proxy workspace delete finance --yes --json > receipt.json",))
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def delete(invocation: Invocation, name: str, yes: bool) -> None:
    """Destroy a workspace, its keys, tokens and sources, and print the receipt.

    Its credentials become unreadable here; a backup that holds its root key still opens them.
    """
    invocation.confirm(
        f"Destroy {name} with all its tokens, sources and credentials, for good?",
        is_confirmed=yes,
    )

    async def work() -> DeletionReceipt:
        async with open_workplace(invocation.config(), invocation.note) as place:
            found = await place.store.workspace(name)
            return await workspaces.delete_workspace(place, found)

    receipt = asyncio.run(work())
    versions = ", ".join(map(str, receipt.root_key_versions))
    value = {
        "receipt": "deletion",
        "workspace": receipt.workspace_name,
        "workspace_id": receipt.workspace_id,
        "deleted_at": receipt.deleted_at,
        "destroyed_root_key_versions": list(receipt.root_key_versions),
        "token_ids": list(receipt.token_ids),
        "source_ids": list(receipt.source_ids),
        "credentials": receipt.credential_count,
    }
    pairs = [
        ("Deletion receipt", ""),
        ("Workspace", f"{receipt.workspace_name} ({receipt.workspace_id})"),
        ("Deleted", display.moment(receipt.deleted_at)),
        ("Root keys destroyed", f"version {versions}"),
        ("Tokens", len(receipt.token_ids)),
        ("Sources", len(receipt.source_ids)),
        ("Credentials", f"{receipt.credential_count}, unreadable from now on"),
    ]
    invocation.show(value, display.facts(pairs))


@workspace.command(
    "export",
    examples=("accode-proxy workspace export finance finance.json",),
)
@click.argument("name")
@click.argument("archive", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@everywhere
def export_(invocation: Invocation, name: str, archive: Path) -> None:
    """Write a workspace as one JSON file: settings, sources, policies, documents; no secret.

    ARCHIVE - is standard output.
    """

    async def work() -> Archive:
        async with open_workplace(invocation.config(), invocation.note) as place:
            return await export_workspace(place, name)

    made = asyncio.run(work())
    if str(archive) == "-":
        click.echo(archive_text(made), nl=False)
        return
    archive.write_text(archive_text(made), encoding="utf-8")
    value = {
        "workspace": name,
        "file": archive,
        "sources": len(made.sources),
        "workflows": len(made.workflows),
        "dashboards": len(made.dashboards),
    }
    invocation.show(
        value,
        f"Wrote {name} with {len(made.sources)} sources, {len(made.workflows)} workflows and "
        f"{len(made.dashboards)} dashboards to {archive}.",
    )


@workspace.command(
    "import",
    examples=(
        "accode-proxy workspace import finance.json --as staging --dry-run",
        "accode-proxy workspace import finance.json --as staging --secrets secrets.json",
    ),
)
@documents.file_argument
@click.option("--as", "name", required=True, help="The new workspace's name.")
@click.option(
    "--secrets",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help='JSON: {"orders": {"password": "..."}}; - reads standard input.',
)
@click.option("--dry-run", is_flag=True, help="Check everything, store nothing.")
@everywhere
def import_(
    invocation: Invocation, document: Path, name: str, secrets: Path | None, dry_run: bool
) -> None:
    """Make a workspace of what `workspace export` wrote, or nothing where anything is wrong.

    It is a new workspace: secrets are given anew, and tokens and keys are made anew.
    """
    data = documents.read_file(document, MAX_ARCHIVE)
    given = {} if secrets is None else read_secrets(documents.read_file(secrets))

    async def work() -> Restoration:
        async with open_workplace(invocation.config(), invocation.note) as place:
            return await import_workspace(place, name, data, given, is_dry_run=dry_run)

    done = asyncio.run(work())
    value = asdict(done) | {
        "needed": [{"source": source, "field": field} for source, field in done.needed]
    }
    what = "Nothing speaks against" if dry_run else "Made"
    lines = [
        f"{what} workspace {name}: {len(done.sources)} sources, {len(done.workflows)} workflows, "
        f"{len(done.dashboards)} dashboards."
    ]
    lines += [
        f"To be given: the {field.replace('_', ' ')} of {source}." for source, field in done.needed
    ]
    invocation.show(value, "\n".join(lines))


def workspace_value(entry: Workspace) -> dict[str, object]:
    """A workspace in JSON: nothing of its keys."""
    return {
        "name": entry.name,
        "id": entry.id,
        "state": entry.state,
        "created_at": entry.created_at,
        "scram_iterations": entry.scram_iterations,
    }
