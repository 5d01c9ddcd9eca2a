"""The key encryption key: where it is, what it wraps, and its rotation."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.administration.trail import audited
from proxy.administration.workplace import Workplace
from proxy.audit.events import UPDATE, entity_changed
from proxy.config import Config
from proxy.store import Store
from vault import LocalKeyFile, Vault


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """The key file and what hangs on it. ``stale``: root keys under an earlier KEK."""

    file: str
    current: str
    held: tuple[str, ...]
    root_keys: int
    stale: int
    verification_key: str


async def key_status(config: Config, store: Store) -> KeyStatus:
    """Look, change nothing. Raises KeyFileError, StoreError."""
    provider = LocalKeyFile.load(config.keys.file)
    vault = Vault(provider)
    roots = [root for entry in await store.list_workspaces() for root in entry.root_keys]
    roots += [account.root_key for account in await store.staff.all()]
    return KeyStatus(
        file=str(provider.path),
        current=provider.key_id,
        held=provider.key_ids,
        root_keys=len(roots),
        stale=sum(vault.needs_rewrap(root) for root in roots),
        verification_key=vault.verification_key().hex(),
    )


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did."""

    current: str
    rewrapped: int
    retired: tuple[str, ...]


async def rotate_key(place: Workplace, *, retire: bool) -> Rotation:
    """Add a new KEK and rewrap every root key under it; sealed credentials stay as they are.

    ``retire`` then removes the earlier KEKs from the file: backups of the store made
    before become unreadable. A rotation that was interrupted is finished by the next
    one. Raises KeyFileError, StoreError.
    """
    provider = LocalKeyFile.load(place.config.keys.file)
    event = entity_changed(
        UPDATE,
        actor=place.actor,
        workspace_id="",
        entity_type="key encryption key",
        entity_id=provider.key_id,
        name=provider.path.name,
        changes={"rotated": True, "retired_earlier": retire},
    )

    async def act() -> Rotation:
        earlier = provider.key_ids
        provider.rotate()
        rewrapped = await _rewrap_all(place.store, Vault(provider))
        retired = []
        if retire:
            for key_id in earlier:
                provider.retire(key_id)
                retired.append(key_id)
        return Rotation(provider.key_id, rewrapped, tuple(retired))

    return await audited(place.trail, event, act, place.warn)


async def _rewrap_all(store: Store, vault: Vault) -> int:
    count = 0
    for workspace in await store.list_workspaces():
        for root in workspace.root_keys:
            if vault.needs_rewrap(root):
                await store.replace_root_key(root, vault.rewrap(root))
                count += 1
    for account in await store.staff.all():
        if vault.needs_rewrap(account.root_key):
            await store.staff.replace_root_key(account.root_key, vault.rewrap(account.root_key))
            count += 1
    return count
