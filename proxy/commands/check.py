"""``accode-proxy check-config``: everything that can be known without starting."""

from __future__ import annotations

import click

from proxy.commands.frame import Command, Invocation, everywhere
from proxy.preflight import examine


@click.command(
    cls=Command,
    examples=(
        "accode-proxy check-config",
        "accode-proxy check-config --config /etc/accode/accode.toml --json",
    ),
)
@everywhere
def check_config(invocation: Invocation) -> None:
    """Check the configuration, the files it names and their modes."""
    findings = examine(invocation.config())
    errors = [finding.sentence for finding in findings if finding.is_error]
    warnings = [finding.sentence for finding in findings if not finding.is_error]
    if invocation.as_json:
        invocation.show({"ok": not errors, "errors": errors, "warnings": warnings}, "")
    for sentence in errors:
        invocation.note(f"Error: {sentence}")
    for sentence in warnings:
        invocation.note(f"Warning: {sentence}")
    if errors:
        raise click.exceptions.Exit(1)
    if not invocation.as_json:
        click.echo(f"{invocation.file} is in order.")
