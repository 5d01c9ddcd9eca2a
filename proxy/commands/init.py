"""``accode-proxy init``: a first configuration with everything it names."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from proxy.commands.frame import Command, CommandError, Invocation, everywhere
from proxy.config import load_config
from proxy.initial import Choices, initialise, names_a_password
from proxy.preflight import examine

URL_LIMIT = 4096
"""Characters: far beyond what names of hosts, users, files and databases can come to."""


@click.command(
    cls=Command,
    examples=(
        "accode-proxy init",
        "accode-proxy init --config /etc/accode/accode.toml --host 0.0.0.0 --no-allow-private",
        "accode-proxy init --tls-certificate proxy.crt --tls-key proxy.key",
        "accode-proxy init --store 'postgresql://accode@db.example/accode?passfile=/etc/store.pgpass'",
        "accode-proxy init --store-from store.url --key-file /etc/accode/local.key",
    ),
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=6432,
    show_default=True,
    help="The port for PostgreSQL clients.",
)
@click.option(
    "--mysql-port",
    type=click.IntRange(0, 65_535),
    default=6433,
    show_default=True,
    help="The port for MySQL and MariaDB clients.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    default=9432,
    show_default=True,
    help="The port of /metrics, /healthz and /readyz.",
)
@click.option(
    "--allow-private/--no-allow-private",
    default=None,
    help="Whether data sources may be on loopback and private addresses.  [default: asked, no]",
)
@click.option(
    "--tls-certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The listener's certificate chain (PEM).  [default: a self-signed one is made]",
)
@click.option(
    "--tls-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Its private key (PEM, mode 0600).",
)
@click.option(
    "--store",
    metavar="URL",
    help="A PostgreSQL store, without its password.  [default: a SQLite file is made]",
)
@click.option(
    "--store-from",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="A file with that URL, or - for standard input; a password may be in it.",
)
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The key file of a store that other proxies use.  [default: one is made]",
)
@everywhere
def init(
    invocation: Invocation,
    host: str,
    port: int,
    mysql_port: int,
    metrics_port: int,
    allow_private: bool | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    store: str | None,
    store_from: Path | None,
    key_file: Path | None,
) -> None:
    """Make accode.toml, the store, the key file and a certificate; overwrite nothing."""
    if (tls_certificate is None) != (tls_key is None):
        raise click.UsageError("Give both --tls-certificate and --tls-key, or neither.")
    if store is not None and store_from is not None:
        raise click.UsageError("Give --store or --store-from, not both.")
    if store is not None and names_a_password(store):
        raise click.UsageError(
            "An argument shows in the list of processes: leave the password out of --store, for "
            "its passfile=FILE, or give the URL by --store-from."
        )
    if store_from is not None:
        store = _url_in(store_from)
    if allow_private is None:
        allow_private = sys.stdin.isatty() and click.confirm(
            "May data sources be on loopback and private addresses (10.x, 192.168.x)?",
            default=False,
            err=True,
        )
    choices = Choices(
        host,
        port,
        metrics_port,
        allow_private,
        tls_certificate,
        tls_key,
        mysql_port,
        store,
        key_file,
    )
    file = invocation.file
    made = asyncio.run(initialise(file.absolute().parent, choices, file.name))
    errors = [finding for finding in examine(load_config(made.config, {})) if finding.is_error]
    if errors:
        raise CommandError(errors[0].sentence)
    files = [str(made.config), *([str(made.store)] if made.store else [])]
    if key_file is None:
        files.append(f"{made.key} (mode 0600)")
    *others, last = files
    lines = [f"Made {', '.join(others)} and {last}." if others else f"Made {last}."]
    if made.store is None:
        lines.append("The store is reached, and its tables are there.")
    if made.certificate is not None:
        lines.append(
            f"Made {made.certificate}, a self-signed certificate: give it to clients as their\n"
            "sslrootcert, or put one of your own authority into its place."
        )
    if key_file is None:
        lines.append("Back up the key file apart from the store: without it no credential opens.")
    lines.append("Next: accode-proxy serve; accode-proxy workspace create NAME")
    value = {
        "config": made.config,
        "store": made.store,
        "key_file": made.key,
        "self_signed_certificate": made.certificate,
        "allow_private": allow_private,
    }
    invocation.show(value, "\n".join(lines))


def _url_in(file: Path) -> str:
    """The URL that is all of a file, or of standard input."""
    with click.open_file(str(file)) as opened:
        text = str(opened.read(URL_LIMIT + 1)).strip()
    if not text or len(text) > URL_LIMIT or not text.isprintable():
        raise CommandError("--store-from holds no URL of one line")
    return text
