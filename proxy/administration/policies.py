"""Policies: put, taken away and compared. ``explaining`` asks about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from policies.document import Policy
from policies.upstream import check_upstream
from proxy.administration.trail import audited
from proxy.administration.trying import Draft
from proxy.administration.workplace import Workplace
from proxy.audit.events import UPDATE, entity_changed
from proxy.store import Source, Store, Workspace
from proxy.store.store import utc_now


async def find(store: Store, workspace: str, source: str | None) -> tuple[Workspace, Source | None]:
    """The workspace and, where one is named, its source. Raises NotFound."""
    found = await store.workspace(workspace)
    return found, None if source is None else await store.source(found, source)


async def draft_for(
    store: Store, workspace: Workspace, source: Source | None, policy: Policy
) -> Draft:
    """A policy to be tried in the place of the workspace's, or of this source's."""
    if source is not None:
        return Draft(policy, source.id, workspace.policy, {})
    stored = await store.list_sources(workspace)
    narrower = {one.id: one.policy for one in stored if one.policy is not None}
    return Draft(policy, "", None, narrower)


async def set_policy(
    place: Workplace,
    workspace: Workspace,
    source: Source | None,
    policy: Policy | None,
    *,
    if_unchanged: bool = False,
) -> None:
    """Put a policy or, by None, take it away; sessions under another one end.

    ``if_unchanged``: only in the place of the policy that ``workspace``, or ``source``, was
    read with, else Conflict. Raises NotFound.
    """
    old = workspace.policy if source is None else source.policy
    event = entity_changed(
        UPDATE,
        actor=place.actor,
        workspace_id=workspace.id,
        entity_type="policy",
        entity_id=workspace.id if source is None else source.id,
        name=workspace.name if source is None else f"{workspace.name}/{source.name}",
        changes={
            "policy": "none" if policy is None else policy.digest,
            "policy_before": "none" if old is None else old.digest,
        },
    )

    async def act() -> None:
        store, actor = place.store, place.actor
        if source is None:
            await store.policies.set_of_workspace(
                workspace, policy, actor=actor, if_unchanged=if_unchanged
            )
        else:
            await store.policies.set_of_source(
                source, policy, actor=actor, if_unchanged=if_unchanged
            )

    await audited(place.trail, event, act, place.warn)
    if source is None:
        workspace = replace(workspace, policy=policy)
        concerned = await place.store.list_sources(workspace)
    else:
        concerned = [replace(source, policy=policy)]
    for one in concerned:
        refusal = check_upstream((workspace.policy, one.policy), one.places, now=utc_now())
        if refusal is not None:
            place.warn(f"{workspace.name}/{one.name} cannot be used any more: {refusal.public}")


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two policies differ; None: not there. ``path`` is its keys and numbers."""

    path: tuple[str, ...]
    before: object
    after: object


def differences(before: Policy | None, after: Policy | None) -> list[Difference]:
    """Where two policies differ, by place. No policy differs from every policy in all it says."""
    return list(
        _differences((), *({} if one is None else one.to_value() for one in (before, after)))
    )


def _differences(path: tuple[str, ...], before: object, after: object) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _differences((*path, key), before.get(key), after.get(key))
    elif before != after:
        yield Difference(path, before, after)
