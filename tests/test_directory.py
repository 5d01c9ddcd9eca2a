import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from protocols.verifiers import TokenVerifiers
from proxy.directory import Directory, WorkspaceEntry, fake_verifiers
from proxy.store import (
    Change,
    ChangeFeed,
    ChangeKind,
    LoginRecord,
    SealedCredential,
    Source,
    Store,
    StoreUnavailable,
    Workspace,
    draft_source,
    new_id,
    seal_credential,
)
from tests.servers.postgres import PostgresServer
from tests.servers.waiting import eventually
from tests.store.stores import (
    KINDS,
    SettableClock,
    a_token,
    a_workspace,
    make_vault,
    new_postgresql_url,
    new_url,
    opened,
    sql,
)
from vault import Secret, Vault

KEY = b"the key of fake salts, 32 bytes."


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make_vault(tmp_path)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_url(request.param, request, tmp_path)


@pytest.fixture
async def store(url: str, clock: SettableClock) -> AsyncIterator[Store]:
    async with opened(url, clock=clock) as store:
        yield store


@pytest.fixture
async def elsewhere(url: str, clock: SettableClock) -> AsyncIterator[Store]:
    """The same store, opened by another process as it were."""
    async with opened(url, clock=clock) as store:
        yield store


@asynccontextmanager
async def started(store: Store, **options: Any) -> AsyncIterator[Directory]:
    directory = Directory(store, **options)
    await directory.start()
    try:
        yield directory
    finally:
        await directory.stop()


@pytest.fixture
async def directory(store: Store, clock: SettableClock) -> AsyncIterator[Directory]:
    async with started(store, clock=clock) as directory:
        yield directory


class Listener:
    """Remembers the changes a directory told, and waits until it has told all so far."""

    def __init__(self, directory: Directory) -> None:
        self.changes: list[Change] = []
        directory.on_change(self.changes.append)

    async def catch_up(self, store: Store, vault: Vault) -> None:
        """Changes are told in order: once a new one is told, so are all before it."""
        last = await a_workspace(store, vault, f"last-{new_id()}")
        await eventually(lambda: any(change.object_id == last.id for change in self.changes))

    def count(self, kind: ChangeKind) -> int:
        return [change.kind for change in self.changes].count(kind)


async def add_source(store: Store, vault: Vault, workspace: Workspace) -> Source:
    draft = draft_source(
        workspace,
        "orders",
        engine="postgresql",
        host="db.example",
        port=5432,
        database="orders",
        username="app",
    )
    sealed = seal_credential(vault, workspace, draft, Secret(b"secret"))
    return await store.add_source(draft, SealedCredential(password=sealed))


# --- what a login finds ----------------------------------------------------------------


async def test_a_login_finds_its_workspace_with_its_live_tokens(
    store: Store, directory: Directory, vault: Vault
):
    workspace = await a_workspace(store, vault)
    token = await a_token(store, workspace)
    entry = await directory.workspace("finance")
    assert entry is not None
    assert entry.workspace == workspace
    assert entry.root_key == workspace.root_key
    assert entry.tokens == {token.id: token}
    assert entry.verifiers == TokenVerifiers(
        workspace.scram_salt, workspace.scram_iterations, (token.verifier,)
    )


async def test_a_workspace_without_tokens_has_one_verifier_that_fits_none(
    store: Store, directory: Directory, vault: Vault
):
    await a_workspace(store, vault)
    entry = await directory.workspace("finance")
    assert entry is not None
    assert entry.tokens == {}
    [verifier] = entry.verifiers.entries
    assert verifier.token_id == ""


async def test_a_login_finds_its_source(store: Store, directory: Directory, vault: Vault):
    workspace = await a_workspace(store, vault)
    source = await add_source(store, vault, workspace)
    assert await directory.source(workspace.id, "orders") == source


async def test_a_source_of_another_workspace_is_not_found(
    store: Store, directory: Directory, vault: Vault
):
    mine, theirs = await a_workspace(store, vault, "a"), await a_workspace(store, vault, "b")
    await add_source(store, vault, theirs)
    assert await directory.source(mine.id, "orders") is None


@pytest.mark.parametrize("name", ["nobody", "", "NOBODY", "a b", "x" * 10_000, "\ud800", "%00"])
async def test_an_unknown_or_impossible_name_finds_nothing(directory: Directory, name: str):
    assert await directory.workspace(name) is None
    assert await directory.source("0" * 32, name) is None


async def test_the_second_answer_is_the_first_one(store: Store, directory: Directory, vault: Vault):
    listener = Listener(directory)
    workspace = await a_workspace(store, vault)
    await add_source(store, vault, workspace)
    await listener.catch_up(store, vault)
    entry = await directory.workspace("finance")
    source = await directory.source(workspace.id, "orders")
    assert entry is not None
    assert await directory.workspace("finance") is entry
    assert await directory.source(workspace.id, "orders") is source


# --- changes ---------------------------------------------------------------------------


async def test_a_revoked_token_is_gone_before_listeners_are_told(
    elsewhere: Store, directory: Directory, vault: Vault
):
    workspace = await a_workspace(elsewhere, vault)
    token = await a_token(elsewhere, workspace)
    entry = await directory.workspace("finance")
    assert entry is not None
    assert token.id in entry.tokens
    seen: list[asyncio.Task[WorkspaceEntry | None]] = []

    def look(change: Change) -> None:
        if change == Change(ChangeKind.TOKEN, workspace.id, token.id):
            seen.append(asyncio.ensure_future(directory.workspace("finance")))

    directory.on_change(look)
    listener = Listener(directory)
    await elsewhere.revoke_token(workspace, token.id)
    await listener.catch_up(elsewhere, vault)
    latest = await seen[-1]
    assert latest is not None
    assert latest.tokens == {}
    await asyncio.gather(*seen)


async def test_suspension_reaches_a_cached_workspace(
    elsewhere: Store, directory: Directory, vault: Vault
):
    workspace = await a_workspace(elsewhere, vault)
    listener = Listener(directory)
    await directory.workspace("finance")
    await elsewhere.suspend_workspace(workspace)
    await listener.catch_up(elsewhere, vault)
    entry = await directory.workspace("finance")
    assert entry is not None
    assert not entry.workspace.is_active


async def test_a_rotated_credential_reaches_a_cached_source(
    elsewhere: Store, directory: Directory, vault: Vault
):
    workspace = await a_workspace(elsewhere, vault)
    source = await add_source(elsewhere, vault, workspace)
    listener = Listener(directory)
    await directory.source(workspace.id, "orders")
    sealed = seal_credential(vault, workspace, source, Secret(b"newer"))
    rotated = await elsewhere.rotate_credential(source, SealedCredential(password=sealed))
    await listener.catch_up(elsewhere, vault)
    assert await directory.source(workspace.id, "orders") == rotated


async def test_a_name_that_was_unknown_is_found_once_it_exists(
    elsewhere: Store, directory: Directory, vault: Vault
):
    assert await directory.workspace("finance") is None
    listener = Listener(directory)
    workspace = await a_workspace(elsewhere, vault)
    await listener.catch_up(elsewhere, vault)
    entry = await directory.workspace("finance")
    assert entry is not None
    assert entry.workspace == workspace


async def test_a_deleted_workspace_is_gone_with_its_sources(
    elsewhere: Store, directory: Directory, vault: Vault
):
    workspace = await a_workspace(elsewhere, vault)
    await add_source(elsewhere, vault, workspace)
    listener = Listener(directory)
    await listener.catch_up(elsewhere, vault)
    await directory.workspace("finance")
    await directory.source(workspace.id, "orders")
    await elsewhere.delete_workspace(workspace)
    await listener.catch_up(elsewhere, vault)
    assert await directory.workspace("finance") is None
    assert await directory.source(workspace.id, "orders") is None


async def test_a_token_that_expires_leaves_without_a_change(
    store: Store, directory: Directory, vault: Vault, clock: SettableClock
):
    workspace = await a_workspace(store, vault)
    lasting = await a_token(store, workspace)
    await a_token(store, workspace, expires_at=clock.now + timedelta(minutes=5))
    entry = await directory.workspace("finance")
    assert entry is not None
    assert len(entry.tokens) == 2
    clock.advance(minutes=5)
    entry = await directory.workspace("finance")
    assert entry is not None
    assert set(entry.tokens) == {lasting.id}


async def test_a_token_that_had_expired_by_a_clock_that_was_wrong_is_back(
    store: Store, directory: Directory, vault: Vault, clock: SettableClock
):
    workspace = await a_workspace(store, vault)
    short = await a_token(store, workspace, expires_at=clock.now + timedelta(minutes=5))
    clock.advance(hours=1)
    entry = await directory.workspace("finance")
    assert entry is not None
    assert entry.tokens == {}
    clock.advance(hours=-1)
    entry = await directory.workspace("finance")
    assert entry is not None
    assert set(entry.tokens) == {short.id}


async def test_a_listener_that_fails_stops_neither_the_others_nor_the_feed(
    elsewhere: Store, directory: Directory, vault: Vault
):
    listener = Listener(directory)
    await listener.catch_up(elsewhere, vault)
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def fail(change: Change) -> None:
        raise ValueError("a bug of this listener")

    directory.on_change(fail)
    later = Listener(directory)
    await later.catch_up(elsewhere, vault)
    await later.catch_up(elsewhere, vault)
    assert len(reported) == later.count(ChangeKind.WORKSPACE) == 2
    assert directory.is_current


class FailingFeed:
    """A feed with a bug: each of ``failures`` is raised once, before it goes on."""

    def __init__(self, feed: ChangeFeed, failures: list[Exception]) -> None:
        self._feed = feed
        self._failures = failures

    @property
    def confirmed_at(self) -> float:
        return self._feed.confirmed_at

    def __aiter__(self) -> AsyncIterator[Change]:
        return self

    async def __anext__(self) -> Change:
        if self._failures:
            raise self._failures.pop()
        return await anext(self._feed)

    async def confirmed(self) -> None:
        await self._feed.confirmed()

    async def aclose(self) -> None:
        await self._feed.aclose()


class StoreWithBug(Store):
    failures: list[Exception]

    def watch(self) -> ChangeFeed:
        return FailingFeed(super().watch(), self.failures)


async def test_a_bug_in_the_feed_is_reported_and_is_not_its_end(url: str, vault: Vault):
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    store = await StoreWithBug.open(url, timeout=40.0)
    assert isinstance(store, StoreWithBug)
    try:
        store.failures = [ValueError("a bug")]
        async with started(store, start_seconds=40.0) as directory:
            store.failures.append(ValueError("once more"))
            listener = Listener(directory)
            await listener.catch_up(store, vault)
            # Raised by the question after the change that was caught up with.
            await eventually(lambda: len(reported) == 2)
            told = monotonic()
            await eventually(lambda: monotonic() - directory.age > told)
        assert {str(context["exception"]) for context in reported} == {"a bug", "once more"}
    finally:
        await store.close()


# --- staying current ---------------------------------------------------------------------


async def test_a_directory_is_current_from_its_start_to_its_stop(store: Store, vault: Vault):
    await a_workspace(store, vault)
    directory = Directory(store)
    states = [directory.is_current]
    with pytest.raises(StoreUnavailable):
        await directory.workspace("finance")
    await directory.start()
    states.append(directory.is_current)
    assert directory.age < 1
    await directory.stop()
    states.append(directory.is_current)
    assert states == [False, True, False]
    with pytest.raises(StoreUnavailable):
        await directory.workspace("finance")


class SilentFeed:
    """A feed whose word is old while ``is_silent``; ``awaited`` is set by who waits for more."""

    def __init__(self, feed: ChangeFeed) -> None:
        self._feed = feed
        self.is_silent = False
        self.awaited = asyncio.Event()

    @property
    def confirmed_at(self) -> float:
        return 0.0 if self.is_silent else monotonic()

    def __aiter__(self) -> AsyncIterator[Change]:
        return self

    async def __anext__(self) -> Change:
        return await anext(self._feed)

    async def confirmed(self) -> None:
        self.awaited.set()
        await self._feed.confirmed()

    async def aclose(self) -> None:
        await self._feed.aclose()


class SilencedStore(Store):
    feed: SilentFeed
    is_silenced_by_looking = False

    def watch(self) -> ChangeFeed:
        self.feed = SilentFeed(super().watch())
        return self.feed

    async def find_login(self, name: str) -> LoginRecord | None:
        found = await super().find_login(name)
        if self.is_silenced_by_looking:
            self.is_silenced_by_looking = False
            self.feed.is_silent = True
        return found


@asynccontextmanager
async def silenced(url: str) -> AsyncIterator[tuple[SilencedStore, Directory]]:
    store = await SilencedStore.open(url, timeout=40.0)
    assert isinstance(store, SilencedStore)
    try:
        async with started(store, start_seconds=40.0) as directory:
            yield store, directory
    finally:
        await store.close()


async def test_a_login_waits_for_the_stores_next_word(url: str, vault: Vault):
    async with silenced(url) as (store, directory):
        workspace = await a_workspace(store, vault)
        store.feed.is_silent = True
        login = asyncio.ensure_future(directory.workspace("finance"))
        source = asyncio.ensure_future(directory.source(workspace.id, "unknown"))
        await store.feed.awaited.wait()
        assert not login.done()
        assert not source.done()
        store.feed.is_silent = False
        entry = await login
        assert entry is not None
        assert entry.workspace.id == workspace.id
        assert await source is None


async def test_an_answer_that_came_too_late_is_asked_for_again(url: str, vault: Vault):
    async with silenced(url) as (store, directory):
        await a_workspace(store, vault)
        store.is_silenced_by_looking = True
        asking = asyncio.ensure_future(directory.workspace("finance"))
        await store.feed.awaited.wait()
        store.feed.is_silent = False
        assert await asking is not None


async def test_a_stopped_directory_leaves_no_task(store: Store):
    before = asyncio.all_tasks()
    async with started(store) as directory:
        await directory.workspace("nobody")
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("failure", ["kill", "freeze"])
async def test_without_its_store_a_directory_refuses_what_it_has_cached_and_recovers(
    own_postgres: PostgresServer, vault: Vault, failure: str
):
    async with opened(new_postgresql_url(own_postgres), timeout=3) as store:
        workspace = await a_workspace(store, vault)
        token = await a_token(store, workspace)
        async with started(store) as directory:
            assert await directory.workspace("finance") is not None
            if failure == "kill":
                own_postgres.kill()
            else:
                own_postgres.freeze()
            await eventually(lambda: not directory.is_current)
            with pytest.raises(StoreUnavailable):
                await directory.workspace("finance")
            with pytest.raises(StoreUnavailable):
                await directory.source(workspace.id, "orders")
            if failure == "kill":
                own_postgres.start()
            else:
                own_postgres.thaw()
            await eventually(lambda: directory.is_current)
            entry = await directory.workspace("finance")
            assert entry is not None
            assert set(entry.tokens) == {token.id}


async def test_a_revocation_while_the_feed_was_away_is_seen_when_it_returns(
    own_postgres: PostgresServer, vault: Vault
):
    async with opened(new_postgresql_url(own_postgres)) as store:
        workspace = await a_workspace(store, vault)
        token = await a_token(store, workspace)
        async with started(store) as directory:
            listener = Listener(directory)
            await directory.workspace("finance")
            # Cuts every session, the feed's too; the store's next call reconnects at once.
            own_postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'accode-proxy store'"
            )
            await store.revoke_token(workspace, token.id)
            await eventually(lambda: listener.count(ChangeKind.EVERYTHING) >= 1)
            await eventually(lambda: directory.is_current)
            entry = await directory.workspace("finance")
            assert entry is not None
            assert entry.tokens == {}


async def test_a_store_whose_changes_cannot_be_followed_does_not_start(
    own_postgres: PostgresServer,
):
    async with opened(new_postgresql_url(own_postgres), timeout=3) as store:
        own_postgres.kill()
        directory = Directory(store, start_seconds=0.5)
        before = asyncio.all_tasks()
        with pytest.raises(StoreUnavailable, match="cannot be followed"):
            await directory.start()
        assert asyncio.all_tasks() == before


# --- last uses -----------------------------------------------------------------------------


async def test_uses_are_written_when_the_directory_stops(
    store: Store, vault: Vault, clock: SettableClock
):
    workspace = await a_workspace(store, vault)
    token = await a_token(store, workspace)
    async with started(store, clock=clock) as directory:
        directory.note_use(token.id)
        clock.advance(seconds=30)
        directory.note_use(token.id)
        [listed] = await store.list_tokens(workspace)
        assert listed.last_used_at is None
    [listed] = await store.list_tokens(workspace)
    assert listed.last_used_at == clock.now


async def test_uses_are_written_from_time_to_time(
    url: str, store: Store, vault: Vault, clock: SettableClock
):
    workspace = await a_workspace(store, vault)
    token = await a_token(store, workspace)

    async with started(store, clock=clock, use_interval=0.05) as directory:
        directory.note_use(token.id)
        await eventually(lambda: sql(url, "SELECT last_used_at FROM tokens") != [(None,)])


async def test_uses_wait_while_the_store_is_away(own_postgres: PostgresServer, vault: Vault):
    async with opened(new_postgresql_url(own_postgres), timeout=3) as store:
        workspace = await a_workspace(store, vault)
        token = await a_token(store, workspace)
        async with started(store, use_interval=0.05) as directory:
            own_postgres.kill()
            directory.note_use(token.id)
            await eventually(lambda: not directory.is_current)
            own_postgres.start()
            await eventually(lambda: directory.is_current)
        [listed] = await store.list_tokens(workspace)
        assert listed.last_used_at is not None


# --- unknown names -----------------------------------------------------------------------


def test_a_fake_is_the_same_each_time_and_another_for_each_name_and_key():
    fake = fake_verifiers("finance", KEY)
    assert fake == fake_verifiers("finance", KEY)
    assert fake.salt != fake_verifiers("finances", KEY).salt
    assert fake.salt != fake_verifiers("finance", KEY[::-1]).salt


def test_a_fake_looks_like_a_real_one():
    fake = fake_verifiers("finance", KEY)
    [verifier] = fake.entries
    assert not fake.is_real
    assert len(fake.salt) == 16
    assert fake.iterations == 4096
    assert verifier.token_id == ""
    assert len(verifier.stored_key) == len(verifier.server_key) == 32
    assert len(verifier.sha256_sha256) == 32
    assert len(verifier.sha1_sha1) == 20
    assert len({verifier.stored_key, verifier.server_key, verifier.sha256_sha256}) == 3


def test_any_text_has_a_fake():
    for name in ("", "ä", "\ud800", "x" * 100_000):
        assert len(fake_verifiers(name, KEY).salt) == 16
