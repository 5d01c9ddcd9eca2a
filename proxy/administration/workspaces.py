"""Workspaces: made, suspended, resumed, deleted."""

from __future__ import annotations

from proxy.administration.trail import audited
from proxy.administration.workplace import Workplace
from proxy.audit.events import CREATE, DELETE, UPDATE, entity_changed
from proxy.audit.ocsf import Event
from proxy.store import DeletionReceipt, Workspace, new_id
from proxy.store.tokens import DEFAULT_ITERATIONS


async def create_workspace(
    place: Workplace, name: str, *, scram_iterations: int = DEFAULT_ITERATIONS
) -> Workspace:
    """Make a workspace with a root key of its own. Raises AlreadyExists, InvalidSetting."""
    workspace_id = new_id()
    event = _event(place, CREATE, workspace_id, name, {"state": "active"})

    async def act() -> Workspace:
        root_key = place.vault.new_root_key(workspace_id)
        return await place.store.create_workspace(name, root_key, scram_iterations=scram_iterations)

    return await audited(place.trail, event, act, place.warn)


async def suspend_workspace(place: Workplace, name: str) -> Workspace:
    """Refuse its logins and end its sessions. Raises NotFound."""
    workspace = await place.store.workspace(name)
    event = _event(place, UPDATE, workspace.id, name, {"state": "suspended"})
    return await audited(
        place.trail, event, lambda: place.store.suspend_workspace(workspace), place.warn
    )


async def resume_workspace(place: Workplace, name: str) -> Workspace:
    """Allow its logins again. Raises NotFound."""
    workspace = await place.store.workspace(name)
    event = _event(place, UPDATE, workspace.id, name, {"state": "active"})
    return await audited(
        place.trail, event, lambda: place.store.resume_workspace(workspace), place.warn
    )


async def delete_workspace(place: Workplace, name: str) -> DeletionReceipt:
    """Destroy its root keys, and with them its credentials and their backups.

    Raises NotFound.
    """
    workspace = await place.store.workspace(name)
    versions = [root.version for root in workspace.root_keys]
    event = _event(place, DELETE, workspace.id, name, {"destroyed_root_key_versions": versions})
    return await audited(
        place.trail, event, lambda: place.store.delete_workspace(workspace), place.warn
    )


def _event(
    place: Workplace, activity: int, workspace_id: str, name: str, changes: dict[str, object]
) -> Event:
    return entity_changed(
        activity,
        actor=place.actor,
        workspace_id=workspace_id,
        entity_type="workspace",
        entity_id=workspace_id,
        name=name,
        changes=changes,
    )
