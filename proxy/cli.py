"""The command ``accode-proxy``: its groups, where they are, and a line of help for each."""

from __future__ import annotations

from pathlib import Path

import click

from proxy.commands.frame import LazyGroup, remember_config
from vault import harden_process

_HERE = "proxy.commands."


@click.group(
    cls=LazyGroup,
    places={
        "init": (
            _HERE + "init",
            "init",
            "Make a first configuration, a store, a key file and a certificate.",
        ),
        "serve": (_HERE + "serve", "serve", "Run the proxy."),
        "check-config": (
            _HERE + "check",
            "check_config",
            "Check the configuration and the files it names.",
        ),
        "workspace": (
            _HERE + "workspace",
            "workspace",
            "Create, list, show, suspend, resume, delete workspaces.",
        ),
        "token": (_HERE + "token", "token", "Create, list, revoke access tokens."),
        "source": (
            _HERE + "source",
            "source",
            "Add, list, show, test, edit, rotate, remove data sources.",
        ),
        "policy": (
            _HERE + "policy",
            "policy",
            "Show, set, clear policies; check a statement against one.",
        ),
        "session": (_HERE + "session", "session", "List and kill the running proxy's sessions."),
        "audit": (_HERE + "audit", "audit", "Tail, search, verify the audit log."),
        "workflow": (
            _HERE + "workflow",
            "workflow",
            "Save, run, cancel workflows; show their history and runs.",
        ),
        "dashboard": (
            _HERE + "dashboard",
            "dashboard",
            "Save, list, show dashboards; query their data.",
        ),
        "csv": (_HERE + "csv", "csv", "Export rows as CSV, import them into a table."),
        "runner": (_HERE + "runner", "runner", "Run workflows when they are asked for or due."),
        "key": (_HERE + "key", "key", "Show and rotate the key encryption key."),
        "admin": (
            _HERE + "admin",
            "admin",
            "Serve the admin endpoints; create, list, revoke their API keys.",
        ),
        "completion": (
            _HERE + "completion",
            "completion",
            "Print the completion script for bash, zsh or fish.",
        ),
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
    """Run the command line, with core dumps off: a password may pass through it."""
    harden_process()
    cli(prog_name="accode-proxy")


if __name__ == "__main__":
    main()
