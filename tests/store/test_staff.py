from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from proxy.store import (
    AlreadyExists,
    ApiKey,
    ApiRole,
    Conflict,
    InvalidSetting,
    NotFound,
    Proof,
    StaffAccount,
    StaffState,
    Store,
    new_id,
)
from proxy.store.api_keys import digest_of, new_session_token, parse_api_key
from proxy.store.people import INVITATION_LIFETIME
from proxy.store.queries.staff import SESSION_LIMIT
from proxy.store.records import SESSION_IDLE, SealedField
from tests.store.stores import SettableClock
from vault import Vault


def an_account(vault: Vault, clock: SettableClock, name: str = "ada") -> StaffAccount:
    staff_id = new_id()
    return StaffAccount(
        id=staff_id,
        name=name,
        role=ApiRole.OPERATOR,
        state=StaffState.INVITED,
        root_key=vault.new_root_key(staff_id),
        created_by="root",
        created_at=clock(),
        invitation=name.encode() * 8,
    )


async def active(store: Store, vault: Vault, clock: SettableClock) -> StaffAccount:
    invited = await store.staff.create(an_account(vault, clock))
    after = replace(
        invited,
        state=StaffState.ACTIVE,
        password="$argon2id$",
        totp=SealedField(1, b"sealed"),
        totp_highest=1,
        invitation=None,
    )
    return await store.staff.change(invited, after, recovery=(b"one", b"two"))


def a_session(account: StaffAccount, clock: SettableClock) -> ApiKey:
    text = new_session_token()
    return ApiKey(
        id=parse_api_key(text),
        workspace_id=None,
        role=account.role,
        label=account.name,
        digest=digest_of(text),
        created_by=account.actor,
        created_at=clock(),
        expires_at=None,
        staff_id=account.id,
        address="192.0.2.1",
    )


async def test_an_account_is_found_as_it_was_made(store: Store, vault: Vault, clock: SettableClock):
    made = await store.staff.create(an_account(vault, clock))
    assert made.invited_until == clock() + INVITATION_LIFETIME
    assert await store.staff.find(made.id) == made
    assert await store.staff.by_name("ada") == made
    assert await store.staff.by_name("eve") is None
    assert await store.staff.all() == [made]
    assert made.invitation is not None
    assert await store.staff.by_invitation(made.invitation) == made
    clock.advance(hours=72)
    assert await store.staff.by_invitation(made.invitation) is None
    with pytest.raises(AlreadyExists):
        await store.staff.create(an_account(vault, clock))
    with pytest.raises(NotFound):
        await store.staff.get("unknown")


async def test_an_account_has_a_role_and_a_name(store: Store, vault: Vault, clock: SettableClock):
    good = an_account(vault, clock)
    for wrong in (replace(good, role=ApiRole.WORKSPACE_ADMIN), replace(good, name="Ada!")):
        with pytest.raises(InvalidSetting):
            await store.staff.create(wrong)
    made = await store.staff.create(good)
    with pytest.raises(InvalidSetting):
        await store.staff.change(made, replace(made, role=ApiRole.WORKSPACE_ADMIN))


async def test_what_was_read_before_a_change_changes_nothing(
    store: Store, vault: Vault, clock: SettableClock
):
    account = await active(store, vault, clock)
    newer = await store.staff.change(account, replace(account, role=ApiRole.AUDITOR))
    with pytest.raises(Conflict):
        await store.staff.change(account, replace(account, role=ApiRole.OWNER))
    assert await store.staff.find(account.id) == newer
    assert newer.version == account.version + 1


async def test_a_time_step_is_spent_once_and_never_goes_back(
    store: Store, vault: Vault, clock: SettableClock
):
    account = await active(store, vault, clock)
    assert await store.staff.spend(account, Proof(step=100))
    for step in (100, 99):
        assert not await store.staff.spend(account, Proof(step=step))
    # Read before the code was used: what it changes leaves the step where it is.
    changed = await store.staff.change(account, replace(account, role=ApiRole.AUDITOR))
    assert not await store.staff.spend(changed, Proof(step=100))
    assert await store.staff.spend(changed, Proof(step=101))


async def test_of_two_logins_with_one_code_one_begins(
    store: Store, vault: Vault, clock: SettableClock
):
    account = await active(store, vault, clock)
    for proof in (Proof(step=7), Proof(recovery=b"one")):
        begun = await asyncio.gather(
            *(store.staff.open_session(account, proof, a_session(account, clock)) for _ in range(4))
        )
        assert sum(session is not None for session in begun) == 1
    assert await store.staff.recovery_digests(account.id) == {b"two"}


async def test_an_account_that_has_changed_or_ended_begins_no_session(
    store: Store, vault: Vault, clock: SettableClock
):
    account = await active(store, vault, clock)
    ended = replace(account, state=StaffState.DISABLED, password=None)
    disabled = await store.staff.change(account, ended, recovery=())
    for known in (account, disabled):
        session = a_session(known, clock)
        assert await store.staff.open_session(known, Proof(step=9), session) is None
    assert await store.staff.recovery_digests(account.id) == set()
    assert await store.staff.sessions(account.id) == []


async def test_a_session_is_a_key_of_nobody_else(store: Store, vault: Vault, clock: SettableClock):
    account = await active(store, vault, clock)
    made = await store.staff.open_session(account, Proof(step=1), a_session(account, clock))
    assert made is not None
    assert await store.api_keys.find(made.id) == made
    assert await store.api_keys.of(None) == []
    with pytest.raises(NotFound):
        await store.api_keys.revoke(None, made.id)
    with pytest.raises(NotFound):
        await store.staff.end_session("another", made.id)
    with pytest.raises(InvalidSetting):
        await store.api_keys.create(replace(made, id="other"))
    clock.advance(hours=1)
    assert made.state(clock()) == "expired"
    assert made.state(made.created_at + SESSION_IDLE - timedelta(seconds=1)) == "live"
    ended = await store.staff.end_session(account.id, made.id)
    assert ended.revoked_at == clock()


async def test_sessions_end_with_a_change_and_are_bounded(
    store: Store, vault: Vault, clock: SettableClock
):
    account = await active(store, vault, clock)
    for step in range(1, SESSION_LIMIT + 3):
        clock.advance(seconds=30)
        session = a_session(account, clock)
        assert await store.staff.open_session(account, Proof(step=step), session)
    found = await store.staff.sessions(account.id)
    assert [one.state(clock()) for one in found] == ["live"] * SESSION_LIMIT
    assert found[0].created_at == clock()
    account = await store.staff.change(account, account, ends_sessions=False)
    assert [one.state(clock()) for one in await store.staff.sessions(account.id)] == [
        "live"
    ] * SESSION_LIMIT
    await store.staff.change(account, account)
    assert {one.state(clock()) for one in await store.staff.sessions(account.id)} == {"revoked"}


async def test_a_root_key_is_rewrapped_behind_a_change(
    store: Store, vault: Vault, clock: SettableClock
):
    account = await active(store, vault, clock)
    new = vault.rewrap(account.root_key)
    await store.staff.replace_root_key(account.root_key, new)
    with pytest.raises(Conflict):
        await store.staff.replace_root_key(account.root_key, new)
    # Who read it before changes it without putting the old wrapping back.
    await store.staff.change(account, replace(account, role=ApiRole.OWNER))
    assert (await store.staff.get(account.id)).root_key == new
