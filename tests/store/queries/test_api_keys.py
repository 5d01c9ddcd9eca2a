from datetime import timedelta

import pytest

from proxy.store import ApiKey, ApiRole, InvalidSetting, LimitReached, NotFound, Store
from proxy.store.api_keys import digest_of, new_api_key, parse_api_key
from proxy.store.queries import api_keys
from tests.store.stores import SettableClock, a_workspace, run_sql
from vault import Vault


def a_key(clock: SettableClock, workspace_id: str | None = None, **changes: object) -> ApiKey:
    text = new_api_key()
    settings: dict[str, object] = {
        "id": parse_api_key(text),
        "workspace_id": workspace_id,
        "role": ApiRole.OPERATOR if workspace_id is None else ApiRole.WORKSPACE_ADMIN,
        "label": "test",
        "digest": digest_of(text),
        "created_by": "root",
        "created_at": clock(),
        "expires_at": None,
    }
    return ApiKey(**(settings | changes))  # type: ignore[arg-type]


async def test_a_key_is_found_as_it_was_made(store: Store, clock: SettableClock):
    made = await store.api_keys.create(a_key(clock, expires_at=clock() + timedelta(days=1)))
    assert await store.api_keys.find(made.id) == made
    assert await store.api_keys.find("unknown") is None
    assert await store.api_keys.of(None) == [made]
    assert repr(made.digest) not in repr(made)


async def test_the_keys_of_a_workspace_are_apart(store: Store, vault: Vault, clock: SettableClock):
    finance = await a_workspace(store, vault)
    sales = await a_workspace(store, vault, "sales")
    mine = await store.api_keys.create(a_key(clock, finance.id))
    platform = await store.api_keys.create(a_key(clock))
    assert await store.api_keys.of(finance.id) == [mine]
    assert await store.api_keys.of(sales.id) == []
    assert await store.api_keys.of(None) == [platform]
    for elsewhere in (sales.id, None):
        with pytest.raises(NotFound):
            await store.api_keys.revoke(elsewhere, mine.id)
    with pytest.raises(NotFound):
        await store.api_keys.revoke(finance.id, platform.id)
    ended = await store.api_keys.revoke(finance.id, mine.id)
    assert ended.state(clock()) == "revoked"
    clock.advance(hours=1)
    assert await store.api_keys.revoke(finance.id, mine.id) == ended


async def test_the_keys_of_a_workspace_go_with_it(store: Store, vault: Vault, clock: SettableClock):
    finance = await a_workspace(store, vault)
    mine = await store.api_keys.create(a_key(clock, finance.id))
    await store.calls.claim(mine.id, "a-call-1", b"f")
    await store.delete_workspace(finance)
    assert await store.api_keys.find(mine.id) is None
    with pytest.raises(NotFound):
        await store.api_keys.create(a_key(clock, finance.id))


async def test_a_role_has_its_reach(store: Store, vault: Vault, clock: SettableClock):
    finance = await a_workspace(store, vault)
    for wrong in (
        a_key(clock, finance.id, role=ApiRole.OWNER),
        a_key(clock, role=ApiRole.WORKSPACE_ADMIN),
        a_key(clock, label=""),
        a_key(clock, expires_at=clock()),
    ):
        with pytest.raises(InvalidSetting):
            await store.api_keys.create(wrong)


async def test_the_database_itself_refuses_a_role_without_its_reach(
    url: str, store: Store, clock: SettableClock
):
    made = await store.api_keys.create(a_key(clock))
    with pytest.raises(Exception, match="api_keys_reach"):
        await run_sql(url, f"UPDATE api_keys SET role = 'workspace-admin' WHERE id = '{made.id}'")


async def test_live_keys_are_bounded_and_ended_ones_make_room(
    store: Store, vault: Vault, clock: SettableClock
):
    finance = await a_workspace(store, vault)
    first = await store.api_keys.create(a_key(clock, finance.id))
    for _ in range(api_keys.LIVE_LIMIT - 1):
        await store.api_keys.create(a_key(clock, finance.id))
    with pytest.raises(LimitReached):
        await store.api_keys.create(a_key(clock, finance.id))
    await store.api_keys.revoke(finance.id, first.id)
    await store.api_keys.create(a_key(clock, finance.id))


async def test_a_call_is_claimed_once(store: Store, clock: SettableClock):
    key = await store.api_keys.create(a_key(clock))
    other = await store.api_keys.create(a_key(clock))
    calls = store.calls
    assert await calls.claim(key.id, "name-one", b"f") is None
    pending = await calls.claim(key.id, "name-one", b"g")
    assert pending is not None
    assert (pending.fingerprint, pending.status) == (b"f", None)
    assert await calls.claim(other.id, "name-one", b"f") is None
    await calls.finish(key.id, "name-one", 201, "{}")
    done = await calls.claim(key.id, "name-one", b"f")
    assert done is not None
    assert (done.status, done.answer) == (201, "{}")
    await calls.forget(key.id, "name-one")
    assert await calls.claim(key.id, "name-one", b"g") is None
    clock.advance(hours=25)
    assert await calls.claim(key.id, "name-one", b"h") is None
