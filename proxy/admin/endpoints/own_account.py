"""One's own account: enrolled, logged in to, its sessions and factors. Secrets go in, and
what is made new is in one answer, once.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path
from pydantic import Field, SecretStr

from proxy.admin.call import Admitted, Call
from proxy.admin.endpoint import Endpoint
from proxy.admin.problems import Problem, not_found
from proxy.admin.rates import Answer as Turn
from proxy.admin.shapes import Answer, Body
from proxy.administration import login, staff
from proxy.administration.passwords import LEAST, MOST, Password
from proxy.store import ApiKey, StaffAccount, staff_actor
from proxy.store.records import SESSION_IDLE

LoginName = Annotated[str, Field(min_length=1, max_length=63, examples=["ada"])]
Given = Annotated[SecretStr, Field(min_length=1, max_length=1_024, examples=["seven green kites"])]
Chosen = Annotated[
    SecretStr,
    Field(
        min_length=LEAST,
        max_length=MOST,
        description="To be set. Written, never read.",
        examples=["seven green kites"],
    ),
]
Code = Annotated[
    SecretStr,
    Field(
        min_length=6,
        max_length=32,
        description="Six digits of the authenticator, or a recovery code.",
        examples=["492039"],
    ),
]
Invitation = Annotated[
    SecretStr, Field(min_length=1, max_length=128, examples=["aci_4fT9aQ2xZk_..."])
]
LoginId = Annotated[str, Path(description="A login session's id.", examples=["4fT9aQ2xZk"])]


class Login(Body):
    """Both factors. ``device``: what the last login from here was given, or nothing."""

    name: LoginName
    password: Given
    code: Code
    device: Annotated[SecretStr, Field(max_length=256)] | None = None


class Begun(Answer):
    """A session, and what is kept for the next login from here."""

    token: str = Field(description="The bearer token of the session. Shown this once.")
    device: str = Field(
        description="Give it with the next login: a device that is known is never crowded out."
    )
    session_id: str
    name: str
    role: str = Field(examples=["operator"])
    expires_at: datetime
    idle_seconds: int = Field(description="Without a call for so long, the session is over.")


class Enrol(Body):
    """Take an invitation up."""

    invitation: Invitation
    password: Chosen


class ToConfirm(Answer):
    """The second factor, shown once; it counts once a code of it has been given."""

    name: str
    totp_secret: str
    otpauth_uri: str = Field(description="For an authenticator, as a QR code or pasted.")


class Confirm(Body):
    """Show that the authenticator works."""

    invitation: Invitation
    code: Code


class Enrolled(Answer):
    """The account is active."""

    name: str
    role: str = Field(examples=["operator"])
    recovery_codes: list[str] = Field(description="Each works once. Shown this once.")
    device: str = Field(description="Give it with the first login from here.")


class NewPassword(Body):
    """Both factors, and the password from now on."""

    password: Given
    code: Code
    new_password: Chosen


class BothFactors(Body):
    """Both factors, again."""

    password: Given
    code: Code


class RecoveryCodes(Answer):
    """New ones; the earlier are void."""

    recovery_codes: list[str] = Field(description="Each works once. Shown this once.")


class LoginSession(Answer):
    """A session: nothing that could be used to call."""

    id: str
    state: Literal["live", "expired", "revoked"]
    is_this_one: bool
    address: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, session: ApiKey, call: Call) -> LoginSession:
        """From the record."""
        return cls(
            id=session.id,
            state=session.state(call.office.clock()),
            is_this_one=session.id == call.key.id,
            address=session.address,
            created_at=session.created_at,
            last_used_at=session.last_used_at,
            expires_at=session.expires_at,
            revoked_at=session.revoked_at,
        )


class LoginSessions(Answer):
    """One's own, the newest first; those that ended are there until the next login."""

    items: list[LoginSession]


class Ended(Answer):
    """What has ended."""

    ended: Literal["session", "all sessions"]


async def log_in(call: Admitted, body: Login) -> Begun:
    """Wrong and unknown are one answer, after the same work and no sooner."""
    office, loop = call.office, asyncio.get_running_loop()
    began, now = loop.time(), office.clock()
    device = None if body.device is None else body.device.get_secret_value()
    _check_turn(office.guesses.take(body.name, call.network, device, now))
    attempt = login.Attempt(
        body.name, typed(body.password), body.code.get_secret_value(), call.address, call.port
    )
    begun = await login.log_in(call.place, office.passwords, attempt, now)
    if begun is None:
        await asyncio.sleep(office.config.limits.failure_floor - (loop.time() - began))
        raise _wrong()
    call.recognised = begun.account.actor
    assert begun.session.expires_at is not None, "a login's session has an end"
    return Begun(
        token=begun.token,
        device=office.guesses.new_device(begun.account.name, now),
        session_id=begun.session.id,
        name=begun.account.name,
        role=begun.account.role.value,
        expires_at=begun.session.expires_at,
        idle_seconds=int(SESSION_IDLE.total_seconds()),
    )


async def enrol(call: Admitted, body: Enrol) -> ToConfirm:
    """Choose a password; until it is confirmed, one may do so again."""
    made = await staff.enrol(
        call.place,
        call.office.passwords,
        body.invitation.get_secret_value(),
        typed(body.password),
    )
    call.recognised = staff_actor(made.name)
    return ToConfirm(name=made.name, totp_secret=made.secret, otpauth_uri=made.uri)


async def confirm_enrolment(call: Admitted, body: Confirm) -> Enrolled:
    """The invitation is used up."""
    now = call.office.clock()
    account, codes = await staff.confirm(
        call.place, body.invitation.get_secret_value(), body.code.get_secret_value(), now
    )
    call.recognised = account.actor
    return Enrolled(
        name=account.name,
        role=account.role.value,
        recovery_codes=list(codes),
        device=call.office.guesses.new_device(account.name, now),
    )


async def log_out(call: Admitted) -> Ended:
    """The next call with this token is refused."""
    await login.log_out(call.place, call.key, call.key.id, "logged out")
    return Ended(ended="session")


async def list_own_sessions(call: Admitted) -> LoginSessions:
    """From where, and since when."""
    found = await call.office.store.staff.sessions(call.key.staff_id or "")
    return LoginSessions(items=[LoginSession.of(one, call) for one in found])


async def revoke_own_session(call: Admitted, login_id: LoginId) -> LoginSession:
    """End a session of one's own."""
    ended = await login.log_out(call.place, call.key, login_id, "revoked by its owner")
    return LoginSession.of(ended, call)


async def change_own_password(call: Admitted, body: NewPassword) -> Ended:
    """All of the account's sessions end, this one too."""
    account = await _proven(call, body.password, body.code)
    await staff.change_password(
        call.place, call.office.passwords, account, typed(body.new_password)
    )
    return Ended(ended="all sessions")


async def renew_recovery_codes(call: Admitted, body: BothFactors) -> RecoveryCodes:
    """In place of all earlier ones."""
    account = await _proven(call, body.password, body.code)
    codes = await staff.renew_recovery_codes(call.place, account)
    return RecoveryCodes(recovery_codes=list(codes))


async def _proven(call: Call, password: SecretStr, code: SecretStr) -> StaffAccount:
    """The account of this session, whose both factors were just given. Raises Problem."""
    office, now = call.office, call.office.clock()
    _check_turn(office.guesses.take_again(call.key.label, call.key.id))
    account = await office.store.staff.find(call.key.staff_id or "")
    if account is None:
        raise not_found()
    proof, _ = await login.prove(
        call.place,
        office.passwords,
        account,
        typed(password),
        code.get_secret_value(),
        now,
    )
    if proof is None or not await office.store.staff.spend(account, proof):
        raise _wrong()
    return account


def typed(given: SecretStr) -> Password:
    """As passwords are hashed and compared."""
    return Password(given.get_secret_value())


def _check_turn(turn: Turn) -> None:
    if turn.wait:
        raise Problem(
            429,
            "too-many-logins",
            "There are too many logins to this account from devices that it does not know; "
            "wait before the next one.",
            headers={"Retry-After": str(turn.wait)},
        )


def _wrong() -> Problem:
    return Problem(401, "wrong-login", "The name, the password or the code is wrong.")


_SESSIONS = "/v1/me/sessions"

ENDPOINTS = (
    Endpoint("POST", "/v1/login", "logIn", log_in, "Log in", has_body=True, may_conflict=True),
    Endpoint("POST", "/v1/logout", "logOut", log_out, "Log out"),
    Endpoint(
        "POST",
        "/v1/enrolment",
        "takeUpInvitation",
        enrol,
        "Take an invitation up",
        has_body=True,
        may_conflict=True,
    ),
    Endpoint(
        "POST",
        "/v1/enrolment/confirm",
        "confirmEnrolment",
        confirm_enrolment,
        "Confirm the second factor",
        has_body=True,
        may_conflict=True,
    ),
    Endpoint("GET", _SESSIONS, "listOwnSessions", list_own_sessions, "List one's own sessions"),
    Endpoint(
        "POST",
        f"{_SESSIONS}/{{login_id}}/revoke",
        "revokeOwnSession",
        revoke_own_session,
        "End a session of one's own",
    ),
    Endpoint(
        "POST",
        "/v1/me/password",
        "changeOwnPassword",
        change_own_password,
        "Change one's own password",
        has_body=True,
        may_conflict=True,
    ),
    Endpoint(
        "POST",
        "/v1/me/recovery-codes",
        "renewRecoveryCodes",
        renew_recovery_codes,
        "Renew one's own recovery codes",
        has_body=True,
        may_conflict=True,
    ),
)
