"""``accode-proxy key``: the key encryption key."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from proxy.administration import keys
from proxy.administration.workplace import open_reading, open_workplace
from proxy.commands import display
from proxy.commands.frame import Group, Invocation, everywhere
from vault import LocalKeyFile


@click.group(cls=Group)
def key() -> None:
    """The key file: status, create, rotate."""


@key.command(examples=("accode-proxy key create keys/local.key",))
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@everywhere
def create(invocation: Invocation, target: Path) -> None:
    """Make a new key file, mode 0600; overwrite nothing. Needs no configuration.

    Proxies that share a store share one key file: make it once, and give each a copy.
    """
    made = LocalKeyFile.create(target)
    invocation.show(
        {"file": made.path, "current": made.key_id},
        f"Made {made.path} (mode 0600) with key {made.key_id}.\n"
        "Back it up apart from the store: without it no credential opens.",
    )


@key.command(examples=("accode-proxy key status", "accode-proxy key status --json"))
@everywhere
def status(invocation: Invocation) -> None:
    """Show the key file's keys, what they wrap, and the audit log's public key."""
    config = invocation.config()

    async def work() -> keys.KeyStatus:
        async with open_reading(config) as store:
            return await keys.key_status(config, store)

    found = asyncio.run(work())
    value = {
        "file": found.file,
        "current": found.current,
        "held": list(found.held),
        "root_keys": found.root_keys,
        "stale_root_keys": found.stale,
        "audit_verification_key": found.verification_key,
    }
    pairs = [
        ("Key file", found.file),
        ("Current key", found.current),
        ("Earlier keys", len(found.held) - 1),
        ("Root keys", found.root_keys),
        ("Under an earlier key", found.stale),
        ("Audit public key", found.verification_key),
    ]
    invocation.show(value, display.facts(pairs))


@key.command(examples=("accode-proxy key rotate", "accode-proxy key rotate --retire --yes"))
@click.option(
    "--retire",
    is_flag=True,
    help="Remove the earlier keys: backups of the store made before become unreadable.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def rotate(invocation: Invocation, retire: bool, yes: bool) -> None:
    """Make a new key encryption key and rewrap every workspace's root key under it."""
    if retire:
        invocation.confirm(
            "Remove the earlier keys, and with them every older backup?", is_confirmed=yes
        )

    async def work() -> keys.Rotation:
        async with open_workplace(invocation.config(), invocation.note) as place:
            return await keys.rotate_key(place, retire=retire)

    done = asyncio.run(work())
    value = {"current": done.current, "rewrapped": done.rewrapped, "retired": list(done.retired)}
    retired = f" Retired {len(done.retired)} earlier keys." if done.retired else ""
    invocation.show(
        value,
        f"The current key is {done.current}; rewrapped {done.rewrapped} root keys.{retired}\n"
        "Back up the key file again.",
    )
