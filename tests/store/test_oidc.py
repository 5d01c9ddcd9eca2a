"""Identity providers, logins under way and sessions, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from proxy.store import (
    ApiKey,
    ApiRole,
    Conflict,
    IdentityProvider,
    NotFound,
    PendingLogin,
    Store,
    Workspace,
    new_id,
)
from proxy.store.api_keys import digest_of, new_session_token, parse_api_key
from proxy.store.identity import LOGIN_LIFETIME
from proxy.store.queries.oidc import PENDING_OF_NETWORK, SESSIONS_OF_SUBJECT
from proxy.store.records import SESSION_IDLE, SealedField
from tests.store.stores import SettableClock, a_workspace
from vault import SealedRecord, Vault

HOUR = timedelta(hours=1)
# Of nothing, but under a root key that is there.
SEALED = SealedRecord("0" * 16, 1, 1, bytes(16), bytes(12), bytes(32), bytes(16)).to_bytes()


def a_provider(workspace: Workspace, clock: SettableClock, **changes: Any) -> IdentityProvider:
    settings: dict[str, Any] = {
        "id": new_id(),
        "workspace_id": workspace.id,
        "issuer": "https://idp.example",
        "client_id": "accode",
        "secret": SealedField(1, SEALED),
        "secret_highest": 1,
        "redirect_uris": ("https://console.example/back", "http://localhost/back"),
        "scopes": ("openid",),
        "claim": "groups",
        "allowed": ("admins", "owners"),
        "session_minutes": 60,
        "set_by": "root",
        "set_at": clock(),
    }
    return IdentityProvider(**(settings | changes))


def a_login(provider: IdentityProvider, clock: SettableClock, **changes: Any) -> PendingLogin:
    settings: dict[str, Any] = {
        "digest": new_id().encode(),
        "provider_id": provider.id,
        "provider_version": provider.version,
        "redirect_uri": "https://console.example/back",
        "network": "192.0.2.7",
        "begun_at": clock(),
    }
    return PendingLogin(**(settings | changes))


def a_session(provider: IdentityProvider, clock: SettableClock, subject: str = "1") -> ApiKey:
    text = new_session_token()
    return ApiKey(
        id=parse_api_key(text),
        workspace_id=provider.workspace_id,
        role=ApiRole.WORKSPACE_ADMIN,
        label="ada@example.com",
        digest=digest_of(text),
        created_by="root",
        created_at=clock(),
        expires_at=None,
        address="192.0.2.7",
        provider_id=provider.id,
        subject=subject,
    )


async def put(store: Store, workspace: Workspace, clock: SettableClock) -> IdentityProvider:
    return await store.oidc.put(a_provider(workspace, clock), None)


async def opened(store: Store, provider: IdentityProvider, clock: SettableClock) -> ApiKey:
    session = a_session(provider, clock)
    made = await store.oidc.open_session(a_login(provider, clock), session, HOUR)
    assert made is not None
    return made


async def test_a_provider_is_read_as_it_was_put(store: Store, vault: Vault, clock: SettableClock):
    workspace = await a_workspace(store, vault)
    assert await store.oidc.of_workspace(workspace.id) is None
    made = await put(store, workspace, clock)
    assert await store.oidc.of_workspace(workspace.id) == made
    edited = replace(made, issuer="https://other.example", allowed=("x",), secret_highest=2)
    changed = await store.oidc.put(edited, made)
    assert changed == replace(edited, version=2)
    assert await store.oidc.of_workspace(workspace.id) == changed


async def test_who_has_read_an_older_one_is_told(store: Store, vault: Vault, clock: SettableClock):
    workspace = await a_workspace(store, vault)
    first = await put(store, workspace, clock)
    with pytest.raises(Conflict):
        await put(store, workspace, clock)
    second = await store.oidc.put(first, first)
    with pytest.raises(Conflict):
        await store.oidc.put(first, first)
    with pytest.raises(Conflict):
        await store.oidc.remove(first)
    await store.oidc.remove(second)
    with pytest.raises(Conflict):
        await store.oidc.put(second, second)
    await store.delete_workspace(workspace)
    with pytest.raises(NotFound):
        await put(store, workspace, clock)


async def test_a_login_is_spent_by_one(store: Store, vault: Vault, clock: SettableClock):
    provider = await put(store, await a_workspace(store, vault), clock)
    login = a_login(provider, clock)
    assert await store.oidc.begin(login, provider)
    found = await asyncio.gather(*(store.oidc.spend(login.digest) for _ in range(4)))
    assert sorted(found, key=bool) == [None, None, None, (login, provider)]
    assert await store.oidc.spend(b"unknown") is None


async def test_logins_under_way_are_bounded(store: Store, vault: Vault, clock: SettableClock):
    provider = await put(store, await a_workspace(store, vault), clock)
    other = a_login(provider, clock, network="198.51.100.1")
    assert await store.oidc.begin(other, provider)
    logins = []
    for _ in range(PENDING_OF_NETWORK + 2):
        clock.advance(seconds=1)
        logins.append(a_login(provider, clock))
        assert await store.oidc.begin(logins[-1], provider)
    # Its own oldest are gone, and nobody else's.
    left = [await store.oidc.spend(one.digest) is not None for one in logins]
    assert left == [False, False, *[True] * PENDING_OF_NETWORK]
    assert await store.oidc.spend(other.digest) is not None


async def test_what_waits_too_long_is_forgotten(store: Store, vault: Vault, clock: SettableClock):
    provider = await put(store, await a_workspace(store, vault), clock)
    old = a_login(provider, clock)
    assert await store.oidc.begin(old, provider)
    assert not old.is_over(clock())
    clock.advance(seconds=LOGIN_LIFETIME.total_seconds())
    assert old.is_over(clock())
    assert await store.oidc.begin(a_login(provider, clock), provider)
    assert await store.oidc.spend(old.digest) is None


async def test_with_a_changed_provider_nothing_begins(
    store: Store, vault: Vault, clock: SettableClock
):
    workspace = await a_workspace(store, vault)
    first = await put(store, workspace, clock)
    login = a_login(first, clock)
    second = await store.oidc.put(first, first)
    assert not await store.oidc.begin(login, first)
    assert await store.oidc.open_session(login, a_session(first, clock), HOUR) is None
    await store.suspend_workspace(workspace)
    login = a_login(second, clock)
    assert not await store.oidc.begin(login, second)
    assert await store.oidc.open_session(login, a_session(second, clock), HOUR) is None
    await store.oidc.remove(second)
    assert not await store.oidc.begin(login, second)
    await store.delete_workspace(workspace)
    assert not await store.oidc.begin(login, second)


async def test_a_session_is_a_key_that_ends(store: Store, vault: Vault, clock: SettableClock):
    workspace = await a_workspace(store, vault)
    made = await opened(store, await put(store, workspace, clock), clock)
    assert await store.api_keys.find(made.id) == made
    assert made.expires_at == clock() + HOUR
    assert await store.oidc.sessions(workspace.id) == [made]
    # Nobody's to list or to revoke as a key.
    assert await store.api_keys.of(workspace.id) == []
    with pytest.raises(NotFound):
        await store.api_keys.revoke(workspace.id, made.id)
    clock.advance(seconds=SESSION_IDLE.total_seconds())
    assert made.state(clock()) == "expired"
    ended = await store.oidc.end_session(workspace.id, made.id)
    assert (ended.state(clock()), ended.revoked_at) == ("revoked", clock())
    other = await a_workspace(store, vault, "sales")
    for workspace_id, session_id in ((other.id, made.id), (workspace.id, "unknown")):
        with pytest.raises(NotFound):
            await store.oidc.end_session(workspace_id, session_id)


async def test_a_person_has_only_so_many_sessions(store: Store, vault: Vault, clock: SettableClock):
    workspace = await a_workspace(store, vault)
    provider = await put(store, workspace, clock)
    login = a_login(provider, clock)
    other = a_session(provider, clock, "2")
    assert await store.oidc.open_session(login, other, HOUR)
    made = []
    for _ in range(SESSIONS_OF_SUBJECT + 2):
        clock.advance(seconds=1)
        made.append(await opened(store, provider, clock))
    left = {one.id for one in await store.oidc.sessions(workspace.id)}
    assert left == {other.id, *(one.id for one in made[2:])}


@pytest.mark.parametrize("what", ["put", "remove", "suspend", "delete"])
async def test_what_takes_the_provider_away_ends_what_it_began(
    store: Store, vault: Vault, clock: SettableClock, what: str
):
    workspace = await a_workspace(store, vault)
    other = await a_workspace(store, vault, "sales")
    provider = await put(store, workspace, clock)
    login, made = a_login(provider, clock), await opened(store, provider, clock)
    elsewhere = await opened(store, await put(store, other, clock), clock)
    assert await store.oidc.begin(login, provider)
    assert await store.calls.claim(made.id, "a-call", b"x") is None
    if what == "put":
        await store.oidc.put(provider, provider)
    elif what == "remove":
        await store.oidc.remove(provider)
    elif what == "suspend":
        await store.suspend_workspace(workspace)
        await store.resume_workspace(workspace)
    else:
        await store.delete_workspace(workspace)
    found = await store.api_keys.find(made.id)
    assert found is None or found.state(clock()) == "revoked"
    assert await store.oidc.spend(login.digest) is None
    found = await store.api_keys.find(elsewhere.id)
    assert found is not None
    assert found.state(clock()) == "live"
