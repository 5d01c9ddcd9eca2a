"""``accode-proxy csv``: rows out of a source, and into one."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Literal

import click

from proxy.administration.workplace import open_workplace
from proxy.commands import display
from proxy.commands.frame import CommandError, Group, Invocation, everywhere
from proxy.content.csvexport import export_csv
from proxy.content.csvimport import ImportStopped, Plan, Report, import_csv
from proxy.content.entrance import Entrance
from proxy.content.tables import TableName
from proxy.content.transfers import Progress

_CHUNK = 256 * 1024
_TOLD_EVERY = 1.0
"""Seconds between two lines of progress."""
_SHOWN = 20
"""Bad lines shown; --json has those that are kept."""


@click.group(cls=Group)
def csv() -> None:
    """CSV: export a table or a query, import into a table."""


@csv.command(
    "export",
    examples=(
        "accode-proxy csv export finance orders --table public.orders > orders.csv",
        'accode-proxy csv export finance orders --query "SELECT id FROM orders" -o ids.csv',
    ),
)
@click.argument("workspace")
@click.argument("source")
@click.option("--table", help="A table, or schema.table.")
@click.option("--query", help="A query, without parameters.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file.")
@click.option("--neutralise", is_flag=True, help="Put a ' before texts that look like formulas.")
@everywhere
def export_(
    invocation: Invocation,
    workspace: str,
    source: str,
    table: str | None,
    query: str | None,
    output: Path | None,
    neutralise: bool,
) -> None:
    """Write rows as CSV, through the running proxy. NULL is empty, an empty text is quoted."""
    if (table is None) == (query is None):
        raise CommandError("give --table or --query, one of them")
    what: TableName | str = query or TableName.parse(table or "")
    config = invocation.config()

    async def work(stream: BinaryIO) -> Progress:
        async def sink(data: bytes) -> None:
            stream.write(data)

        async with open_workplace(config, invocation.note) as place:
            return await export_csv(
                place,
                Entrance.of(config),
                workspace,
                source,
                what,
                sink,
                neutralise=neutralise,
                tell=_teller(invocation),
            )

    with ExitStack() as stack:
        stream = sys.stdout.buffer if output is None else stack.enter_context(output.open("wb"))
        done = asyncio.run(work(stream))
        stream.flush()
    if output is not None:
        invocation.show(
            {"rows": done.rows, "bytes": done.bytes, "file": output},
            f"Wrote {done.rows} rows, {done.bytes} bytes, to {output}.",
        )


@csv.command(
    "import",
    examples=(
        "accode-proxy csv import finance orders public.orders orders.csv --dry-run",
        "accode-proxy csv import finance shop new_orders orders.csv --create",
        "accode-proxy csv import finance shop orders orders.csv --skip-bad-lines --json",
    ),
)
@click.argument("workspace")
@click.argument("source")
@click.argument("table")
@click.argument("rows", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option("--create", is_flag=True, help="Make the table, with types found in the file.")
@click.option("--skip-bad-lines", is_flag=True, help="Leave them out; else all or nothing.")
@click.option("--dry-run", is_flag=True, help="Look at every line, write nothing.")
@everywhere
def import_(
    invocation: Invocation,
    workspace: str,
    source: str,
    table: str,
    rows: Path,
    create: bool,
    skip_bad_lines: bool,
    dry_run: bool,
) -> None:
    """Import ROWS, a CSV file whose first line names the columns, through the running proxy."""
    config = invocation.config()
    on_bad: Literal["stop", "skip"] = "skip" if skip_bad_lines else "stop"
    plan = Plan(TableName.parse(table), create=create, on_bad=on_bad, is_dry_run=dry_run)

    async def work() -> Report:
        async with open_workplace(config, invocation.note) as place:
            return await import_csv(
                place,
                Entrance.of(config),
                workspace,
                source,
                plan,
                lambda: _chunks(rows),
                tell=_teller(invocation),
            )

    try:
        report = asyncio.run(work())
    except ImportStopped as stopped:
        if invocation.as_json:
            click.echo(display.to_json(_value(stopped.report)))
        raise CommandError(str(stopped)) from None
    invocation.show(_value(report), _as_text(report, dry_run))


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as stream:
        while data := stream.read(_CHUNK):
            yield data


def _teller(invocation: Invocation) -> Callable[[Progress], None]:
    """Tells a person at a terminal how far it is, once a second."""
    last = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _TOLD_EVERY and sys.stderr.isatty():
            last = now
            bad = f", {progress.bad} bad lines" if progress.bad else ""
            invocation.note(f"{progress.rows} rows, {progress.bytes} bytes{bad} so far")

    return tell


def _value(report: Report) -> dict[str, object]:
    return {
        "rows": report.rows,
        "bytes": report.bytes,
        "is_stored": report.is_stored,
        "columns": [{"name": name, "type": kind} for name, kind in report.columns],
        "bad_lines": [{"line": bad.number, "problem": bad.problem} for bad in report.bad],
    }


def _as_text(report: Report, dry_run: bool) -> str:
    said = "could be imported" if dry_run else "imported"
    lines = [f"{report.rows} rows {said}, {len(report.bad)} bad lines."]
    lines += [f"line {bad.number}: {bad.problem}" for bad in report.bad[:_SHOWN]]
    if len(report.bad) > _SHOWN:
        lines.append(f"... and {len(report.bad) - _SHOWN} more")
    if dry_run:
        lines.append(display.table(("COLUMN", "TYPE"), report.columns))
    return "\n".join(lines)
