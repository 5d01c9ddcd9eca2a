"""The store of several workers: replaced, killed, and back. That of one is in conformance."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

from protocols.errors import Reason
from proxy.store.feed import FRESH_SECONDS
from tests.conformance.office import Office
from tests.servers.postgres import PostgresServer
from tests.servers.roles import MD5
from tests.servers.waiting import wait_until
from tests.workers.conftest import ONE_PROTOCOL, WORKERS, OfficeFactory
from tests.workers.spread import (
    events,
    pids,
    seat_of,
    sessions_at_both,
    signal_worker,
    wait_for_workers,
)

pytestmark = ONE_PROTOCOL

# Twelve logins that all miss one of two workers: one run in four thousand.
MANY = 12


def nobody_is_let_in(office: Office, since: float) -> None:
    """By no worker, once each has gone for a second without its store's word.

    Not as soon as the proxy is not ready: that is the word of the first worker to notice.
    """
    wait_until(lambda: monotonic() - since > FRESH_SECONDS, what="the last confirmation to be old")
    # At once: each waits for the store a moment.
    with ThreadPoolExecutor(MANY) as clients:
        asking = [clients.submit(office.refusal) for _ in range(MANY)]
    assert {asked.result().code for asked in asking} == {office.code(Reason.STORE_UNAVAILABLE)}


def everybody_is_let_in(office: Office) -> None:
    """By every worker again. The readiness of the whole may be half a second old."""
    wait_until(
        lambda: all(office.can_log_in() for _ in range(MANY)),
        what="every worker to see the store again",
    )


def test_a_replaced_store_file_opens_no_session_at_any_worker(start_office: OfficeFactory):
    office = start_office()
    file = office.proxy.folder / "store.db"
    aside = file.with_name("aside.db")
    with sessions_at_both(office) as sessions:
        file.rename(aside)
        file.touch(mode=0o600)
        nobody_is_let_in(office, monotonic())
        assert [one.value("SELECT 'goes on'") for one in sessions] == ["goes on"] * WORKERS
        file.unlink()
        aside.rename(file)
        everybody_is_let_in(office)


def test_a_killed_store_costs_new_sessions_until_it_is_back_and_a_dead_worker_waits_for_it(
    start_office: OfficeFactory, own_postgres: PostgresServer
):
    office = start_office(store={"url": own_postgres.url(MD5)})
    with sessions_at_both(office) as (first, second):
        own_postgres.kill()
        nobody_is_let_in(office, monotonic())
        assert first.value("SELECT 'goes on'") == "goes on"
        # Nobody can be started without the store; who has sessions keeps them.
        seat = seat_of(second)
        dead = pids(office.proxy)[seat]
        signal_worker(office.proxy, seat, signal.SIGKILL)
        wait_until(lambda: bool(events(office.proxy, "worker died")), what="the worker to die")
        assert first.value("SELECT 'goes on alone'") == "goes on alone"
        own_postgres.start()
        wait_for_workers(office.proxy, WORKERS)
        everybody_is_let_in(office)
        assert pids(office.proxy)[seat] != dead
        # What is changed in the store is heard of again.
        office.proxy.suspend(office.name)
        assert first.ended().code == office.code(Reason.SESSION_ENDED)
