import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.store import Change, ChangeFeed, ChangeKind, SealedCredential, Store, draft_source
from proxy.store import seal_credential as seal
from proxy.store.feed import (
    BATCH,
    CHANNEL,
    EVERYTHING,
    QUEUE_LIMIT,
    PostgresqlFeed,
    decode,
    encode,
)
from proxy.store.location import PostgresqlLocation
from proxy.store.queries import changes
from tests.faults.relay import LOSE_END, Relay, Way
from tests.servers.postgres import PostgresServer
from tests.servers.waiting import eventually
from tests.store.stores import a_token, a_workspace, new_postgresql_url, opened, run_sql
from vault import Secret, Vault


@asynccontextmanager
async def watching(store: Store) -> AsyncIterator[ChangeFeed]:
    """A feed that has begun: what changes from now on is told."""
    feed = store.watch()
    try:
        assert await coming(feed) == EVERYTHING
        yield feed
    finally:
        await feed.aclose()


async def coming(feed: ChangeFeed) -> Change:
    async with asyncio.timeout(40):
        return await anext(feed)


async def told(feed: ChangeFeed) -> Change:
    """The next one that says what was changed.

    EVERYTHING is left out: where a machine stands still for a second, a feed says so at any time.
    """
    while (change := await coming(feed)) == EVERYTHING:
        pass
    return change


async def test_every_kind_of_change_is_told_in_order(url: str, store: Store, vault: Vault):
    async with opened(url) as elsewhere, watching(elsewhere) as feed:
        workspace = await a_workspace(store, vault)
        token = await a_token(store, workspace)
        draft = draft_source(
            workspace,
            "orders",
            engine="postgresql",
            host="db.example",
            port=5432,
            database="orders",
            username="app",
        )
        secret = Secret(b"secret")
        source = await store.add_source(
            draft, SealedCredential(password=seal(vault, workspace, draft, secret))
        )
        await store.rotate_credential(
            source, SealedCredential(password=seal(vault, workspace, source, secret))
        )
        await store.edit_source(replace(source, database="sales"))
        await store.remove_source(source)
        await store.revoke_token(workspace, token.id)
        await store.suspend_workspace(workspace)
        await store.resume_workspace(workspace)
        await store.replace_root_key(workspace.root_key, vault.rewrap(workspace.root_key))
        await store.delete_workspace(workspace)
        expected = [
            (ChangeKind.WORKSPACE, workspace.id),
            (ChangeKind.TOKEN, token.id),
            (ChangeKind.SOURCE, source.id),
            (ChangeKind.CREDENTIAL, source.id),
            (ChangeKind.SOURCE, source.id),
            (ChangeKind.SOURCE, source.id),
            (ChangeKind.TOKEN, token.id),
            (ChangeKind.WORKSPACE, workspace.id),
            (ChangeKind.WORKSPACE, workspace.id),
            (ChangeKind.ROOT_KEY, workspace.id),
            (ChangeKind.WORKSPACE, workspace.id),
        ]
        for kind, object_id in expected:
            assert await told(feed) == Change(kind, workspace.id, object_id)


async def test_a_change_that_was_not_made_is_not_told(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    async with watching(store) as feed:
        with pytest.raises(Exception, match="already exists"):
            await a_workspace(store, vault)
        await store.suspend_workspace(workspace)
        assert await told(feed) == Change(ChangeKind.WORKSPACE, workspace.id, workspace.id)


async def test_several_readers_are_told_the_same(store: Store, vault: Vault):
    async with watching(store) as one, watching(store) as two:
        workspace = await a_workspace(store, vault)
        expected = Change(ChangeKind.WORKSPACE, workspace.id, workspace.id)
        assert [await told(one), await told(two)] == [expected, expected]


async def test_confirmation_goes_on_while_nothing_changes_and_stops_with_its_reader(store: Store):
    feed = store.watch()
    assert feed.confirmed_at == -math.inf
    assert await coming(feed) == EVERYTHING
    # Handed out, but for all the feed knows not yet worked off.
    assert feed.confirmed_at == -math.inf
    reader = asyncio.ensure_future(anext(feed))
    try:
        await eventually(lambda: feed.confirmed_at > -math.inf)
        first = feed.confirmed_at
        await eventually(lambda: feed.confirmed_at > first)
    finally:
        reader.cancel()
        await asyncio.wait([reader])
        await feed.aclose()


async def test_a_reader_left_far_behind_starts_over(vault: Vault, tmp_path: Path):
    url = f"sqlite:///{tmp_path}/store.db"
    async with opened(url) as store:
        workspace = await a_workspace(store, vault)
        async with watching(store) as feed:
            await run_sql(
                url,
                "INSERT INTO changes (kind, workspace_id, object_id, at) WITH RECURSIVE n(i) AS"
                f" (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {BATCH})"
                " SELECT 'token', 'w', i, 0 FROM n",
            )
            assert await coming(feed) == EVERYTHING
            await store.suspend_workspace(workspace)
            assert (await told(feed)).kind is ChangeKind.WORKSPACE


async def test_notifications_that_wait_are_bounded():
    feed = PostgresqlFeed(PostgresqlLocation("postgresql://nowhere.invalid/store"), 1)
    change = Change(ChangeKind.TOKEN, "w", "t")
    for seq in range(QUEUE_LIMIT + 1):
        feed._on_notification(None, 0, CHANNEL, encode(seq + 1, change))
    assert await coming(feed) == EVERYTHING
    feed._on_notification(None, 0, CHANNEL, encode(QUEUE_LIMIT + 2, change))
    assert await coming(feed) == change


async def test_trimmed_changes_are_noticed(vault: Vault, tmp_path: Path):
    url = f"sqlite:///{tmp_path}/store.db"
    async with opened(url) as store:
        workspace = await a_workspace(store, vault)
        async with watching(store) as feed:
            await run_sql(
                url,
                "INSERT INTO changes (seq, kind, workspace_id, object_id, at)"
                " VALUES (100, 'token', 'w', 't', 0)",
            )
            assert await coming(feed) == EVERYTHING
            await store.suspend_workspace(workspace)
            assert (await told(feed)).kind is ChangeKind.WORKSPACE


async def test_old_changes_are_trimmed(store: Store, vault: Vault, url: str):
    workspace = await a_workspace(store, vault)
    next_one = 2 * changes.KEPT
    if url.startswith("sqlite"):
        await run_sql(url, f"UPDATE sqlite_sequence SET seq = {next_one - 1}")
    else:
        await run_sql(url, f"SELECT setval('changes_seq_seq', {next_one - 1})")
    await store.suspend_workspace(workspace)
    assert await run_sql(url, "SELECT seq FROM changes") == [(next_one,)]


async def test_a_restarted_postgresql_is_followed_again_from_the_start(
    own_postgres: PostgresServer, vault: Vault
):
    async with opened(new_postgresql_url(own_postgres)) as store:
        workspace = await a_workspace(store, vault)
        async with watching(store) as feed:
            own_postgres.kill()
            reader = asyncio.ensure_future(coming(feed))
            own_postgres.start()
            assert await reader == EVERYTHING
            await store.suspend_workspace(workspace)
            assert await told(feed) == Change(ChangeKind.WORKSPACE, workspace.id, workspace.id)


async def test_a_frozen_postgresql_is_not_confirmed_and_followed_again(
    own_postgres: PostgresServer, vault: Vault
):
    async with opened(new_postgresql_url(own_postgres)) as store, watching(store) as feed:
        reader = asyncio.ensure_future(anext(feed))
        await eventually(lambda: feed.confirmed_at > -math.inf)
        own_postgres.freeze()
        try:
            loop = asyncio.get_running_loop()
            await eventually(lambda: loop.time() - feed.confirmed_at > 1.5)
        finally:
            own_postgres.thaw()
        async with asyncio.timeout(40):
            assert await reader == EVERYTHING


async def test_a_server_that_says_goodbye_and_stays_connected_is_followed_again(
    postgres: PostgresServer, vault: Vault
):
    # asyncpg takes a fatal error for the first half of a lost connection, and until it has heard
    # of the second answers every query with an InternalClientError.
    url = new_postgresql_url(postgres)
    async with opened(url) as store:
        workspace = await a_workspace(store, vault)
        with Relay(postgres.port) as relay:
            through = url.replace(f":{postgres.port}/", f":{relay.port}/")
            # In the clear: TLS says goodbye in words of its own, which are bytes as others.
            async with opened(through) as lost, watching(lost) as feed:
                relay.fail(LOSE_END, Way.DOWN)
                await _end_listeners(url)
                assert await coming(feed) == EVERYTHING
                await store.suspend_workspace(workspace)
                assert await told(feed) == Change(ChangeKind.WORKSPACE, workspace.id, workspace.id)
                relay.heal()


async def _end_listeners(url: str) -> None:
    """End the sessions that ask a database whether all its changes were heard."""
    await run_sql(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND query LIKE '%max(seq)%'",
    )


async def test_changes_that_are_not_notified_are_noticed(postgres: PostgresServer, vault: Vault):
    url = new_postgresql_url(postgres)
    async with opened(url) as store:
        workspace = await a_workspace(store, vault)
        async with watching(store) as feed:
            await run_sql(
                url,
                "INSERT INTO changes (kind, workspace_id, object_id, at)"
                " VALUES ('token', 'w', 't', 0)",
            )
            assert await coming(feed) == EVERYTHING
            await store.suspend_workspace(workspace)
            assert (await told(feed)).kind is ChangeKind.WORKSPACE


async def test_a_burst_of_notifications_is_told_whole(postgres: PostgresServer, vault: Vault):
    async with opened(new_postgresql_url(postgres)) as store:
        workspace = await a_workspace(store, vault)
        async with watching(store) as feed:
            tokens = await asyncio.gather(*(a_token(store, workspace) for _ in range(50)))
            heard = {(await told(feed)).object_id for _ in tokens}
            assert heard == {token.id for token in tokens}


async def test_after_a_gap_everything_is_told_before_it_is_confirmed(vault: Vault, tmp_path: Path):
    path = tmp_path / "store.db"
    async with opened(f"sqlite:///{path}") as store:
        workspace = await a_workspace(store, vault)
        async with watching(store) as feed:
            reader = asyncio.ensure_future(anext(feed))
            await eventually(lambda: feed.confirmed_at > -math.inf)
            with closing(sqlite3.connect(path)) as other:
                other.execute("ALTER TABLE changes RENAME TO hidden")
                loop = asyncio.get_running_loop()
                await eventually(lambda: loop.time() - feed.confirmed_at > 1.2)
                before = feed.confirmed_at
                other.execute("ALTER TABLE hidden RENAME TO changes")
            async with asyncio.timeout(40):
                assert await reader == EVERYTHING
            assert feed.confirmed_at == before
            await store.suspend_workspace(workspace)
            assert (await told(feed)).kind is ChangeKind.WORKSPACE
            assert feed.confirmed_at > before


def test_a_payload_is_read_as_it_was_written():
    change = Change(ChangeKind.TOKEN, "w", "t")
    assert decode(encode(7, change)) == (7, change)


@pytest.mark.parametrize("payload", ["", "{}", "[]", "null", '[1, "war", "w", "t"]', "[1, 2, 3]"])
def test_a_payload_that_is_not_understood_is_everything(payload: str):
    assert decode(payload) == (0, EVERYTHING)
