"""``accode-proxy completion``: what a shell needs to complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from proxy.commands.frame import Command, CommandError


@click.command(
    cls=Command,
    examples=(
        "accode-proxy completion bash > /etc/bash_completion.d/accode-proxy",
        "accode-proxy completion zsh > ~/.zfunc/_accode-proxy",
        "accode-proxy completion fish > ~/.config/fish/completions/accode-proxy.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell."""
    found = get_completion_class(shell)
    if found is None:
        raise CommandError(f"There is no completion for {shell}")
    root = click.get_current_context().find_root().command
    made = found(root, {}, "accode-proxy", "_ACCODE_PROXY_COMPLETE")
    # Not made.source(): for bash it runs the local bash to look at its version.
    click.echo(made.source_template % made.source_vars())
