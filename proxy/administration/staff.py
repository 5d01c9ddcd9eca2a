"""People of the platform: invited, enrolled, changed. Passwords and codes exist here once."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from proxy.administration.passwords import Password, Passwords
from proxy.administration.second_factor import (
    new_recovery_codes,
    otpauth_uri,
    recovery_digests,
    step_near,
)
from proxy.administration.trail import audited
from proxy.administration.workplace import Workplace
from proxy.audit.people import staff_changed
from proxy.store import (
    ApiRole,
    Conflict,
    InvalidToken,
    NotFound,
    StaffAccount,
    StaffState,
    new_id,
    new_token,
    parse_token,
)
from proxy.store.records import SealedField
from vault import Binding, Secret, Vault
from vault.totp import new_totp_key

T = TypeVar("T")

INVITATION_PREFIX = "aci_"
_INVITATION = b"accode-proxy invitation 1\0"


class InvalidInvitation(Exception):
    """The invitation is none, was used, is over, or another one has taken its place."""

    def __init__(self) -> None:
        super().__init__("the invitation is not one that can be taken up")


class WrongCode(Exception):
    """A second factor is not right, or was used before."""

    def __init__(self) -> None:
        super().__init__("the code is not right, or was used before")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator takes; shown once."""

    name: str
    secret: str = field(repr=False)
    uri: str = field(repr=False)


async def invite(place: Workplace, name: str, role: ApiRole) -> tuple[str, StaffAccount]:
    """A new account, and the invitation to it, to be shown once.

    Raises AlreadyExists, LimitReached, InvalidSetting.
    """
    text = new_token(prefix=INVITATION_PREFIX)
    staff_id = new_id()
    account = StaffAccount(
        id=staff_id,
        name=name,
        role=role,
        state=StaffState.INVITED,
        root_key=place.vault.new_root_key(staff_id),
        created_by=place.actor,
        created_at=datetime.now(UTC),
        invitation=_digest(text),
    )
    made = await _audited(place, "create", account, lambda: place.store.staff.create(account))
    return text, made


async def invite_anew(place: Workplace, account: StaffAccount) -> tuple[str, StaffAccount]:
    """Take both factors away, end the sessions, and invite again; also one that was disabled.

    Raises Conflict.
    """
    text = new_token(prefix=INVITATION_PREFIX)
    after = replace(
        account, state=StaffState.INVITED, password=None, totp=None, invitation=_digest(text)
    )
    made = await _audited(
        place,
        "reset",
        account,
        lambda: place.store.staff.change(account, after, recovery=(), ends_grants=place.actor),
    )
    return text, made


async def disable(place: Workplace, account: StaffAccount) -> StaffAccount:
    """End an account's sessions and let it log in no more. Raises Conflict."""
    after = replace(account, state=StaffState.DISABLED, password=None, totp=None, invitation=None)
    return await _audited(
        place,
        "disable",
        account,
        lambda: place.store.staff.change(account, after, recovery=(), ends_grants=place.actor),
    )


async def change_role(place: Workplace, account: StaffAccount, role: ApiRole) -> StaffAccount:
    """Give an account another role; its sessions end, and what was granted to it.

    Raises Conflict, InvalidSetting.
    """
    after = replace(account, role=role)
    return await _audited(
        place,
        "role",
        after,
        lambda: place.store.staff.change(account, after, ends_grants=place.actor),
    )


async def enrol(
    place: Workplace, passwords: Passwords, invitation: str, password: Password
) -> Enrolment:
    """Choose a password and get a second factor, which counts once ``confirm`` has seen it.

    Raises InvalidInvitation, InvalidSetting, Conflict.
    """
    account = await invited(place, invitation)
    place = replace(place, actor=account.actor)
    password.check(account.name)
    key, base32 = new_totp_key()
    version = account.totp_highest + 1
    after = replace(
        account,
        password=await passwords.hash(password),
        totp=seal_totp(place.vault, account, key, version),
        totp_highest=version,
    )
    await _audited(place, "enrol", account, lambda: place.store.staff.change(account, after))
    return Enrolment(account.name, base32, otpauth_uri(base32, account.name))


async def confirm(
    place: Workplace, invitation: str, code: str, now: datetime
) -> tuple[StaffAccount, tuple[str, ...]]:
    """Show that the second factor works; the account is active. Its recovery codes, once.

    Raises InvalidInvitation, WrongCode, Conflict.
    """
    account = await invited(place, invitation)
    place = replace(place, actor=account.actor)
    if account.totp is None:
        raise InvalidInvitation
    step = step_near(open_totp(place.vault, account), code, now)
    if step is None:
        raise WrongCode
    codes = new_recovery_codes()
    after = replace(account, state=StaffState.ACTIVE, invitation=None, totp_step=step)
    made = await _audited(
        place,
        "enable",
        account,
        lambda: place.store.staff.change(account, after, recovery=recovery_digests(codes)),
    )
    return made, codes


async def change_password(
    place: Workplace, passwords: Passwords, account: StaffAccount, password: Password
) -> StaffAccount:
    """Put another password for who has proved both factors; the sessions end.

    Raises InvalidSetting, Conflict.
    """
    password.check(account.name)
    after = replace(account, password=await passwords.hash(password))
    return await _audited(
        place, "password", account, lambda: place.store.staff.change(account, after)
    )


async def renew_recovery_codes(place: Workplace, account: StaffAccount) -> tuple[str, ...]:
    """New recovery codes in place of those there are, for who has proved both factors."""
    codes = new_recovery_codes()
    await _audited(
        place,
        "recovery codes",
        account,
        lambda: place.store.staff.change(
            account, account, recovery=recovery_digests(codes), ends_sessions=False
        ),
    )
    return codes


async def invited(place: Workplace, invitation: str) -> StaffAccount:
    """Whom a live invitation is for. Raises InvalidInvitation."""
    try:
        parse_token(invitation, prefix=INVITATION_PREFIX)
    except InvalidToken:
        raise InvalidInvitation from None
    found = await place.store.staff.by_invitation(_digest(invitation))
    if found is None:
        raise InvalidInvitation
    return found


def seal_totp(vault: Vault, account: StaffAccount, secret: Secret, version: int) -> SealedField:
    """Seal a second factor for its account."""
    return SealedField(version, vault.seal(account.root_key, secret, _binding(account, version)))


def open_totp(vault: Vault, account: StaffAccount) -> Secret:
    """Open it. Raises UnsealError, also for an older one put back. There must be one."""
    assert account.totp is not None, "the account has no second factor"
    return vault.unseal(
        account.root_key,
        account.totp.sealed,
        _binding(account, account.totp.version),
        minimum_version=account.totp_highest,
    )


def _binding(account: StaffAccount, version: int) -> Binding:
    return Binding(
        purpose="staff-login",
        workspace_id=account.id,
        source_id="",
        field="totp",
        record_version=version,
        destination=None,
    )


def _digest(invitation: str) -> bytes:
    return hashlib.sha256(_INVITATION + invitation.encode("ascii")).digest()


async def named(place: Workplace, name: str) -> StaffAccount:
    """The account of that name. Raises NotFound."""
    found = await place.store.staff.by_name(name)
    if found is None:
        raise NotFound("there is no staff account of that name")
    return found


def check_not_oneself(place: Workplace, account: StaffAccount) -> None:
    """An owner's own account is another owner's to change, so one is always left.

    Raises Conflict.
    """
    if place.actor == account.actor:
        raise Conflict("your own account is another owner's to change")


async def _audited(
    place: Workplace, change: str, account: StaffAccount, act: Callable[[], Awaitable[T]]
) -> T:
    event = staff_changed(
        change,
        actor=place.actor,
        staff_id=account.id,
        name=account.name,
        role=str(account.role),
    )
    return await audited(place.trail, event, act, place.warn)
