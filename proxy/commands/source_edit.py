"""``accode-proxy source edit``: what HTTP's PATCH of a data source does.

Where a source then points elsewhere, its secrets must be given with the change: they are
sealed to the place they were given for.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import click

from proxy.administration import sources
from proxy.administration.workplace import open_workplace
from proxy.commands.frame import Command, CommandError, Invocation, everywhere
from proxy.commands.secrets import read_password, read_private_file
from proxy.commands.source_display import source_value
from proxy.commands.source_options import (
    FailoverChoice,
    PoolChoice,
    SourcePlace,
    TlsChoice,
    failover_options,
    parse_url,
    password_options,
    pool_options,
    tls_options,
)
from proxy.store import Source, TlsSettings
from proxy.store.records import CredentialField

_SECRETS: dict[str, CredentialField] = {"password": "password", "client-key": "client_key"}
_TLS = {
    "ca": "ca_pem",
    "client-cert": "client_cert_pem",
    "crl": "crl_pem",
    "pins": "pins",
    "server-name": "server_name",
    "server-public-key": "server_key_pem",
}
_NO_TLS = TlsSettings()


@dataclass(frozen=True, slots=True)
class _Edit:
    """Everything that was given but the secrets; None or empty: not given."""

    rename: str | None
    place: SourcePlace | None
    database: str | None
    username: str | None
    methods: tuple[str, ...]
    compression: str | None
    removed: frozenset[str]
    tls: TlsChoice
    hosts: FailoverChoice
    pool: PoolChoice

    def applied_to(self, stored: Source) -> Source:
        """The source with what was given in its place. Raises CommandError, UsageError."""
        edited = replace(
            stored,
            name=self.rename or stored.name,
            username=self.username or stored.username,
            auth_methods=frozenset(self.methods) or stored.auth_methods,
            pooling=self.pool.settings(stored.pooling),
            tls=self.tls.settings(self._without_removed(stored.tls)),
        )
        if self.compression is not None:
            edited = replace(
                edited, compression="" if self.compression == "none" else self.compression
            )
        if (place := self.place) is not None:
            if place.engine != stored.engine:
                raise CommandError(
                    f"The engine of a source stays: {stored.name} is {stored.engine},"
                    " so add another source"
                )
            edited = replace(
                edited,
                host=place.host,
                port=place.port,
                database=place.database,
                failover=place.failover(stored.failover),
            )
        return replace(
            edited,
            database=self.database or edited.database,
            failover=self.hosts.settings(edited.failover),
        )

    def forgotten(self) -> frozenset[CredentialField]:
        """The secrets that are to be removed."""
        return frozenset(_SECRETS[word] for word in self.removed if word in _SECRETS)

    def _without_removed(self, tls: TlsSettings) -> TlsSettings:
        names = [_TLS[word] for word in self.removed if word in _TLS]
        return replace(tls, **{name: getattr(_NO_TLS, name) for name in names})


@click.command(
    cls=Command,
    examples=(
        "accode-proxy source edit finance orders --username app2 \\",
        "    --password-stdin < password.txt",
        "accode-proxy source edit finance orders --password-file password.txt \\",
        "    --url postgresql://new.example.com:5432/orders",
        "accode-proxy source edit finance orders --rename invoices --pool-max 20",
        "accode-proxy source edit finance old --tls-profile intermediate",
        "accode-proxy source edit finance orders --remove password --auth-method trust",
    ),
)
@click.argument("workspace")
@click.argument("name")
@click.option("--rename", metavar="NAME", help="Its name from now on; it ends the old one's DSNs.")
@click.option(
    "--url",
    metavar="ENGINE://HOST:PORT[,HOST:PORT]/DATABASE",
    help="All its hosts and its database.",
)
@click.option("--database", help="Its database alone.")
@click.option("--username", help="The user at the data source.")
@password_options
@tls_options
@click.option(
    "--auth-method",
    "methods",
    multiple=True,
    help="Authentication methods the server may ask for; may be repeated.",
)
@click.option(
    "--compression",
    type=click.Choice(["none", "zlib", "zstd"]),
    help="MySQL: compress the connections to the data source.",
)
@failover_options
@pool_options
@click.option(
    "--remove",
    "removed",
    multiple=True,
    type=click.Choice(sorted([*_SECRETS, *_TLS])),
    help="What it shall have no more; may be repeated.",
)
@everywhere
def edit(
    invocation: Invocation,
    workspace: str,
    name: str,
    rename: str | None,
    url: str | None,
    database: str | None,
    username: str | None,
    password_stdin: bool,
    password_file: Path | None,
    tls: TlsChoice,
    methods: tuple[str, ...],
    compression: str | None,
    hosts: FailoverChoice,
    pool: PoolChoice,
    removed: tuple[str, ...],
) -> None:
    """Change a data source. What is not given stays as it is, whatever its default.

    Where it then points elsewhere (host, port, database, user, or how its server is known
    by TLS), every stored secret must be given again. Moved or renamed, its sessions end
    within a second.
    """
    place_of_source = None if url is None else parse_url(url)
    if place_of_source is not None and database is not None:
        raise click.UsageError("The URL names the database: leave --database out.")
    wanted = _Edit(
        *(rename, place_of_source, database, username, methods, compression),
        *(frozenset(removed), tls, hosts, pool),
    )
    config = invocation.config()
    password = read_password(from_stdin=password_stdin, file=password_file)
    raw_key = None if tls.client_key is None else read_private_file(tls.client_key, "client key")

    async def work() -> Source:
        async with open_workplace(config, invocation.note) as place:
            found = await place.store.workspace(workspace)
            stored = await place.store.source(found, name)
            edited = wanted.applied_to(stored)
            if edited == stored and password is None and raw_key is None and not removed:
                raise click.UsageError("Say what to change; see --help.")
            key = None if raw_key is None else sources.checked_client_key(edited.tls, raw_key)
            secrets = sources.NewSecrets(password, key)
            return await sources.edit_source(
                place, found, stored, edited, secrets, forget=wanted.forgotten()
            )

    changed = asyncio.run(work())
    invocation.show(source_value(changed), f"Changed source {changed.name} of {workspace}.")
