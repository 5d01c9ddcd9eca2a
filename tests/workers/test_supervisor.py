"""The supervisor stops for a while and goes on: its workers serve meanwhile, and stay."""

from __future__ import annotations

import os
import signal
from time import monotonic

from tests.conformance.office import Office
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

ANSWER_SECONDS = 3.0
# Well above it: every worker's last answer is too old when the supervisor goes on.
STOPPED_SECONDS = 4.0
# It looks twice a second.
SEVERAL_LOOKS = 1.5


def is_stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def stop_for(office: Office, seconds: float) -> None:
    """Stop the supervisor alone for so long."""
    pid = office.proxy.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: is_stopped(pid), what="the supervisor to be stopped")
        since = monotonic()
        # Sessions go on, and new ones come, at both workers.
        with sessions_at_both(office) as sessions:
            while monotonic() - since < seconds:
                assert [one.value("SELECT 'on'") for one in sessions] == ["on"] * WORKERS
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_stopped_supervisor_costs_no_session_and_no_worker(start_office: OfficeFactory):
    office = start_office(workers={"answer_timeout": ANSWER_SECONDS})
    before = pids(office.proxy)
    with sessions_at_both(office) as sessions:
        stop_for(office, STOPPED_SECONDS)
        # It has looked at its workers again, and several times.
        wait_until(lambda: office.proxy.is_ready, what="the supervisor to answer")
        asked = monotonic()
        wait_until(lambda: monotonic() - asked > SEVERAL_LOOKS, what="some more looks")
        assert [one.value("SELECT 'on'") for one in sessions] == ["on"] * WORKERS
    assert pids(office.proxy) == before
    assert events(office.proxy, "worker does not answer") == []
    assert office.proxy.metrics()["worker_restarts_total"] == 0


def test_a_worker_that_is_lost_meanwhile_is_replaced_afterwards(start_office: OfficeFactory):
    office = start_office(workers={"answer_timeout": ANSWER_SECONDS})
    with sessions_at_both(office) as (lost, stays):
        pid = office.proxy.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: is_stopped(pid), what="the supervisor to be stopped")
            signal_worker(office.proxy, seat_of(lost), signal.SIGKILL)
            assert stays.value("SELECT 'on'") == "on"
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until(
            lambda: office.proxy.metrics()["worker_restarts_total"] == 1,
            within=40,
            what="the worker to be replaced",
        )
        wait_for_workers(office.proxy, WORKERS)
        assert stays.value("SELECT 'on'") == "on"
