"""API keys, of the platform and of a workspace; and who the caller is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, cast

from pydantic import Field

from proxy.admin.call import Admitted, Call
from proxy.admin.endpoint import Endpoint
from proxy.admin.paging import DEFAULT, page_of
from proxy.admin.shapes import (
    Answer,
    Body,
    Cursor,
    KeyId,
    Label,
    Limit,
    Moment,
    Page,
    WorkspaceName,
    rank_of_age,
)
from proxy.administration import api_keys as work
from proxy.store import ApiKey, ApiRole, Workspace

KeyRole = Literal["owner", "operator", "auditor", "workspace-admin"]


class NewWorkspaceKey(Body):
    """A key of one workspace to be made."""

    label: Label
    expires_at: Moment | None = None


class NewKey(NewWorkspaceKey):
    """A key of the platform to be made."""

    role: Literal["owner", "operator", "auditor"]


class KeyAnswer(Answer):
    """A key: nothing that could be used to call."""

    id: str
    role: KeyRole
    label: str
    state: Literal["live", "expired", "revoked"]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey, now: datetime) -> KeyAnswer:
        """From the record."""
        return cls(
            id=key.id,
            # The store makes no key of the support; one would not pass the answer's check.
            role=cast(KeyRole, key.role.value),
            label=key.label,
            state=key.state(now),
            created_by=key.created_by,
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
        )


class MadeKey(KeyAnswer):
    """A key as it is shown once."""

    secret: str | None = Field(
        description="The key. Shown this once; null where an Idempotency-Key is given again."
    )

    @classmethod
    def once(cls, key: ApiKey, now: datetime, text: str) -> MadeKey:
        """From the record, with the text that is nowhere else."""
        return cls(**KeyAnswer.of(key, now).model_dump(), secret=text)


class Caller(Answer):
    """Who calls, and what its key reaches."""

    id: str
    role: Literal["owner", "operator", "auditor", "support", "workspace-admin"]
    label: str
    staff: str | None = Field(description="Whose session this is; null: of nobody of the staff.")
    oidc: str | None = Field(
        description="Whose session this is, by the workspace's identity provider; null: of nobody."
    )
    workspace: str | None = Field(description="The one workspace of the key; null: all of them.")
    expires_at: datetime | None


async def who_am_i(call: Admitted) -> Caller:
    """The key of this call."""
    own = await call.office.store.workspace_by_id(call.key.workspace_id or "")
    return Caller(
        id=call.key.id,
        role=call.key.role.value,
        label=call.key.label,
        staff=None if call.key.staff_id is None else call.key.label,
        oidc=None if call.key.provider_id is None else call.key.label,
        workspace=None if own is None else own.name,
        expires_at=call.key.expires_at,
    )


async def list_keys(
    call: Admitted, limit: Limit = DEFAULT, cursor: Cursor = None
) -> Page[KeyAnswer]:
    """Those of the platform, the newest first."""
    return await _page(call, None, limit, cursor)


async def create_key(call: Admitted, body: NewKey) -> MadeKey:
    """Of the platform."""
    return await _create(call, ApiRole(body.role), None, body)


async def revoke_key(call: Admitted, key_id: KeyId) -> KeyAnswer:
    """The next call with it is refused."""
    return KeyAnswer.of(await work.revoke_api_key(call.place, None, key_id), call.office.clock())


async def list_workspace_keys(
    call: Admitted, workspace: WorkspaceName, limit: Limit = DEFAULT, cursor: Cursor = None
) -> Page[KeyAnswer]:
    """The newest first."""
    return await _page(call, call.here, limit, cursor)


async def create_workspace_key(
    call: Admitted, workspace: WorkspaceName, body: NewWorkspaceKey
) -> MadeKey:
    """For an administrator of this workspace."""
    return await _create(call, ApiRole.WORKSPACE_ADMIN, call.here, body)


async def revoke_workspace_key(
    call: Admitted, workspace: WorkspaceName, key_id: KeyId
) -> KeyAnswer:
    """The next call with it is refused."""
    return KeyAnswer.of(
        await work.revoke_api_key(call.place, call.here, key_id), call.office.clock()
    )


async def _page(
    call: Call, workspace: Workspace | None, limit: int, cursor: str | None
) -> Page[KeyAnswer]:
    found = await call.office.store.api_keys.of(None if workspace is None else workspace.id)
    page, following = page_of(
        "keys", found, lambda key: rank_of_age(key.created_at, key.id), cursor, limit
    )
    now = call.office.clock()
    return Page(items=[KeyAnswer.of(key, now) for key in page], next_cursor=following)


async def _create(
    call: Call, role: ApiRole, workspace: Workspace | None, body: NewWorkspaceKey
) -> MadeKey:
    text, made = await work.create_api_key(
        call.place, role, workspace, label=body.label, expires_at=body.expires_at
    )
    return MadeKey.once(made, call.office.clock(), text)


_KEYS = "/v1/keys"
_OWN = "/v1/workspaces/{workspace}/keys"

ENDPOINTS = (
    Endpoint("GET", "/v1/me", "whoAmI", who_am_i, "Show the key that calls"),
    Endpoint("GET", _KEYS, "listKeys", list_keys, "List the platform's API keys"),
    Endpoint(
        "POST",
        _KEYS,
        "createKey",
        create_key,
        "Create an API key of the platform",
        status=201,
        has_body=True,
    ),
    Endpoint("POST", f"{_KEYS}/{{key_id}}/revoke", "revokeKey", revoke_key, "Revoke an API key"),
    Endpoint("GET", _OWN, "listWorkspaceKeys", list_workspace_keys, "List a workspace's API keys"),
    Endpoint(
        "POST",
        _OWN,
        "createWorkspaceKey",
        create_workspace_key,
        "Create an API key of a workspace",
        status=201,
        has_body=True,
    ),
    Endpoint(
        "POST",
        f"{_OWN}/{{key_id}}/revoke",
        "revokeWorkspaceKey",
        revoke_workspace_key,
        "Revoke a workspace's API key",
    ),
)
