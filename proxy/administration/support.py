"""Access of the support to a workspace: asked for, decided on by the workspace, used, ended.

All of it is in the workspace's own audit log, where its administrators read it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from proxy.administration.api_keys import actor_name
from proxy.administration.trail import audited
from proxy.administration.workplace import Workplace
from proxy.audit.events import CREATE, DELETE, UPDATE, entity_changed, token_changed
from proxy.audit.ocsf import Event
from proxy.store import (
    ApiKey,
    PreApproval,
    Store,
    SupportGrant,
    Token,
    Workspace,
    new_id,
    new_token,
    staff_actor,
    verifiers_for,
)
from proxy.store.errors import StoreError
from proxy.store.identity import OIDC

T = TypeVar("T")

_LONGEST_CHAIN = 16
_KEY = "API key "


class OwnRequest(StoreError):
    """Who asked would approve, itself or by a key that it made; one sentence."""


async def ask(
    place: Workplace,
    session: ApiKey,
    workspace: Workspace,
    *,
    reason: str,
    minutes: int,
    with_database: bool,
) -> SupportGrant:
    """A request, or where the workspace has approved beforehand, a live grant.

    What was approved beforehand with a key that goes back to who asks does not count.
    Raises NotFound, LimitReached, InvalidSetting.
    """
    wanted = SupportGrant(
        id=new_id(),
        workspace_id=workspace.id,
        staff_id=session.staff_id or "",
        staff_name=session.label,
        reason=reason,
        minutes=minutes,
        with_database=with_database,
        asked_at=datetime.now(UTC),
    )
    setter = (await place.store.support.pre_approval(workspace.id)).set_by
    believed = None if await _goes_back(place.store, workspace.id, setter, place.actor) else setter
    after = await _audited(
        place,
        CREATE,
        wanted,
        "asked for",
        lambda: place.store.support.ask(wanted, believed=believed),
    )
    if after.is_approved:
        approved = grant_event(after.decided_by, UPDATE, after, "approved beforehand")
        await place.trail.record(approved)
    return after


async def decide(
    place: Workplace, decider: ApiKey, grant: SupportGrant, *, is_approved: bool
) -> SupportGrant:
    """Approve or deny, as an administrator of the workspace. Raises OwnRequest, Conflict."""

    async def act() -> SupportGrant:
        if is_approved:
            await check_not_own(place.store, decider, grant)
        return await place.store.support.decide(grant, place.actor, is_approved=is_approved)

    return await _audited(place, UPDATE, grant, "approved" if is_approved else "denied", act)


async def end(place: Workplace, grant: SupportGrant) -> SupportGrant:
    """End it, whoever may; its tokens are revoked and their sessions cut. Raises NotFound."""
    return await _audited(
        place, DELETE, grant, "ended", lambda: place.store.support.end(grant, place.actor)
    )


async def create_token(
    place: Workplace, workspace: Workspace, grant: SupportGrant
) -> tuple[str, Token]:
    """A token to the workspace's sources that ends with the grant; its text, once.

    Raises Conflict, LimitReached.
    """
    text = new_token()
    verifier = await asyncio.to_thread(
        verifiers_for, text, workspace.scram_salt, workspace.scram_iterations
    )
    label = f"support: {grant.staff_name}, grant {grant.id}"
    event = token_changed(
        "create",
        actor=place.actor,
        workspace_id=workspace.id,
        token_id=verifier.token_id,
        label=label,
    )
    token = await audited(
        place.trail,
        event,
        lambda: place.store.support.add_token(grant, label, verifier),
        place.warn,
    )
    return text, token


async def set_pre_approval(
    place: Workplace, workspace: Workspace, wanted: PreApproval
) -> PreApproval:
    """Say what a workspace grants without being asked. Raises InvalidSetting, NotFound."""
    wanted = replace(wanted, set_by=place.actor)
    event = entity_changed(
        UPDATE,
        actor=place.actor,
        workspace_id=workspace.id,
        entity_type="support pre-approval",
        entity_id=workspace.id,
        name=workspace.name,
        changes={"minutes": wanted.minutes, "with_database": wanted.with_database},
    )
    await audited(
        place.trail,
        event,
        lambda: place.store.support.set_pre_approval(workspace.id, wanted),
        place.warn,
    )
    return wanted


async def check_not_own(store: Store, decider: ApiKey, grant: SupportGrant) -> None:
    """Raise OwnRequest where the decider is the asker, or holds a key that goes back to it."""
    asker = staff_actor(grant.staff_name)
    if await _goes_back(store, grant.workspace_id, actor_name(decider), asker):
        raise OwnRequest(
            "nobody approves their own request, nor with a key that goes back to them or to nobody "
            "who is known"
        )


async def _goes_back(store: Store, workspace_id: str, actor: str, asker: str) -> bool:
    """Whether an actor is the asker, or a key that was made by it, or by such a key; also where
    it goes back to nobody who is known.

    An administrator whom the workspace's identity provider has vouched for goes back to who set
    that one up. A support person makes no keys, but may have been an operator before.
    """
    made_at = None
    for _ in range(_LONGEST_CHAIN):
        if actor == asker:
            return True
        if actor.startswith(OIDC):
            provider = await store.oidc.of_workspace(workspace_id)
            if provider is None or (made_at is not None and made_at < provider.set_at):
                # Under another one, which nobody remembers.
                return True
            actor = provider.set_by
            continue
        if not actor.startswith(_KEY):
            return actor == ""
        key = await store.api_keys.find(actor.removeprefix(_KEY))
        if key is None:
            return True
        actor, made_at = key.created_by, key.created_at
    return True


def grant_event(actor: str, activity: int, grant: SupportGrant, change: str) -> Event:
    """What has become of a grant, for the log of its workspace."""
    return entity_changed(
        activity,
        actor=actor,
        workspace_id=grant.workspace_id,
        entity_type="support grant",
        entity_id=grant.id,
        name=staff_actor(grant.staff_name),
        changes={
            "change": change,
            "reason": grant.reason,
            "minutes": grant.minutes,
            "with_database": grant.with_database,
            **({} if grant.expires_at is None else {"expires_at": grant.expires_at.isoformat()}),
        },
    )


async def _audited(
    place: Workplace,
    activity: int,
    grant: SupportGrant,
    change: str,
    act: Callable[[], Awaitable[SupportGrant]],
) -> SupportGrant:
    event = grant_event(place.actor, activity, grant, change)
    return await audited(place.trail, event, act, place.warn)
