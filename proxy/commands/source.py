"""``accode-proxy source``: the databases that workspaces reach."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path

import click

from proxy.administration import probing, sources
from proxy.administration.workplace import open_reading, open_workplace
from proxy.commands import display
from proxy.commands.frame import CommandError, Group, Invocation, everywhere
from proxy.commands.secrets import read_password, read_private_file, read_public_file
from proxy.commands.source_display import display_hosts, display_pooling, source_value
from proxy.commands.source_edit import edit
from proxy.commands.source_options import (
    FailoverChoice,
    PoolChoice,
    TlsChoice,
    failover_options,
    parse_url,
    password_options,
    pool_options,
    tls_options,
)
from proxy.probed import ProbeResult
from proxy.store import Source, draft_source
from proxy.store.pooling import OFF, POOLED
from proxy.store.tls import CHAIN_LIMIT


@click.group(cls=Group)
def source() -> None:
    """Data sources: add, list, show, test, edit, rotate, hosts, pool, remove."""


source.add_command(edit)


@source.command(
    examples=(
        "accode-proxy source add finance orders postgresql://db.example.com:5432/orders \\",
        "    --username app --password-stdin < password.txt",
        "accode-proxy source add finance shop mysql://db.example.com/shop --username app \\",
        "    --password-file FILE --ca ca.pem",
        "accode-proxy source add finance ledger postgresql://10.0.0.7/ledger --username app \\",
        "    --password-file password.txt --tls verify-ca --ca company-ca.pem",
        "accode-proxy source add finance books postgresql://db1:5432,db2:5432/books \\",
        "    --target-session-attrs read-write --username app --password-file FILE --ca ca.pem",
        "accode-proxy source add finance old postgresql://old.example.com/db --username app \\",
        "    --password-stdin --tls-profile legacy --ca old-ca.pem \\",
        "    --owner 'DBA team' --reason 'PostgreSQL 9.3 until the move' --until 90d",
    )
)
@click.argument("workspace")
@click.argument("name")
@click.argument("url", metavar="ENGINE://HOST:PORT[,HOST:PORT]/DATABASE")
@click.option("--username", required=True, help="The user at the data source.")
@password_options
@click.option("--no-password", is_flag=True, help="Store no password: trust or a certificate.")
@tls_options
@click.option(
    "--auth-method",
    "methods",
    multiple=True,
    help="Authentication methods the server may ask for; may be repeated."
    "  [default: those of the engine that never send the password as it is]",
)
@click.option(
    "--compression",
    type=click.Choice(["none", "zlib", "zstd"]),
    default="none",
    show_default=True,
    help="MySQL: compress the connections to the data source; its server must offer it.",
)
@failover_options
@pool_options
@everywhere
def add(
    invocation: Invocation,
    workspace: str,
    name: str,
    url: str,
    username: str,
    password_stdin: bool,
    password_file: Path | None,
    no_password: bool,
    tls: TlsChoice,
    methods: tuple[str, ...],
    compression: str,
    hosts: FailoverChoice,
    pool: PoolChoice,
) -> None:
    """Add a data source; its secrets are sealed to exactly these hosts, ports, user and TLS."""
    place_of_source = parse_url(url)
    config = invocation.config()
    settings = tls.settings()
    password = read_password(from_stdin=password_stdin, file=password_file)
    if (password is None) != no_password:
        raise click.UsageError(
            "Give the password by --password-stdin or --password-file, or say --no-password."
        )
    client_key = (
        sources.checked_client_key(settings, read_private_file(tls.client_key, "client key"))
        if tls.client_key is not None
        else None
    )
    secrets = sources.NewSecrets(password, client_key)

    async def work() -> Source:
        async with open_workplace(config, invocation.note) as place:
            found = await place.store.workspace(workspace)
            draft = draft_source(
                found,
                name,
                engine=place_of_source.engine,
                host=place_of_source.host,
                port=place_of_source.port,
                database=place_of_source.database,
                username=username,
                tls=settings,
                auth_methods=sources.auth_methods_for(place_of_source.engine, methods, secrets),
                compression="" if compression == "none" else compression,
                pooling=pool.settings(POOLED if compression == "none" else OFF),
                failover=hosts.settings(place_of_source.failover()),
            )
            return await sources.add_source(place, found, draft, secrets)

    made = asyncio.run(work())
    invocation.show(
        source_value(made),
        f"Added source {made.name} to {workspace}.\n"
        f"Next: accode-proxy source test {workspace} {made.name}",
    )


@source.command("list", examples=("accode-proxy source list finance --json",))
@click.argument("workspace")
@everywhere
def list_(invocation: Invocation, workspace: str) -> None:
    """List a workspace's data sources."""

    async def work() -> list[Source]:
        async with open_reading(invocation.config()) as store:
            return await store.list_sources(await store.workspace(workspace))

    found = asyncio.run(work())
    rows = [
        (
            entry.name,
            entry.engine,
            display_hosts(entry),
            entry.database,
            entry.username,
            entry.tls.mode,
            entry.tls.profile,
        )
        for entry in found
    ]
    headings = ("NAME", "ENGINE", "ADDRESS", "DATABASE", "USER", "TLS", "PROFILE")
    invocation.show(
        [source_value(entry) for entry in found],
        display.table(headings, rows) if rows else "There are no sources.",
    )


@source.command(examples=("accode-proxy source show finance orders",))
@click.argument("workspace")
@click.argument("name")
@everywhere
def show(invocation: Invocation, workspace: str, name: str) -> None:
    """Show a data source; never its secrets."""

    async def work() -> Source:
        async with open_reading(invocation.config()) as store:
            return await store.source(await store.workspace(workspace), name)

    found = asyncio.run(work())
    tls = found.tls
    stored = [
        word
        for word, is_stored in (
            ("password", found.has_secret("password")),
            ("client key", found.has_secret("client_key")),
        )
        if is_stored
    ]
    pairs = [
        ("Name", found.name),
        ("Id", found.id),
        ("Engine", found.engine),
        ("Address", display_hosts(found)),
        ("Sessions on", found.failover.target_session_attrs),
        ("Load balancing", found.failover.load_balance_hosts),
        ("Database", found.database),
        ("User", found.username),
        ("TLS", f"{tls.mode}, profile {tls.profile}"),
        ("TLS begins", "at once" if tls.negotiation == "direct" else "on request"),
        ("TLS server name", tls.server_name or ", ".join(one.host for one in found.endpoints)),
        ("CA", "its own" if tls.ca_pem else "the system's"),
        ("Revocation lists", "its own" if tls.crl_pem else "none"),
        ("Pins", ", ".join(tls.pins) or "none"),
        ("Authentication", ", ".join(sorted(found.auth_methods))),
        ("Compression", found.compression or "none"),
        ("Pooling", display_pooling(found.pooling)),
        ("Stored secrets", ", ".join(stored) or "none"),
        ("Version", found.version),
    ]
    if tls.owner is not None:
        pairs.append(("Weak TLS", f"{tls.owner}: {tls.reason}, until {tls.expires_at}"))
    invocation.show(source_value(found), display.facts(pairs))


@source.command(examples=("accode-proxy source test finance orders",))
@click.argument("workspace")
@click.argument("name")
@everywhere
def test(invocation: Invocation, workspace: str, name: str) -> None:
    """Log in at the stored data source with the stored credential, and log out again."""
    from proxy.app import probe_source as probe_here
    from proxy.gateway.loop import SessionLoop

    config = invocation.config()
    with asyncio.Runner(loop_factory=SessionLoop) as runner:
        result: ProbeResult = runner.run(probing.probe_source(config, workspace, name, probe_here))
    value = {
        "ok": result.ok,
        "sentence": result.sentence,
        "method": result.method,
        "server_version": result.server_version,
        "tls_version": result.tls_version,
        "milliseconds": result.milliseconds,
        "hosts": [asdict(one) for one in result.hosts],
    }
    several = result.hosts if len(result.hosts) > 1 else ()
    rows = [(one.host, one.role or "-", one.server_version or "-", one.sentence) for one in several]
    table = display.table(("HOST", "ROLE", "SERVER", "RESULT"), rows) if rows else ""
    if not result.ok:
        if invocation.as_json:
            invocation.show(value, "")
        elif table:
            invocation.note(table)
        raise CommandError(result.sentence)
    invocation.show(
        value,
        (f"{table}\n" if table else "")
        + f"{result.sentence.capitalize()}: {result.method}, server {result.server_version}, "
        f"{result.tls_version or 'no TLS'}, {result.milliseconds:.1f} ms.",
    )


@source.command(
    examples=(
        "accode-proxy source rotate finance orders --password-stdin < new-password.txt",
        "accode-proxy source rotate finance orders --client-cert new.crt --client-key new.key \\",
        "    --password-file password.txt",
    )
)
@click.argument("workspace")
@click.argument("name")
@password_options
@click.option(
    "--client-cert",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new client certificate (PEM); every stored secret has to be given with it.",
)
@click.option(
    "--client-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The client certificate's private key (PEM, mode 0600).",
)
@everywhere
def rotate(
    invocation: Invocation,
    workspace: str,
    name: str,
    password_stdin: bool,
    password_file: Path | None,
    client_cert: Path | None,
    client_key: Path | None,
) -> None:
    """Replace a data source's secrets; open sessions go on with what they have."""
    config = invocation.config()
    password = read_password(from_stdin=password_stdin, file=password_file)
    raw_key = read_private_file(client_key, "client key") if client_key else None
    certificate = (
        read_public_file(client_cert, "client certificate", CHAIN_LIMIT) if client_cert else None
    )
    if password is None and raw_key is None:
        raise click.UsageError(
            "Give a new secret: --password-stdin, --password-file, --client-key."
        )

    async def work() -> Source:
        async with open_workplace(config, invocation.note) as place:
            found = await place.store.workspace(workspace)
            stored = await place.store.source(found, name)
            return await sources.rotate_source(place, found, stored, password, raw_key, certificate)

    changed = asyncio.run(work())
    invocation.show(source_value(changed), f"Rotated the secrets of {changed.name}.")


@source.command(
    examples=(
        "accode-proxy source pool finance orders --pool-max 20 --pool-idle 2m",
        "accode-proxy source pool finance orders --pooling off",
    )
)
@click.argument("workspace")
@click.argument("name")
@pool_options
@everywhere
def pool(invocation: Invocation, workspace: str, name: str, pool: PoolChoice) -> None:
    """Change how a data source's connections are kept; open sessions go on."""
    config = invocation.config()

    async def work() -> Source:
        async with open_workplace(config, invocation.note) as place:
            stored = await place.store.source(await place.store.workspace(workspace), name)
            return await sources.pool_source(place, stored, pool.settings(stored.pooling))

    changed = asyncio.run(work())
    invocation.show(
        source_value(changed), f"Pooling of {changed.name}: {display_pooling(changed.pooling)}."
    )


@source.command(
    examples=(
        "accode-proxy source hosts finance books --target-session-attrs prefer-standby",
        "accode-proxy source hosts finance books --load-balance-hosts random",
    )
)
@click.argument("workspace")
@click.argument("name")
@failover_options
@everywhere
def hosts(invocation: Invocation, workspace: str, name: str, hosts: FailoverChoice) -> None:
    """Change which of a data source's hosts sessions get; open sessions stay where they are."""
    config = invocation.config()

    async def work() -> Source:
        async with open_workplace(config, invocation.note) as place:
            stored = await place.store.source(await place.store.workspace(workspace), name)
            return await sources.choose_hosts(place, stored, hosts.settings(stored.failover))

    changed = asyncio.run(work())
    failover = changed.failover
    invocation.show(
        source_value(changed),
        f"Hosts of {changed.name}: {display_hosts(changed)}, sessions on"
        f" {failover.target_session_attrs}, load balancing {failover.load_balance_hosts}.",
    )


@source.command(
    examples=(
        "accode-proxy source remove finance orders",
        "accode-proxy source remove finance orders --yes",
    )
)
@click.argument("workspace")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def remove(invocation: Invocation, workspace: str, name: str, yes: bool) -> None:
    """Remove a data source with its secrets, and end its sessions within a second."""
    invocation.confirm(f"Remove source {name} and its credential?", is_confirmed=yes)

    async def work() -> Source:
        async with open_workplace(invocation.config(), invocation.note) as place:
            stored = await place.store.source(await place.store.workspace(workspace), name)
            await sources.remove_source(place, stored)
            return stored

    gone = asyncio.run(work())
    invocation.show({"removed": gone.name, "id": gone.id}, f"Removed source {gone.name}.")
