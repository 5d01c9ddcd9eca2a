from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from proxy.store import (
    ApiRole,
    Conflict,
    InvalidSetting,
    NotFound,
    PreApproval,
    StaffAccount,
    Store,
    SupportGrant,
    Workspace,
    new_id,
    new_token,
    verifiers_for,
)
from proxy.store.people import GRANT_MINUTES
from proxy.store.queries.support import PRE_APPROVED
from tests.store.stores import SettableClock, a_workspace
from tests.store.test_staff import active
from vault import Vault


def a_request(
    account: StaffAccount, workspace: Workspace, clock: SettableClock, **changes: object
) -> SupportGrant:
    grant = SupportGrant(
        id=new_id(),
        workspace_id=workspace.id,
        staff_id=account.id,
        staff_name=account.name,
        reason="ticket 4711",
        minutes=60,
        with_database=True,
        asked_at=clock(),
    )
    return replace(grant, **changes)  # type: ignore[arg-type]


async def settled(
    store: Store, vault: Vault, clock: SettableClock
) -> tuple[StaffAccount, Workspace, SupportGrant]:
    account, workspace = await active(store, vault, clock), await a_workspace(store, vault)
    asked = await store.support.ask(a_request(account, workspace, clock))
    return account, workspace, await store.support.decide(asked, "boss", is_approved=True)


async def add_token(store: Store, workspace: Workspace, grant: SupportGrant) -> str:
    verifier = verifiers_for(new_token(), workspace.scram_salt, workspace.scram_iterations)
    return (await store.support.add_token(grant, "support", verifier)).id


async def test_a_grant_is_live_from_its_approval_for_its_minutes(
    store: Store, vault: Vault, clock: SettableClock
):
    account, workspace = await active(store, vault, clock), await a_workspace(store, vault)
    asked = await store.support.ask(a_request(account, workspace, clock))
    assert await store.support.live(workspace.id, account.id) is None
    clock.advance(hours=2)
    live = await store.support.decide(asked, "boss", is_approved=True)
    assert live.expires_at == clock() + timedelta(minutes=60)
    assert await store.support.find(live.id) == live
    assert await store.support.live(workspace.id, account.id) == live
    assert await store.support.live("another", account.id) is None
    assert await store.support.live(workspace.id, "another") is None
    assert await store.support.of_workspace(workspace.id) == [live]
    assert await store.support.of_staff(account.id) == [live]
    clock.advance(minutes=60)
    assert await store.support.live(workspace.id, account.id) is None
    assert live.state(clock()) == "expired"


async def test_of_two_decisions_one_is_made(store: Store, vault: Vault, clock: SettableClock):
    account, workspace = await active(store, vault, clock), await a_workspace(store, vault)
    asked = await store.support.ask(a_request(account, workspace, clock))
    ended = await asyncio.gather(
        *(store.support.decide(asked, "boss", is_approved=bool(one % 2)) for one in range(4)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Conflict) for one in ended) == 3


async def test_a_token_is_made_before_the_grant_ends_and_ends_with_it_or_is_not_made(
    store: Store, vault: Vault, clock: SettableClock
):
    _, workspace, grant = await settled(store, vault, clock)
    outcomes = await asyncio.gather(
        add_token(store, workspace, grant),
        store.support.end(grant, "boss"),
        add_token(store, workspace, grant),
        return_exceptions=True,
    )
    assert all(isinstance(one, Conflict | str | SupportGrant) for one in outcomes), outcomes
    assert {token.state(clock()) for token in await store.list_tokens(workspace)} <= {"revoked"}
    with pytest.raises(Conflict):
        await add_token(store, workspace, grant)


async def test_a_grant_that_ended_keeps_who_ended_it(
    store: Store, vault: Vault, clock: SettableClock
):
    _, _, grant = await settled(store, vault, clock)
    first = await store.support.end(grant, "boss")
    clock.advance(minutes=1)
    assert await store.support.end(grant, "another") == first
    assert (first.ended_by, first.state(clock())) == ("boss", "ended")


async def test_what_a_person_was_granted_ends_with_a_change_of_the_account(
    store: Store, vault: Vault, clock: SettableClock
):
    account, workspace, grant = await settled(store, vault, clock)
    token = await add_token(store, workspace, grant)
    # A new password is the person's own: what was granted stays.
    account = await store.staff.change(account, account)
    assert await store.support.live(workspace.id, account.id) == grant
    changed = replace(account, role=ApiRole.AUDITOR)
    await store.staff.change(account, changed, ends_grants="staff boss")
    assert await store.support.live(workspace.id, account.id) is None
    (kept,) = await store.list_tokens(workspace)
    assert (kept.id, kept.state(clock())) == (token, "revoked")


async def test_what_is_approved_beforehand_is_live_at_once(
    store: Store, vault: Vault, clock: SettableClock
):
    account, workspace = await active(store, vault, clock), await a_workspace(store, vault)
    assert await store.support.pre_approval(workspace.id) == PreApproval()
    for wanted in (PreApproval(60, set_by="boss"), PreApproval(60, True, set_by="boss")):
        await store.support.set_pre_approval(workspace.id, wanted)
        assert await store.support.pre_approval(workspace.id) == wanted
        asked = await store.support.ask(a_request(account, workspace, clock), believed="boss")
        assert asked.is_approved is wanted.with_database
    for other in (None, "", "another"):
        doubted = await store.support.ask(a_request(account, workspace, clock), believed=other)
        assert doubted.state(clock()) == "pending"
    assert asked.decided_by == PRE_APPROVED
    assert await store.support.live(workspace.id, account.id) == asked
    with pytest.raises(InvalidSetting):
        await store.support.set_pre_approval(workspace.id, PreApproval(GRANT_MINUTES + 1))


async def test_grants_and_their_tokens_go_with_the_workspace(
    store: Store, vault: Vault, clock: SettableClock
):
    account, workspace, grant = await settled(store, vault, clock)
    await add_token(store, workspace, grant)
    await store.support.set_pre_approval(workspace.id, PreApproval(10))
    await store.delete_workspace(workspace)
    assert await store.support.find(grant.id) is None
    assert await store.support.of_staff(account.id) == []
    with pytest.raises(NotFound):
        await store.support.ask(a_request(account, workspace, clock))
    with pytest.raises(NotFound):
        await store.support.end(grant, "boss")


async def test_a_grant_of_the_past_makes_room(store: Store, vault: Vault, clock: SettableClock):
    account, workspace, grant = await settled(store, vault, clock)
    clock.advance(days=3)
    later = await store.support.ask(a_request(account, workspace, clock))
    assert await store.support.of_workspace(workspace.id) == [later, grant]


async def test_an_end_by_time_is_claimed_by_one_and_again_where_it_was_not_recorded(
    store: Store, vault: Vault, clock: SettableClock
):
    _, _, grant = await settled(store, vault, clock)
    assert await store.support.claim_expired() == []
    clock.advance(minutes=60)
    claims = await asyncio.gather(*(store.support.claim_expired() for _ in range(6)))
    assert sorted(claims, key=len) == [[], [], [], [], [], [grant]]
    # Who has claimed it is taken to be at work, until the lease is over.
    clock.advance(seconds=59)
    assert await store.support.claim_expired() == []
    clock.advance(seconds=1)
    assert await store.support.claim_expired() == [grant]
    await store.support.expiry_recorded(grant)
    clock.advance(days=1)
    assert await store.support.claim_expired() == []


async def test_only_a_live_grant_ends_by_its_time(store: Store, vault: Vault, clock: SettableClock):
    account, workspace, ended = await settled(store, vault, clock)
    await store.support.end(ended, "boss")
    pending = await store.support.ask(a_request(account, workspace, clock))
    denied = await store.support.ask(a_request(account, workspace, clock))
    await store.support.decide(denied, "boss", is_approved=False)
    clock.advance(days=2)
    assert pending.state(clock()) == "lapsed"
    assert await store.support.claim_expired() == []


async def test_what_its_time_has_ended_is_ended_by_nobody_else(
    store: Store, vault: Vault, clock: SettableClock
):
    _, workspace, grant = await settled(store, vault, clock)
    await add_token(store, workspace, grant)
    clock.advance(minutes=60)
    assert (await store.support.end(grant, "boss")).state(clock()) == "expired"
    assert {token.state(clock()) for token in await store.list_tokens(workspace)} == {"revoked"}
    assert await store.support.claim_expired() == [grant]
