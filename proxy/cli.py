"""The command ``accode-proxy``: its groups and where they are. Knows no verb itself."""

from __future__ import annotations

from pathlib import Path

import click

from proxy.commands.frame import LazyGroup, remember_config

_HERE = "proxy.commands."


@click.group(
    cls=LazyGroup,
    places={
        "init": (_HERE + "init", "init"),
        "serve": (_HERE + "serve", "serve"),
        "check-config": (_HERE + "check", "check_config"),
        "workspace": (_HERE + "workspace", "workspace"),
        "token": (_HERE + "token", "token"),
        "source": (_HERE + "source", "source"),
        "session": (_HERE + "session", "session"),
        "audit": (_HERE + "audit", "audit"),
        "key": (_HERE + "key", "key"),
        "completion": (_HERE + "completion", "completion"),
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--config",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file, for whatever command follows.",
)
@click.version_option(package_name="accode-proxy", prog_name="accode-proxy")
@click.pass_context
def cli(context: click.Context, file: Path | None) -> None:
    """A database access proxy: workspaces log in with a token, every statement is audited."""
    remember_config(context, file)


def main() -> None:
    """Run the command line."""
    cli(prog_name="accode-proxy")


if __name__ == "__main__":
    main()
