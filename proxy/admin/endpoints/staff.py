"""The people of the platform, as their owners see them: invited, changed, disabled."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import Field

from proxy.admin.call import Admitted
from proxy.admin.endpoint import Endpoint
from proxy.admin.paging import DEFAULT, page_of
from proxy.admin.shapes import Answer, Body, Cursor, Limit, Name, Page
from proxy.administration import staff as work
from proxy.store import ApiRole, StaffAccount

Role = Literal["owner", "operator", "auditor", "support"]
StaffId = Annotated[
    str,
    Path(description="A staff account's id.", examples=["0f8fad5bd9cb469fa16570867728950e"]),
]


class Invite(Body):
    """An account to be made."""

    name: Annotated[Name, Field(examples=["ada"])]
    role: Role


class NewRole(Body):
    """What the account may do from now on."""

    role: Role


class StaffAnswer(Answer):
    """An account: nothing that could be used to log in."""

    id: str
    name: str
    role: Role
    state: Literal["invited", "active", "disabled"]
    created_by: str
    created_at: datetime
    invited_until: datetime | None = Field(description="While an invitation is to be taken up.")
    last_login_at: datetime | None

    @classmethod
    def of(cls, account: StaffAccount) -> StaffAnswer:
        """From the record."""
        return cls(**_facts(account))


class Invited(StaffAnswer):
    """An account with its invitation, as it is shown once."""

    invitation: str | None = Field(
        description="Give it to the person. Shown this once; null where an Idempotency-Key is "
        "given again."
    )


def _facts(account: StaffAccount) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "role": account.role.value,
        "state": account.state.value,
        "created_by": account.created_by,
        "created_at": account.created_at,
        "invited_until": None if account.invitation is None else account.invited_until,
        "last_login_at": account.last_login_at,
    }


async def list_staff(
    call: Admitted, limit: Limit = DEFAULT, cursor: Cursor = None
) -> Page[StaffAnswer]:
    """By name, disabled ones too."""
    found = await call.office.store.staff.all()
    page, following = page_of("staff", found, lambda one: (0, one.name), cursor, limit)
    return Page(items=[StaffAnswer.of(one) for one in page], next_cursor=following)


async def invite_staff(call: Admitted, body: Invite) -> Invited:
    """The person chooses a password and a second factor with the invitation."""
    text, made = await work.invite(call.place, body.name, ApiRole(body.role))
    return Invited(**_facts(made), invitation=text)


async def get_staff(call: Admitted, staff_id: StaffId) -> StaffAnswer:
    """One account."""
    return StaffAnswer.of(await call.office.store.staff.get(staff_id))


async def change_staff_role(call: Admitted, staff_id: StaffId, body: NewRole) -> StaffAnswer:
    """A colleague's; the account's sessions end."""
    account = await _colleague(call, staff_id)
    return StaffAnswer.of(await work.change_role(call.place, account, ApiRole(body.role)))


async def reset_staff(call: Admitted, staff_id: StaffId) -> Invited:
    """Takes both factors of a colleague away and invites again; the sessions end."""
    text, made = await work.invite_anew(call.place, await _colleague(call, staff_id))
    return Invited(**_facts(made), invitation=text)


async def disable_staff(call: Admitted, staff_id: StaffId) -> StaffAnswer:
    """A colleague's account logs in no more, and its sessions end; a reset brings it back."""
    return StaffAnswer.of(await work.disable(call.place, await _colleague(call, staff_id)))


async def _colleague(call: Admitted, staff_id: str) -> StaffAccount:
    account = await call.office.store.staff.get(staff_id)
    work.check_not_oneself(call.place, account)
    return account


_ALL = "/v1/staff"
_ONE = "/v1/staff/{staff_id}"

ENDPOINTS = (
    Endpoint("GET", _ALL, "listStaff", list_staff, "List staff accounts"),
    Endpoint(
        "POST", _ALL, "inviteStaff", invite_staff, "Invite a person", status=201, has_body=True
    ),
    Endpoint("GET", _ONE, "getStaff", get_staff, "Show a staff account"),
    Endpoint(
        "POST",
        f"{_ONE}/role",
        "changeStaffRole",
        change_staff_role,
        "Change a colleague's role",
        has_body=True,
        may_conflict=True,
    ),
    Endpoint(
        "POST",
        f"{_ONE}/reset",
        "resetStaff",
        reset_staff,
        "Reset a colleague's factors",
        may_conflict=True,
    ),
    Endpoint(
        "POST",
        f"{_ONE}/disable",
        "disableStaff",
        disable_staff,
        "Disable a colleague's account",
        may_conflict=True,
    ),
)
