"""The people of the platform, as values. Knows no SQL, no password and no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from proxy.store.records import ApiRole, SealedField
from vault import WrappedRootKey

STAFF_ROLES = (ApiRole.OWNER, ApiRole.OPERATOR, ApiRole.AUDITOR, ApiRole.SUPPORT)
"""What a staff account may be. An administrator of a workspace is not of the staff."""

INVITATION_LIFETIME = timedelta(hours=72)
"""How long an invitation can be taken up: over a weekend."""


class StaffState(StrEnum):
    """Where an account is. Only an ACTIVE one logs in; one that was DISABLED is invited anew."""

    INVITED = "invited"
    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class StaffAccount:
    """A person of the platform.

    ``version`` counts the changes of anything a login depends on. ``root_key`` is the
    account's own, under which its second factor is sealed; ``totp_highest`` the highest
    record version ever sealed, so that an older one put back is refused. ``totp_step``: the
    last time step whose code was used. ``password`` is an Argon2id hash in PHC's format.
    """

    id: str
    name: str
    role: ApiRole
    state: StaffState
    root_key: WrappedRootKey = field(repr=False)
    created_by: str
    created_at: datetime
    version: int = 1
    password: str | None = field(default=None, repr=False)
    totp: SealedField | None = field(default=None, repr=False)
    totp_highest: int = 0
    totp_step: int = 0
    invitation: bytes | None = field(default=None, repr=False)
    invited_until: datetime | None = None
    last_login_at: datetime | None = None

    @property
    def actor(self) -> str:
        """How the audit log names this person."""
        return staff_actor(self.name)


def staff_actor(name: str) -> str:
    """How the audit log names a person of the staff."""
    return f"staff {name}"


@dataclass(frozen=True, slots=True)
class Proof:
    """The second factor of one login: a time step, or a recovery code's digest."""

    step: int | None = None
    recovery: bytes | None = field(default=None, repr=False)


REQUEST_LIFETIME = timedelta(hours=24)
"""How long a request waits for an administrator of the workspace."""
GRANT_MINUTES = 480
"""The longest a grant lasts: a shift. Who needs more asks again."""
REASON_LIMIT = 500
"""Characters of a reason: a sentence or two, and a ticket's number."""

GrantState = Literal["pending", "lapsed", "denied", "live", "expired", "ended"]


@dataclass(frozen=True, slots=True)
class SupportGrant:
    """Access of one person of the staff to one workspace, asked for, decided on, ended.

    ``with_database``: whether it takes in tokens to the workspace's data sources.
    ``decided_by``: an administrator of the workspace, or its policy of pre-approval.
    """

    id: str
    workspace_id: str
    staff_id: str
    staff_name: str
    reason: str
    minutes: int
    with_database: bool
    asked_at: datetime
    decided_at: datetime | None = None
    decided_by: str = ""
    is_approved: bool = False
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str = ""

    def state(self, now: datetime) -> GrantState:
        """Its state at ``now``; only a live one opens anything."""
        if self.ended_at is not None:
            return "ended"
        if self.decided_at is None:
            return "pending" if now < self.asked_at + REQUEST_LIFETIME else "lapsed"
        if not self.is_approved:
            return "denied"
        return "live" if self.expires_at is not None and now < self.expires_at else "expired"


@dataclass(frozen=True, slots=True)
class PreApproval:
    """What a workspace grants to the support without being asked: at most so many minutes; 0:
    nothing. ``with_database``: also where tokens to its data sources are asked for. ``set_by``:
    who said so, as the audit log names them; empty: nobody who is known.
    """

    minutes: int = 0
    with_database: bool = False
    set_by: str = ""

    def covers(self, minutes: int, with_database: bool) -> bool:
        """Whether it grants a request."""
        return minutes <= self.minutes and (self.with_database or not with_database)
