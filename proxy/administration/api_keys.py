"""Keys to the admin endpoints: made, revoked, and recognised. A key's text exists here once."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta

from proxy.administration.trail import audited
from proxy.administration.workplace import Workplace
from proxy.audit.events import api_key_changed
from proxy.audit.ocsf import Event
from proxy.store import (
    ApiKey,
    ApiRole,
    InvalidToken,
    NotFound,
    Store,
    Workspace,
    oidc_actor,
    staff_actor,
)
from proxy.store.api_keys import digest_of, new_api_key, parse_api_key

USE_INTERVAL = timedelta(minutes=1)
"""How exactly the store knows when a key was last used: it is no log."""

_NO_DIGEST = bytes(32)


async def create_api_key(
    place: Workplace,
    role: ApiRole,
    workspace: Workspace | None,
    *,
    label: str,
    expires_at: datetime | None,
) -> tuple[str, ApiKey]:
    """A new key's text, and what is kept of it. Raises LimitReached, InvalidSetting, NotFound."""
    text = new_api_key()
    key = ApiKey(
        id=parse_api_key(text),
        workspace_id=None if workspace is None else workspace.id,
        role=role,
        label=label,
        digest=digest_of(text),
        created_by=place.actor,
        created_at=datetime.now(UTC),
        expires_at=expires_at,
    )
    event = _event(place, "create", key)
    made = await audited(place.trail, event, lambda: place.store.api_keys.create(key), place.warn)
    return text, made


async def revoke_api_key(place: Workplace, workspace: Workspace | None, key_id: str) -> ApiKey:
    """End a key of a workspace, or (None) of the platform. Raises NotFound."""
    reach = None if workspace is None else workspace.id
    found = await place.store.api_keys.find(key_id)
    if found is None or found.workspace_id != reach or found.is_session:
        raise NotFound("there is no such API key")
    event = _event(place, "disable", found)
    return await audited(
        place.trail, event, lambda: place.store.api_keys.revoke(reach, key_id), place.warn
    )


async def recognise(store: Store, text: str, now: datetime) -> ApiKey | None:
    """The live key whose text this is. An unknown id and a wrong secret take the same steps."""
    try:
        key_id = parse_api_key(text)
    except InvalidToken:
        return None
    key = await store.api_keys.find(key_id)
    is_right = hmac.compare_digest(digest_of(text), _NO_DIGEST if key is None else key.digest)
    if key is None or not is_right or key.state(now) != "live":
        return None
    if key.last_used_at is None or now - key.last_used_at >= USE_INTERVAL:
        await store.api_keys.record_use(key.id)
    return key


def _event(place: Workplace, change: str, key: ApiKey) -> Event:
    return api_key_changed(
        change,
        actor=place.actor,
        workspace_id=key.workspace_id or "",
        key_id=key.id,
        label=key.label,
        role=str(key.role),
    )


def actor_name(key: ApiKey) -> str:
    """How the audit log names who holds a key, or whose session it is."""
    if key.staff_id is not None:
        return staff_actor(key.label)
    if key.provider_id is not None:
        return oidc_actor(key.label)
    return f"API key {key.id}"
