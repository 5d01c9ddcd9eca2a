import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from proxy.store import AlreadyExists, InvalidSetting, LimitReached, NotFound, Store
from proxy.store.queries import tokens as queries
from tests.store.stores import SettableClock, a_token, a_workspace, run_sql
from vault import Vault


async def test_a_token_is_listed_as_it_was_created(
    store: Store, vault: Vault, clock: SettableClock
):
    workspace = await a_workspace(store, vault)
    expires_at = clock.now + timedelta(days=30)
    token = await a_token(store, workspace, label="nightly job", expires_at=expires_at)
    assert (token.label, token.created_at, token.expires_at) == (
        "nightly job",
        clock.now,
        expires_at,
    )
    assert await store.list_tokens(workspace) == [token]


async def test_the_newest_token_is_listed_first(store: Store, vault: Vault, clock: SettableClock):
    workspace = await a_workspace(store, vault)
    old = await a_token(store, workspace)
    clock.advance(seconds=1)
    new = await a_token(store, workspace)
    assert await store.list_tokens(workspace) == [new, old]


@pytest.mark.parametrize("label", ["", " a", "a ", "a\nb", "x" * 129, "\x1b[31m"])
async def test_a_label_is_one_line_of_text(store: Store, vault: Vault, label: str):
    workspace = await a_workspace(store, vault)
    with pytest.raises(InvalidSetting, match=r"^label: "):
        await a_token(store, workspace, label=label)


async def test_an_expiry_is_ahead_has_a_time_zone_and_is_not_absurd(
    store: Store, vault: Vault, clock: SettableClock
):
    workspace = await a_workspace(store, vault)
    for expires_at in (
        clock.now,
        clock.now - timedelta(days=1),
        clock.now + timedelta(days=5000),
        datetime(2027, 1, 1),  # noqa: DTZ001
    ):
        with pytest.raises(InvalidSetting, match=r"^expires_at: "):
            await a_token(store, workspace, expires_at=expires_at)


async def test_a_login_sees_live_tokens_alone(store: Store, vault: Vault, clock: SettableClock):
    workspace = await a_workspace(store, vault)
    live = await a_token(store, workspace)
    await a_token(store, workspace, expires_at=clock.now + timedelta(minutes=5))
    revoked = await a_token(store, workspace)
    await store.revoke_token(workspace, revoked.id)
    clock.advance(minutes=5)
    login = await store.find_login("finance")
    assert login is not None
    assert login.workspace == workspace
    assert login.tokens == (live,)


async def test_a_login_sees_the_state_of_a_suspended_workspace(store: Store, vault: Vault):
    await store.suspend_workspace(await a_workspace(store, vault))
    login = await store.find_login("finance")
    assert login is not None
    assert not login.workspace.is_active


async def test_a_login_under_an_unknown_name_finds_nothing(store: Store):
    assert await store.find_login("nobody") is None


async def test_a_revoked_token_keeps_its_time(store: Store, vault: Vault, clock: SettableClock):
    workspace = await a_workspace(store, vault)
    token = await a_token(store, workspace)
    revoked_at = clock.now
    assert (await store.revoke_token(workspace, token.id)).revoked_at == revoked_at
    clock.advance(hours=1)
    again = await store.revoke_token(workspace, token.id)
    assert again == replace(token, revoked_at=revoked_at)
    assert again.state(clock.now) == "revoked"


async def test_a_token_of_another_workspace_is_not_found(store: Store, vault: Vault):
    mine, theirs = await a_workspace(store, vault, "a"), await a_workspace(store, vault, "b")
    token = await a_token(store, theirs)
    with pytest.raises(NotFound) as foreign:
        await store.revoke_token(mine, token.id)
    with pytest.raises(NotFound) as unknown:
        await store.revoke_token(mine, "0123456789")
    assert str(foreign.value) == str(unknown.value)
    assert (await store.list_tokens(theirs))[0].revoked_at is None
    assert await store.list_tokens(mine) == []


async def test_an_id_is_used_once(store: Store, vault: Vault):
    one, two = await a_workspace(store, vault, "a"), await a_workspace(store, vault, "b")
    token = await a_token(store, one)
    with pytest.raises(AlreadyExists):
        await store.create_token(two, "copy", None, token.verifier)


async def test_live_tokens_have_a_limit_that_holds_against_many_at_once(
    store: Store, vault: Vault, clock: SettableClock
):
    workspace = await a_workspace(store, vault)
    for _ in range(queries.LIVE_LIMIT - 4):
        await a_token(store, workspace)
    results = await asyncio.gather(
        *(a_token(store, workspace) for _ in range(10)), return_exceptions=True
    )
    assert sum(isinstance(result, LimitReached) for result in results) == 6
    login = await store.find_login("finance")
    assert login is not None
    assert len(login.tokens) == queries.LIVE_LIMIT
    await store.revoke_token(workspace, login.tokens[0].id)
    await a_token(store, workspace)


async def test_of_ended_tokens_the_oldest_are_forgotten(
    store: Store, vault: Vault, url: str, clock: SettableClock
):
    workspace = await a_workspace(store, vault)
    live = await a_token(store, workspace)
    clock.advance(seconds=1)
    oldest = await store.revoke_token(workspace, (await a_token(store, workspace)).id)
    clock.advance(seconds=1)
    sample = await store.revoke_token(workspace, (await a_token(store, workspace)).id)
    # As many more as fill the list, by copying the last.
    numbers = (
        f"WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n"
        f" WHERE i < {queries.KEPT_LIMIT - 1}) "
    )
    names = "label, stored_key, server_key, sha256_sha256, sha1_sha1, created_at, revoked_at"
    await run_sql(
        url,
        f"INSERT INTO tokens (id, workspace_id, {names}) {numbers}"
        f"SELECT 'copy' || i, workspace_id, {names} FROM n, tokens WHERE id = '{sample.id}'",
    )
    assert len(await store.list_tokens(workspace)) == queries.KEPT_LIMIT
    newest = await a_token(store, workspace)
    ids = {token.id for token in await store.list_tokens(workspace)}
    assert len(ids) == queries.KEPT_LIMIT
    assert {live.id, newest.id} <= ids
    assert oldest.id not in ids


async def test_last_use_only_moves_forward_and_is_no_change(
    store: Store, vault: Vault, url: str, clock: SettableClock
):
    workspace = await a_workspace(store, vault)
    one, two = await a_token(store, workspace), await a_token(store, workspace)
    changes = await run_sql(url, "SELECT count(*) FROM changes")
    later = clock.now + timedelta(minutes=1)
    await store.record_token_use({one.id: later, two.id: clock.now, "0000000000": later})
    await store.record_token_use({one.id: clock.now})
    await store.record_token_use({})
    used = {token.id: token.last_used_at for token in await store.list_tokens(workspace)}
    assert used == {one.id: later, two.id: clock.now}
    assert await run_sql(url, "SELECT count(*) FROM changes") == changes
