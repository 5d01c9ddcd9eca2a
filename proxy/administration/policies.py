"""Policies: put and taken away. ``explaining`` asks about them."""

from __future__ import annotations

from policies.document import Policy
from policies.upstream import check_upstream
from proxy.administration.trail import audited
from proxy.administration.workplace import Workplace
from proxy.audit.events import UPDATE, entity_changed
from proxy.store import Source, Store, Workspace
from proxy.store.store import utc_now


async def find(store: Store, workspace: str, source: str | None) -> tuple[Workspace, Source | None]:
    """The workspace and, where one is named, its source. Raises NotFound."""
    found = await store.workspace(workspace)
    return found, None if source is None else await store.source(found, source)


async def set_policy(
    place: Workplace, workspace: str, source: str | None, policy: Policy | None
) -> None:
    """Put a policy or, by None, take it away; sessions under another one end.

    Raises NotFound.
    """
    found, narrowed = await find(place.store, workspace, source)
    old = found.policy if narrowed is None else narrowed.policy
    event = entity_changed(
        UPDATE,
        actor=place.actor,
        workspace_id=found.id,
        entity_type="policy",
        entity_id=found.id if narrowed is None else narrowed.id,
        name=workspace if source is None else f"{workspace}/{source}",
        changes={
            "policy": "none" if policy is None else policy.digest,
            "policy_before": "none" if old is None else old.digest,
        },
    )

    async def act() -> None:
        if narrowed is None:
            await place.store.set_workspace_policy(found, policy)
        else:
            await place.store.set_source_policy(narrowed, policy)

    await audited(place.trail, event, act, place.warn)
    found, narrowed = await find(place.store, workspace, source)
    concerned = await place.store.list_sources(found) if narrowed is None else [narrowed]
    for one in concerned:
        refusal = check_upstream((found.policy, one.policy), one.places, now=utc_now())
        if refusal is not None:
            place.warn(f"{workspace}/{one.name} cannot be used any more: {refusal.public}")
