"""A person's login: both factors, one answer, the same work whoever is named.

Knows no HTTP and no rate; who asks too often is turned away before this is reached.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from proxy.administration.passwords import Password, Passwords
from proxy.administration.second_factor import (
    is_totp_code,
    recovery_digest,
    step_near,
)
from proxy.administration.staff import open_totp
from proxy.administration.trail import audited
from proxy.administration.workplace import Workplace
from proxy.audit.ocsf import Event
from proxy.audit.people import staff_logged_in, staff_logged_out
from proxy.store import ApiKey, Proof, StaffAccount, StaffState
from proxy.store.api_keys import digest_of, new_session_token, parse_api_key
from proxy.store.validate import is_name
from vault import UnsealError, Vault
from vault.totp import new_totp_key


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody says of himself, and from where."""

    name: str = field(repr=False)
    password: Password
    code: str = field(repr=False)
    ip: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A session has begun; ``token`` is shown once."""

    account: StaffAccount
    session: ApiKey
    token: str = field(repr=False)


class _SpentError(Exception):
    """The code was used by another login, or the account changed, while this one was checked."""


async def log_in(
    place: Workplace, passwords: Passwords, attempt: Attempt, now: datetime
) -> LoggedIn | None:
    """A new session; None for whatever reason. Raises TooManyHashes.

    The record of a login is durable before its session is stored; a refused one is
    recorded with the account's name where there is one, and the reason, which is for us.
    """
    known = await place.store.staff.by_name(attempt.name if is_name(attempt.name) else "")
    proof, reason = await prove(place, passwords, known, attempt.password, attempt.code, now)
    if known is None or proof is None:
        await place.trail.record(_event(known, attempt, reason=reason))
        return None
    text = new_session_token()
    wanted = ApiKey(
        id=parse_api_key(text),
        workspace_id=None,
        role=known.role,
        label=known.name,
        digest=digest_of(text),
        created_by=known.actor,
        created_at=datetime.now(UTC),
        expires_at=None,
        staff_id=known.id,
        address=attempt.ip,
    )

    async def act() -> ApiKey:
        session = await place.store.staff.open_session(known, proof, wanted)
        if session is None:
            raise _SpentError
        return session

    event = _event(known, attempt, session_id=wanted.id)
    try:
        session = await audited(place.trail, event, act, place.warn)
    except _SpentError:
        return None
    return LoggedIn(known, session, text)


async def prove(
    place: Workplace,
    passwords: Passwords,
    account: StaffAccount | None,
    password: Password,
    code: str,
    now: datetime,
) -> tuple[Proof | None, str]:
    """The second factor where both are right, still to be spent; else None, and why.

    The same is asked of the store, hashed and compared in every case, and nothing is written.
    Raises TooManyHashes.
    """
    kept = None if account is None else account.password
    left = await place.store.staff.recovery_digests("" if account is None else account.id)
    is_right = await passwords.is_right(kept, password)
    proof = _second_factor(place.vault, account, left, code, now)
    if account is None:
        return None, "no such account"
    if account.state is not StaffState.ACTIVE:
        return None, f"the account is {account.state}"
    if not is_right:
        return None, "wrong password"
    return proof, "" if proof is not None else "wrong code"


def _second_factor(
    vault: Vault,
    account: StaffAccount | None,
    left: frozenset[bytes],
    code: str,
    now: datetime,
) -> Proof | None:
    (key, _), last = new_totp_key(), None
    if account is not None and account.totp is not None:
        try:
            key, last = open_totp(vault, account), account.totp_step
        except UnsealError:
            return None
    step = step_near(key, code, now) if is_totp_code(code) else None
    digest = recovery_digest(code)
    if last is None:
        return None
    if step is not None:
        return Proof(step=step) if step > last else None
    return Proof(recovery=digest) if digest in left else None


async def log_out(place: Workplace, session: ApiKey, session_id: str, reason: str) -> ApiKey:
    """End one's own session, this or another one. Raises NotFound."""
    staff_id = session.staff_id or ""
    event = staff_logged_out(
        staff_id=staff_id, name=session.label, session_id=session_id, reason=reason
    )
    return await audited(
        place.trail,
        event,
        lambda: place.store.staff.end_session(staff_id, session_id),
        place.warn,
    )


def _event(
    known: StaffAccount | None, attempt: Attempt, *, session_id: str = "", reason: str = ""
) -> Event:
    return staff_logged_in(
        staff_id="" if known is None else known.id,
        name="unknown" if known is None else known.name,
        ip=attempt.ip,
        port=attempt.port,
        session_id=session_id,
        reason=reason,
    )
