"""``accode-proxy csv``: rows out of a source, and into one."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Literal

import click

from proxy.administration.workplace import open_workplace
from proxy.commands import display
from proxy.commands.frame import CommandError, Group, Invocation, everywhere
from proxy.content.csvexport import export_csv
from proxy.content.csvimport import ImportStopped, Plan, Report, import_csv
from proxy.content.entrance import Entrance
from proxy.content.naming import workspace_named
from proxy.content.tables import TableName
from proxy.content.transfers import Progress, transfer_value

_CHUNK = 256 * 1024
_TOLD_EVERY = 1.0
"""Seconds between two lines of progress."""
_MEGABYTE = 1_000_000
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

    size = rows.stat().st_size

    async def work() -> Report:
        async with open_workplace(config, invocation.note) as place:
            return await import_csv(
                place,
                Entrance.of(config),
                workspace,
                source,
                plan,
                lambda: _chunks(rows),
                tell=_teller(invocation, size),
            )

    try:
        report = asyncio.run(work())
    except ImportStopped as stopped:
        if invocation.as_json:
            click.echo(display.to_json(_value(stopped.report)))
        raise CommandError(str(stopped)) from None
    invocation.show(_value(report), _as_text(report, dry_run))


@csv.command(
    "transfers",
    examples=("accode-proxy csv transfers finance", "accode-proxy csv transfers finance --json"),
)
@click.argument("workspace")
@everywhere
def transfers(invocation: Invocation, workspace: str) -> None:
    """Show how far each export and import is, by command or over HTTP; the newest first."""
    config = invocation.config()

    async def work() -> list[dict[str, Any]]:
        async with open_workplace(config, invocation.note) as place:
            found = await place.store.transfers.of(await workspace_named(place.store, workspace))
            now = place.store.content.now()
            return [transfer_value(one, now) for one in found]

    found = asyncio.run(work())
    invocation.show(
        found,
        display.table(
            ("ID", "WHAT", "SOURCE", "TABLE", "STATUS", "STARTED", "ROWS", "MB", "MB/S"),
            [
                (
                    *(one[name] for name in ("id", "direction", "source")),
                    one["table"] or "(query)",
                    one["status"],
                    display.moment(one["started_at"]),
                    one["rows"],
                    f"{one['bytes'] / _MEGABYTE:.1f}",
                    f"{one['bytes_per_second'] / _MEGABYTE:.1f}",
                )
                for one in found
            ],
        ),
    )


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as stream:
        while data := stream.read(_CHUNK):
            yield data


class Teller:
    """Tells how far it is, at most once a second. ``total``: bytes of the file; 0: not known."""

    def __init__(
        self, note: Callable[[str], None], clock: Callable[[], float], total: int = 0
    ) -> None:
        self._note = note
        self._clock = clock
        self._total = total
        self._began = self._last = clock()

    def __call__(self, progress: Progress) -> None:
        """It is so far."""
        now = self._clock()
        if now - self._last < _TOLD_EVERY:
            return
        self._last = now
        parts = [f"{progress.bytes / _MEGABYTE:.1f} MB"]
        if self._total:
            parts[0] += f" of {self._total / _MEGABYTE:.1f} ({progress.bytes / self._total:.0%})"
        if progress.rows:
            parts.append(f"{progress.rows} rows")
        if progress.bad:
            parts.append(f"{progress.bad} bad lines")
        parts.append(f"{progress.bytes / _MEGABYTE / (now - self._began):.1f} MB/s")
        self._note(", ".join(parts))


def _teller(invocation: Invocation, total: int = 0) -> Callable[[Progress], None]:
    """For a person at a terminal; nothing for a program."""
    if not sys.stderr.isatty():
        return lambda progress: None
    return Teller(invocation.note, time.monotonic, total)


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
