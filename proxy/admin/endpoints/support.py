"""Support grants: the support asks, an administrator of the workspace decides, either ends."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path
from pydantic import Field, StrictBool, StrictInt

from proxy.admin.call import Admitted, Call
from proxy.admin.endpoint import Endpoint
from proxy.admin.endpoints.tokens import MadeToken
from proxy.admin.paging import DEFAULT, page_of
from proxy.admin.problems import not_found
from proxy.admin.shapes import (
    Answer,
    Body,
    Cursor,
    Limit,
    Name,
    Page,
    WorkspaceName,
    rank_of_age,
)
from proxy.administration import support as work
from proxy.store import PreApproval, SupportGrant
from proxy.store.people import GRANT_MINUTES, REASON_LIMIT
from proxy.store.validate import is_name

GrantId = Annotated[
    str,
    Path(description="A support grant's id.", examples=["0f8fad5bd9cb469fa16570867728950e"]),
]


class Ask(Body):
    """Access to be asked for."""

    workspace: Annotated[Name, Field(examples=["finance"])]
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=REASON_LIMIT,
            description="Shown to the workspace, and kept in its audit log.",
            examples=["ticket 4711: no login to orders since noon"],
        ),
    ]
    minutes: Annotated[StrictInt, Field(ge=1, le=GRANT_MINUTES, examples=[60])]
    with_database: StrictBool = Field(
        default=False, description="Whether tokens to the workspace's sources are asked for too."
    )


class GrantAnswer(Answer):
    """A request, or the grant that it became."""

    id: str
    workspace: str
    staff: str
    reason: str
    minutes: int
    with_database: bool
    state: Literal["pending", "lapsed", "denied", "live", "expired", "ended"]
    asked_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    expires_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None

    @classmethod
    def of(cls, grant: SupportGrant, workspace: str, now: datetime) -> GrantAnswer:
        """From the record."""
        return cls(
            id=grant.id,
            workspace=workspace,
            staff=grant.staff_name,
            reason=grant.reason,
            minutes=grant.minutes,
            with_database=grant.with_database,
            state=grant.state(now),
            asked_at=grant.asked_at,
            decided_at=grant.decided_at,
            decided_by=grant.decided_by or None,
            expires_at=grant.expires_at,
            ended_at=grant.ended_at,
            ended_by=grant.ended_by or None,
        )


class PreApprovalBody(Body):
    """What is granted without being asked."""

    minutes: Annotated[
        StrictInt, Field(ge=0, le=GRANT_MINUTES, description="0: nothing.", examples=[0])
    ]
    with_database: StrictBool = False


class PreApprovalAnswer(Answer):
    """What the workspace grants without being asked; 0 minutes: nothing."""

    minutes: int
    with_database: bool


async def ask_for_access(call: Admitted, body: Ask) -> GrantAnswer:
    """An administrator of the workspace decides within a day, or its pre-approval at once."""
    name = body.workspace if is_name(body.workspace) else ""
    call.workspace = await call.office.store.find_workspace(name)
    if call.workspace is None:
        raise not_found()
    grant = await work.ask(
        call.place,
        call.key,
        call.here,
        reason=body.reason,
        minutes=body.minutes,
        with_database=body.with_database,
    )
    return _shown(call, grant)


async def list_own_grants(
    call: Admitted, limit: Limit = DEFAULT, cursor: Cursor = None
) -> Page[GrantAnswer]:
    """What one has asked for, the newest first."""
    store = call.office.store
    found = await store.support.of_staff(call.key.staff_id or "")
    page, following = _paged(found, cursor, limit)
    names = {one.workspace_id: "" for one in page}
    for workspace_id in names:
        names[workspace_id] = (await store.workspace_of(workspace_id)).name
    now = call.office.clock()
    items = [GrantAnswer.of(one, names[one.workspace_id], now) for one in page]
    return Page(items=items, next_cursor=following)


async def end_own_grant(call: Admitted, grant_id: GrantId) -> GrantAnswer:
    """Give back what was granted, or withdraw the request."""
    return _shown(call, await work.end(call.place, await _own(call, grant_id)))


async def create_support_token(call: Admitted, grant_id: GrantId) -> MadeToken:
    """For the workspace's sources; it ends, and its sessions with it, when the grant does."""
    grant = await _own(call, grant_id)
    text, made = await work.create_token(call.place, call.here, grant)
    return MadeToken.once(made, call.office.clock(), text)


async def list_grants(
    call: Admitted, workspace: WorkspaceName, limit: Limit = DEFAULT, cursor: Cursor = None
) -> Page[GrantAnswer]:
    """Who has asked for this workspace, and what became of it, the newest first."""
    found = await call.office.store.support.of_workspace(call.here.id)
    page, following = _paged(found, cursor, limit)
    return Page(items=[_shown(call, one) for one in page], next_cursor=following)


async def approve_grant(call: Admitted, workspace: WorkspaceName, grant_id: GrantId) -> GrantAnswer:
    """From now for the minutes that were asked for."""
    grant = await _of_workspace(call, grant_id)
    return _shown(call, await work.decide(call.place, call.key, grant, is_approved=True))


async def deny_grant(call: Admitted, workspace: WorkspaceName, grant_id: GrantId) -> GrantAnswer:
    """For good; one may ask again."""
    grant = await _of_workspace(call, grant_id)
    return _shown(call, await work.decide(call.place, call.key, grant, is_approved=False))


async def end_grant(call: Admitted, workspace: WorkspaceName, grant_id: GrantId) -> GrantAnswer:
    """The next call under it is refused, and its sessions are cut within a second."""
    return _shown(call, await work.end(call.place, await _of_workspace(call, grant_id)))


async def get_pre_approval(call: Admitted, workspace: WorkspaceName) -> PreApprovalAnswer:
    """What this workspace grants without being asked."""
    return _told(await call.office.store.support.pre_approval(call.here.id))


async def put_pre_approval(
    call: Admitted, workspace: WorkspaceName, body: PreApprovalBody
) -> PreApprovalAnswer:
    """For requests from now on; what is live is not touched."""
    wanted = PreApproval(body.minutes, body.with_database)
    return _told(await work.set_pre_approval(call.place, call.here, wanted))


async def _own(call: Call, grant_id: str) -> SupportGrant:
    """A grant of who calls; the call is then one of its workspace. Raises Problem."""
    grant = await call.office.store.support.find(grant_id)
    if grant is None or grant.staff_id != call.key.staff_id:
        raise not_found()
    call.workspace = await call.office.store.workspace_of(grant.workspace_id)
    call.grant = grant
    return grant


async def _of_workspace(call: Call, grant_id: str) -> SupportGrant:
    grant = await call.office.store.support.find(grant_id)
    if grant is None or grant.workspace_id != call.here.id:
        raise not_found()
    return grant


def _paged(
    found: list[SupportGrant], cursor: str | None, limit: int
) -> tuple[list[SupportGrant], str | None]:
    return page_of("grants", found, lambda one: rank_of_age(one.asked_at, one.id), cursor, limit)


def _shown(call: Call, grant: SupportGrant) -> GrantAnswer:
    return GrantAnswer.of(grant, call.here.name, call.office.clock())


def _told(found: PreApproval) -> PreApprovalAnswer:
    return PreApprovalAnswer(minutes=found.minutes, with_database=found.with_database)


_OWN = "/v1/support-grants"
_OF = "/v1/workspaces/{workspace}/support-grants"
_BEFOREHAND = "/v1/workspaces/{workspace}/support-pre-approval"

ENDPOINTS = (
    Endpoint(
        "POST",
        _OWN,
        "askForAccess",
        ask_for_access,
        "Ask for access",
        status=201,
        has_body=True,
        may_be_missing=True,
    ),
    Endpoint("GET", _OWN, "listOwnGrants", list_own_grants, "List what one has asked for"),
    Endpoint("POST", f"{_OWN}/{{grant_id}}/end", "endOwnGrant", end_own_grant, "Give access back"),
    Endpoint(
        "POST",
        f"{_OWN}/{{grant_id}}/tokens",
        "createSupportToken",
        create_support_token,
        "Create a token under a grant",
        status=201,
    ),
    Endpoint("GET", _OF, "listGrants", list_grants, "List support grants"),
    Endpoint(
        "POST",
        f"{_OF}/{{grant_id}}/approve",
        "approveGrant",
        approve_grant,
        "Approve a request of the support",
        may_conflict=True,
    ),
    Endpoint(
        "POST",
        f"{_OF}/{{grant_id}}/deny",
        "denyGrant",
        deny_grant,
        "Deny a request of the support",
        may_conflict=True,
    ),
    Endpoint("POST", f"{_OF}/{{grant_id}}/end", "endGrant", end_grant, "End a support grant"),
    Endpoint(
        "GET", _BEFOREHAND, "getPreApproval", get_pre_approval, "Show what is granted beforehand"
    ),
    Endpoint(
        "PUT",
        _BEFOREHAND,
        "putPreApproval",
        put_pre_approval,
        "Set what is granted beforehand",
        has_body=True,
    ),
)
