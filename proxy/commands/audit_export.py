"""``accode-proxy audit export``: the audit log as a file, for other programs and spreadsheets."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import click

from proxy.administration.audit_log import as_lines, stream
from proxy.audit import sheet
from proxy.audit.read import Filters
from proxy.commands.audit_filters import audit_folder, filtered
from proxy.commands.frame import Command, Invocation, everywhere


@click.command(
    cls=Command,
    examples=(
        "accode-proxy audit export --format csv --since 30d -o audit.csv",
        "accode-proxy audit export --workspace finance > finance.jsonl",
    ),
)
@filtered
@click.option(
    "--format",
    "form",
    type=click.Choice(["ocsf", "csv"]),
    default="ocsf",
    show_default=True,
    help="One OCSF record a line, or the columns of docs/admin.md.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file.")
@everywhere
def export(
    invocation: Invocation,
    /,
    filters: Filters,
    form: Literal["ocsf", "csv"],
    output: Path | None,
) -> None:
    """Write the records, oldest first. What spreadsheets take for formulas is made harmless."""
    batches = stream(audit_folder(invocation.config()), filters, lambda: False)
    count = 0
    with ExitStack() as stack:
        file = sys.stdout.buffer if output is None else stack.enter_context(output.open("wb"))
        if form == "csv":
            file.write(sheet.header())
        for batch in batches:
            count += len(batch)
            file.write(sheet.lines(batch) if form == "csv" else as_lines(batch))
        file.flush()
    if output is not None:
        invocation.show({"records": count, "file": output}, f"Wrote {count} records to {output}.")
