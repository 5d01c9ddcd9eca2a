"""Workspaces: made, renamed, suspended, resumed, deleted."""

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


async def rename_workspace(place: Workplace, workspace: Workspace, name: str) -> Workspace:
    """Give it another name; its sessions end, for a DSN holds the name.

    Raises Conflict where it has changed since it was read, AlreadyExists, InvalidName.
    """
    changes: dict[str, object] = {"name": name, "name_before": workspace.name}
    event = _event(place, UPDATE, workspace.id, workspace.name, changes)
    return await audited(
        place.trail, event, lambda: place.store.rename_workspace(workspace, name), place.warn
    )


async def suspend_workspace(place: Workplace, workspace: Workspace) -> Workspace:
    """Refuse its logins and end its sessions. Raises NotFound."""
    event = _event(place, UPDATE, workspace.id, workspace.name, {"state": "suspended"})
    return await audited(
        place.trail, event, lambda: place.store.suspend_workspace(workspace), place.warn
    )


async def resume_workspace(place: Workplace, workspace: Workspace) -> Workspace:
    """Allow its logins again. Raises NotFound."""
    event = _event(place, UPDATE, workspace.id, workspace.name, {"state": "active"})
    return await audited(
        place.trail, event, lambda: place.store.resume_workspace(workspace), place.warn
    )


async def delete_workspace(
    place: Workplace, workspace: Workspace, *, if_unchanged: bool = False
) -> DeletionReceipt:
    """Destroy its root keys, and with them its credentials and their backups.

    ``if_unchanged``: only as it was read, else Conflict. Raises NotFound.
    """
    versions = [root.version for root in workspace.root_keys]
    changes: dict[str, object] = {"destroyed_root_key_versions": versions}
    event = _event(place, DELETE, workspace.id, workspace.name, changes)

    async def act() -> DeletionReceipt:
        return await place.store.delete_workspace(workspace, if_unchanged=if_unchanged)

    return await audited(place.trail, event, act, place.warn)


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
