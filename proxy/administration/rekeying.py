"""A workspace's root key renewed: its secrets are sealed under a new one, the earlier one goes.

Three steps, each a transaction, with time between them in which every proxy hears of the last
one: so there is no moment in which one cannot open what it finds. What was interrupted is
finished by the next call.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from proxy.administration import oidc
from proxy.administration.trail import audited
from proxy.administration.workplace import Workplace
from proxy.audit.events import UPDATE, entity_changed
from proxy.store import Conflict, Workspace
from proxy.store.records import CREDENTIAL_FIELDS, Resealed
from proxy.store.sources import reseal_credential
from vault import UnsealError

FOLLOW_SECONDS = 2.0
"""Twice as old as what a proxy knows of the store may be, or it opens no session."""
ATTEMPTS = 5
"""How often what others have stored meanwhile is sealed once more."""


@dataclass(frozen=True, slots=True)
class Rekeying:
    """``version`` of the new root key; how many secrets were sealed anew; which keys are gone."""

    version: int
    resealed: int
    destroyed: tuple[int, ...]


async def rekey_workspace(place: Workplace, workspace: Workspace) -> Rekeying:
    """Renew its root key; no session notices. Raises Conflict, NotFound, KeyProviderError."""
    event = entity_changed(
        UPDATE,
        actor=place.actor,
        workspace_id=workspace.id,
        entity_type="workspace root key",
        entity_id=workspace.id,
        name=workspace.name,
        changes={"renewed": True},
    )
    return await audited(place.trail, event, lambda: _rekey(place, workspace), place.warn)


async def _rekey(place: Workplace, workspace: Workspace) -> Rekeying:
    if len(workspace.root_keys) == 1:
        version = workspace.root_key.version + 1
        await place.store.root_keys.add(place.vault.new_root_key(workspace.id, version=version))
    resealed = 0
    for _ in range(ATTEMPTS):
        await asyncio.sleep(FOLLOW_SECONDS)
        current = await place.store.workspace_of(workspace.id)
        changes = await _changes(place, current)
        if changes:
            resealed += await place.store.root_keys.reseal(current.id, changes)
            await asyncio.sleep(FOLLOW_SECONDS)
        try:
            destroyed = await place.store.root_keys.destroy_earlier(current.root_key)
        except Conflict:
            continue
        return Rekeying(current.root_key.version, resealed, destroyed)
    raise Conflict("the workspace's secrets are changed all the time; run it again")


async def _changes(place: Workplace, workspace: Workspace) -> list[Resealed]:
    """Everything that is sealed under an earlier root key, sealed under the newest."""
    changes = []
    for source in await place.store.list_sources(workspace):
        for field in CREDENTIAL_FIELDS:
            try:
                change = reseal_credential(place.vault, workspace, source, field)
            except UnsealError as error:
                raise Conflict(
                    f"the credential of source {source.name} does not open, so rotate it first: "
                    f"{error}"
                ) from None
            if change is not None:
                changes.append(change)
    provider = await place.store.oidc.of_workspace(workspace.id)
    if provider is not None:
        try:
            change = oidc.reseal_secret(place.vault, workspace, provider)
        except UnsealError as error:
            raise Conflict(
                f"the identity provider's secret does not open, so set it again first: {error}"
            ) from None
        if change is not None:
            changes.append(change)
    return changes
