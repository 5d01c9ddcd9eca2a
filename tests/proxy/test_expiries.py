"""When things end, as the metrics tell it: over a real store, and of a running proxy."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from proxy.expiries import WeakTlsWatch
from proxy.store import (
    Change,
    ChangeKind,
    SealedCredential,
    StoreUnavailable,
    TlsSettings,
    draft_source,
    seal_credential,
)
from tests.servers.certificates import Certificates
from tests.servers.fixtures import ProxyFactory
from tests.servers.postgres import PostgresServer
from tests.servers.waiting import wait_until
from tests.store.stores import a_workspace, make_vault, new_url, opened
from vault import Secret

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=40)


def weak_until(ends: datetime, certificates: Certificates) -> TlsSettings:
    return TlsSettings(
        profile="compat",
        ca_pem=certificates.ca.read_text(),
        owner="Dana Example",
        reason="an old appliance",
        expires_at=ends,
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_the_store_knows_the_first_end_of_all_sources(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, certificates: Certificates
):
    vault = make_vault(tmp_path)
    async with opened(new_url(kind, request, tmp_path)) as store:
        assert await store.first_weak_tls_end() is None
        ends = {
            "strong": TlsSettings(),
            "later": weak_until(SOON + timedelta(days=1), certificates),
            "first": weak_until(SOON, certificates),
        }
        for name in ("finance", "other"):
            workspace = await a_workspace(store, vault, name)
            for source, tls in ends.items():
                draft = draft_source(
                    workspace,
                    source,
                    engine="postgresql",
                    host="db.example",
                    port=5432,
                    database="d",
                    username="app",
                    tls=tls,
                )
                sealed = seal_credential(vault, workspace, draft, Secret(b"secret"))
                await store.add_source(draft, SealedCredential(sealed))
        assert await store.first_weak_tls_end() == SOON
        await store.remove_source(await store.source(workspace, "first"))
        assert await store.first_weak_tls_end() == SOON
        await store.remove_source(await store.source(await store.workspace("finance"), "first"))
        assert await store.first_weak_tls_end() == SOON + timedelta(days=1)


class AskedStore:
    """A store that answers what it is told to, and counts."""

    def __init__(self) -> None:
        self.answer: datetime | None = SOON
        self.is_down = False
        self.asked = 0
        self.told: list[datetime | None] = []
        self._has_asked = asyncio.Event()

    async def ask(self) -> datetime | None:
        self.asked += 1
        self._has_asked.set()
        if self.is_down:
            raise StoreUnavailable("the store cannot be reached")
        return self.answer

    async def next_question(self) -> None:
        self._has_asked.clear()
        async with asyncio.timeout(20):
            await self._has_asked.wait()


def changed(kind: ChangeKind) -> Change:
    return Change(kind)


async def test_it_asks_again_when_a_source_has_changed_and_keeps_what_it_knows():
    store = AskedStore()
    watch = WeakTlsWatch(store.ask, store.told.append, at_least=0.0)
    watch.start()
    await store.next_question()
    watch.changed(changed(ChangeKind.TOKEN))
    store.is_down = True
    watch.changed(changed(ChangeKind.SOURCE))
    await store.next_question()
    store.is_down = False
    store.answer = None
    watch.changed(changed(ChangeKind.EVERYTHING))
    await store.next_question()
    await watch.stop()
    assert store.told == [SOON, None]
    # A token is no source.
    assert store.asked == 3


async def test_many_changes_are_one_question_and_none_is_one_too():
    store = AskedStore()
    watch = WeakTlsWatch(store.ask, store.told.append, at_least=3600.0)
    watch.start()
    await store.next_question()
    for _ in range(100):
        watch.changed(changed(ChangeKind.SOURCE))
        await asyncio.sleep(0)
    await watch.stop()
    assert store.asked == 1
    unchanged = WeakTlsWatch(store.ask, store.told.append, at_least=0.0, at_most=0.001)
    unchanged.start()
    await store.next_question()
    await store.next_question()
    await unchanged.stop()


def test_a_running_proxy_tells_its_certificate_its_weak_profile_and_its_disk(
    start_proxy: ProxyFactory, postgres: PostgresServer, certificates: Certificates
):
    proxy = start_proxy(workers={"count": 2})
    samples = proxy.metrics()
    leaf = x509.load_pem_x509_certificate(proxy.certificates.certificate("server").read_bytes())
    name = "listener_certificate_expiry_timestamp_seconds{protocol=postgres}"
    assert samples[name] == leaf.not_valid_after_utc.timestamp()
    assert 0 < samples["audit_disk_free_bytes"] < samples["audit_disk_size_bytes"]
    assert "weak_tls_expiry_timestamp_seconds" not in samples
    proxy.create_workspace("finance")
    proxy.add_source("finance", "old", postgres, tls=weak_until(SOON, certificates))
    # What it has missed since its last question it would ask in half a minute: start anew.
    proxy.restart()
    wait_until(
        lambda: proxy.metrics().get("weak_tls_expiry_timestamp_seconds") == SOON.timestamp(),
        what="the end of the weak profile to be told",
    )
