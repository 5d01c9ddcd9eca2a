"""``accode-proxy workflow``: documents of steps, and their runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from proxy.administration.workplace import Workplace, open_reading, open_workplace
from proxy.commands import display, documents
from proxy.commands.frame import CommandError, Group, Invocation, everywhere
from proxy.content.portable import (
    MAX_IMPORT,
    Imported,
    export_content,
    export_text,
    import_content,
)
from proxy.content.runs import cancel_run, run_value, start_run
from proxy.content.workflow import Workflow
from proxy.store.contents import DocumentKind, Run

FAILED = 3
"""Exit status of ``workflow run --wait`` where the run did not succeed."""
_LOOK_SECONDS = 0.5


@click.group(cls=Group)
def workflow() -> None:
    """Workflows: save, list, show, history, run, runs, cancel, delete, export,
    import, schema.

    docs/workflows.md has the document. `accode-proxy runner` is what runs them.
    """


@workflow.command(
    examples=(
        "accode-proxy workflow save finance nightly nightly.json",
        "accode-proxy workflow save finance nightly - --from-version 3 < nightly.json",
    )
)
@click.argument("workspace")
@click.argument("name")
@documents.file_argument
@click.option("--from-version", type=int, help="Refuse where it is not at this version; 0: new.")
@everywhere
def save(
    invocation: Invocation, workspace: str, name: str, document: Path, from_version: int | None
) -> None:
    """Save a workflow, from JSON, as its next version. DOCUMENT - reads standard input."""
    documents.save(invocation, "workflow", workspace, name, document, from_version)


@workflow.command("list", examples=("accode-proxy workflow list finance --json",))
@click.argument("workspace")
@everywhere
def list_(invocation: Invocation, workspace: str) -> None:
    """List a workspace's workflows, and when they run next."""
    documents.list_all(invocation, "workflow", workspace)


@workflow.command(
    examples=(
        "accode-proxy workflow show finance nightly > nightly.json",
        "accode-proxy workflow show finance nightly --at 2",
    )
)
@click.argument("workspace")
@click.argument("name")
@click.option("--at", "version", type=int, help="An earlier version.")
@everywhere
def show(invocation: Invocation, workspace: str, name: str, version: int | None) -> None:
    """Print a workflow as JSON."""
    documents.show(invocation, "workflow", workspace, name, version)


@workflow.command(examples=("accode-proxy workflow history finance nightly",))
@click.argument("workspace")
@click.argument("name")
@everywhere
def history(invocation: Invocation, workspace: str, name: str) -> None:
    """List a workflow's versions, the newest first."""
    documents.history(invocation, "workflow", workspace, name)


@workflow.command(
    examples=(
        "accode-proxy workflow run finance nightly",
        "accode-proxy workflow run finance nightly --set since=2026-11-01 --wait",
    )
)
@click.argument("workspace")
@click.argument("name")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A parameter.")
@click.option("--wait", is_flag=True, help="Until it has ended; exit status 3 where it failed.")
@everywhere
def run(
    invocation: Invocation, workspace: str, name: str, given: tuple[str, ...], wait: bool
) -> None:
    """Ask for a run; a runner takes it within a second."""

    async def work() -> Run:
        async with open_workplace(invocation.config(), invocation.note) as place:
            found = await place.store.workspace(workspace)
            stored = await place.store.content.document(found, "workflow", name)
            declared = Workflow.read(stored.body).parameters
            values = documents.typed(given, declared)
            asked = await start_run(place, workspace, name, values)
            return await _ended(place, workspace, asked) if wait else asked

    asked = asyncio.run(work())
    if not wait:
        invocation.show(run_value(asked), f"Run {asked.id} is queued.")
        return
    invocation.show(run_value(asked), _as_text(asked))
    if asked.status != "succeeded":
        sys.exit(FAILED)


async def _ended(place: Workplace, workspace: str, asked: Run) -> Run:
    found = await place.store.workspace(workspace)
    while not asked.has_ended:
        await asyncio.sleep(_LOOK_SECONDS)
        asked = await place.store.content.run(found, asked.id)
    return asked


@workflow.command(
    examples=(
        "accode-proxy workflow runs finance",
        "accode-proxy workflow runs finance nightly --last 5 --json",
        "accode-proxy workflow runs finance --id 5f0c1d2e3a4b5c6d",
    )
)
@click.argument("workspace")
@click.argument("name", required=False)
@click.option("--last", type=click.IntRange(1, 1_000), default=20, show_default=True)
@click.option("--id", "run_id", help="Show one run with its steps.")
@everywhere
def runs(
    invocation: Invocation, workspace: str, name: str | None, last: int, run_id: str | None
) -> None:
    """List runs, the newest first, or show one of them."""

    async def work() -> list[Run]:
        async with open_reading(invocation.config()) as store:
            found = await store.workspace(workspace)
            if run_id is not None:
                return [await store.content.run(found, run_id)]
            of = None
            if name is not None:
                of = await store.content.document(found, "workflow", name)
            return await store.content.runs(found, of, last)

    found = asyncio.run(work())
    if run_id is not None:
        invocation.show(run_value(found[0]), _as_text(found[0]))
        return
    rows = [
        (
            entry.id,
            entry.workflow,
            entry.status,
            entry.triggered_by,
            display.moment(entry.started_at, "-"),
            _seconds(entry),
            entry.error[:80],
        )
        for entry in found
    ]
    headings = ("ID", "WORKFLOW", "STATUS", "BY", "STARTED", "SECONDS", "ERROR")
    invocation.show(
        [run_value(entry) for entry in found],
        display.table(headings, rows) if rows else "There are no runs.",
    )


@workflow.command(examples=("accode-proxy workflow cancel finance 5f0c1d2e3a4b5c6d",))
@click.argument("workspace")
@click.argument("run_id")
@everywhere
def cancel(invocation: Invocation, workspace: str, run_id: str) -> None:
    """Stop a run, and the statement that it is at, within a second."""

    async def work() -> Run:
        async with open_workplace(invocation.config(), invocation.note) as place:
            return await cancel_run(place, workspace, run_id)

    asked = asyncio.run(work())
    if asked.has_ended and asked.status != "cancelled":
        raise CommandError(f"run {asked.id} has ended already: {asked.status}")
    what = "Cancelled" if asked.has_ended else "Asked the runner to cancel"
    invocation.show(run_value(asked), f"{what} run {asked.id}.")


@workflow.command(examples=("accode-proxy workflow delete finance nightly --yes",))
@click.argument("workspace")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def delete(invocation: Invocation, workspace: str, name: str, yes: bool) -> None:
    """Delete a workflow with its versions and runs; what runs is stopped."""
    documents.delete(invocation, "workflow", workspace, name, yes)


@workflow.command(
    "export",
    examples=(
        "accode-proxy workflow export finance > finance.json",
        "accode-proxy workflow export finance --workflow nightly --dashboard sales",
    ),
)
@click.argument("workspace")
@click.option("--workflow", "workflows", multiple=True, help="Only this one; may be given again.")
@click.option("--dashboard", "dashboards", multiple=True, help="The same for dashboards.")
@everywhere
def export_(
    invocation: Invocation, workspace: str, workflows: tuple[str, ...], dashboards: tuple[str, ...]
) -> None:
    """Print workflows and dashboards as one JSON text. It names sources and holds no secret."""
    names: dict[DocumentKind, Sequence[str]] | None = None
    if workflows or dashboards:
        names = {"workflow": workflows, "dashboard": dashboards}

    async def work() -> dict[str, Any]:
        async with open_workplace(invocation.config(), invocation.note) as place:
            return await export_content(place, workspace, names)

    click.echo(export_text(asyncio.run(work())), nl=False)


@workflow.command(
    "import",
    examples=(
        "accode-proxy workflow import staging finance.json --dry-run",
        "accode-proxy workflow import staging finance.json --rename nightly=nightly2",
    ),
)
@click.argument("workspace")
@documents.file_argument
@click.option("--rename", multiple=True, metavar="OLD=NEW", help="Another name here.")
@click.option("--dry-run", is_flag=True, help="Check everything, store nothing.")
@everywhere
def import_(
    invocation: Invocation, workspace: str, document: Path, rename: tuple[str, ...], dry_run: bool
) -> None:
    """Store what `workflow export` printed: all of it or, where anything is wrong, nothing."""
    data = documents.read_file(document, MAX_IMPORT)
    names = dict(_pair(entry) for entry in rename)

    async def work() -> Imported:
        async with open_workplace(invocation.config(), invocation.note) as place:
            return await import_content(place, workspace, data, rename=names, is_dry_run=dry_run)

    done = asyncio.run(work())
    value = [{"kind": kind, "name": name} for kind, name in done.documents]
    what = "Nothing speaks against" if dry_run else "Imported"
    text = "\n".join(f"{kind} {name}" for kind, name in done.documents)
    invocation.show(
        {"is_dry_run": dry_run, "documents": value},
        f"{what} {len(done.documents)} documents.\n{text}".strip(),
    )


@workflow.command(examples=("accode-proxy workflow schema > workflow.schema.json",))
@everywhere
def schema(invocation: Invocation) -> None:
    """Print the JSON Schema of the document."""
    documents.show_schema(invocation, "workflow")


def _pair(entry: str) -> tuple[str, str]:
    old, is_there, new = entry.partition("=")
    if not is_there:
        raise CommandError("--rename takes OLD=NEW")
    return old, new


def _seconds(run: Run) -> str:
    if run.started_at is None or run.ended_at is None:
        return "-"
    return f"{(run.ended_at - run.started_at).total_seconds():.1f}"


def _as_text(run: Run) -> str:
    value = run_value(run)
    pairs: list[tuple[str, object]] = [
        ("Run", f"{run.id} of {run.workflow}, version {run.version}"),
        ("Status", run.status),
        ("Trigger", f"{run.trigger}, by {run.triggered_by}"),
        ("Queued", display.moment(run.queued_at)),
        ("Started", display.moment(run.started_at)),
        ("Ended", display.moment(run.ended_at)),
        *([("Error", run.error)] if run.error else []),
    ]
    rows = [
        (
            step["name"],
            step["status"],
            step["times"],
            step["attempts"],
            step["rows"],
            f"{step['seconds']:.3f}",
        )
        for step in value["steps"]
    ]
    text = display.facts(pairs)
    if rows:
        headings = ("STEP", "STATUS", "TIMES", "ATTEMPTS", "ROWS", "SECONDS")
        text += "\n\n" + display.table(headings, rows)
    return text
