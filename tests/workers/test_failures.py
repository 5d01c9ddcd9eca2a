"""What the death, the silence and the poverty of a process cost, and what they do not."""

from __future__ import annotations

import errno
import resource
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic

import pytest

from protocols.errors import Reason
from proxy.audit.crosscheck import verify_all
from tests.conformance.driver import Session
from tests.conformance.office import Office
from tests.hostile.raw import Closed
from tests.servers.proxy import ROOT
from tests.servers.waiting import wait_until
from tests.workers.churn import Churn
from tests.workers.conftest import ONE_PROTOCOL, WORKERS, OfficeFactory
from tests.workers.spread import (
    events,
    pids,
    seat_of,
    session_elsewhere,
    sessions_at_both,
    signal_worker,
    wait_for_workers,
)

pytestmark = ONE_PROTOCOL

# Twelve connections that all miss one of two workers: one run in four thousand.
MANY = 12
NO_DESCRIPTOR = "no descriptor is free; new connections wait"


def restarts(office: Office) -> float:
    return office.proxy.metrics()["worker_restarts_total"]


def is_lost(session: Session) -> bool:
    """Whether a session's worker is gone: the connection is closed or reset without a word."""
    try:
        return session.is_at_its_end()
    except (Closed, ConnectionResetError):
        return True


def stands(office: Office) -> bool:
    """Whether every chain verifies once the proxy has stopped."""
    office.proxy.stop()
    reports = verify_all(office.proxy.audit_folder, office.proxy.vault.verification_key(), {})
    return all(report.is_intact for report in reports.values())


def test_a_killed_worker_costs_its_own_sessions_and_not_one_more(start_office: OfficeFactory):
    office = start_office()
    with sessions_at_both(office) as (dies, lives), Churn(office) as churn:
        office.run_for_long(dies, "ran when its worker was killed")
        before = len(churn.threads)
        signal_worker(office.proxy, seat_of(dies), signal.SIGKILL)
        churn.wait_for_more(60, despite_failures=True)
        wait_until(lambda: restarts(office) == 1, what="the worker to be replaced")
        wait_for_workers(office.proxy, WORKERS)
        failed = len(churn.failures)
        churn.wait_for_more(60, despite_failures=True)
        # Whom the dead worker had accepted: one connection of each client at the most.
        assert failed <= before
        assert len(churn.failures) == failed
        assert lives.value("SELECT 'goes on'") == "goes on"
        assert is_lost(dies)
    # The replacement has taken the dead one's seat, and told what it left.
    record = office.record_of("ran when its worker was killed")
    assert record["unmapped"]["outcome"] == "interrupted"
    assert stands(office)


def test_a_killed_worker_costs_the_metrics_no_more_than_its_last_second(
    start_office: OfficeFactory,
):
    office = start_office()
    with sessions_at_both(office) as (dies, lives):
        for _ in range(20):
            dies.value("SELECT 'counted'")
        # Nobody scrapes meanwhile: the supervisor asks by itself, once a second.
        done = monotonic()
        wait_until(lambda: monotonic() - done > 3.0, what="the supervisor to have asked")
        signal_worker(office.proxy, seat_of(dies), signal.SIGKILL)
        wait_until(lambda: is_lost(dies), what="the worker to be gone")
        wait_until(lambda: restarts(office) == 1, what="the worker to be replaced")
        assert office.proxy.metrics()["statements_total{kind=select,outcome=succeeded}"] >= 20
        assert lives.value("SELECT 'goes on'") == "goes on"


def test_who_waits_at_a_stopped_worker_is_taken_by_another(start_office: OfficeFactory):
    office = start_office(workers={"answer_timeout": 60.0})
    with sessions_at_both(office) as (first, second), ExitStack() as stack:
        signal_worker(office.proxy, seat_of(first), signal.SIGSTOP)
        try:
            sessions = [stack.enter_context(office.session()) for _ in range(MANY)]
            assert {seat_of(session) for session in sessions} == {seat_of(second)}
            assert office.proxy.is_ready
        finally:
            signal_worker(office.proxy, seat_of(first), signal.SIGCONT)
        # It goes on as if nothing had been.
        assert first.value("SELECT 'again'") == "again"
        with session_elsewhere(office, seat_of(second)) as session:
            assert seat_of(session) == seat_of(first)
    assert restarts(office) == 0


def test_a_worker_that_is_silent_for_too_long_is_replaced(start_office: OfficeFactory):
    office = start_office(workers={"answer_timeout": 5.0})
    with sessions_at_both(office) as (first, second):
        office.run_for_long(first, "ran in the silence")
        signal_worker(office.proxy, seat_of(first), signal.SIGSTOP)
        wait_until(lambda: restarts(office) == 1, what="the silent worker to be replaced")
        wait_for_workers(office.proxy, WORKERS)
        assert is_lost(first)
        assert second.value("SELECT 'goes on'") == "goes on"
        with session_elsewhere(office, seat_of(second)) as session:
            assert session.value("SELECT 'new'") == "new"
    assert events(office.proxy, "worker does not answer")
    assert stands(office)


def test_without_the_supervisor_workers_end_and_say_so(start_office: OfficeFactory):
    office = start_office()
    with sessions_at_both(office) as (idle, busy):
        office.run_for_long(busy, "ran when the supervisor was killed")
        workers = list(pids(office.proxy).values())
        port = office.proxy.port
        office.proxy.kill()
        for session in (idle, busy):
            told = session.ended()
            assert told.code == office.code(Reason.SHUTTING_DOWN)
            assert told.text == "the proxy is shutting down"
        wait_until(lambda: not any(map(is_alive, workers)), what="the workers to end")
    office.wait_until_not_running("ran when the supervisor was killed")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
    # Nothing is in the way of the next one, and nothing is lost.
    office.proxy.start()
    record = office.record_of("ran when the supervisor was killed")
    assert record["unmapped"]["outcome"] == "interrupted"
    office.session().close()
    assert stands(office)


def is_alive(pid: int) -> bool:
    # An orphan that has ended may wait to be reaped by whoever has adopted it.
    with suppress(FileNotFoundError, ProcessLookupError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


def test_everybody_is_killed_at_once_and_nothing_is_unaccounted_for(start_office: OfficeFactory):
    office = start_office()
    with sessions_at_both(office) as (first, second):
        office.run_for_long(first, "first of a crash")
        office.run_for_long(second, "second of a crash")
        for seat in pids(office.proxy):
            signal_worker(office.proxy, seat, signal.SIGSTOP)
        office.proxy.kill()
        for seat in pids(office.proxy):
            signal_worker(office.proxy, seat, signal.SIGKILL)
        for session in (first, second):
            assert is_lost(session)
    key = office.proxy.vault.verification_key()
    wait_until(
        lambda: (
            sum(
                len(report.unrecorded)
                for report in verify_all(office.proxy.audit_folder, key, {}).values()
            )
            == 2
        ),
        what="both statements to be missed",
    )
    # Also where fewer workers start than have died.
    text = office.proxy.config_file.read_text()
    office.proxy.config_file.write_text(text.replace(f"count = {WORKERS}", "count = 1"))
    office.proxy.start()
    for word in ("first of a crash", "second of a crash"):
        assert office.record_of(word)["unmapped"]["outcome"] == "interrupted"
    assert stands(office)


def test_a_worker_that_cannot_start_again_is_tried_again_and_the_others_serve(
    start_office: OfficeFactory,
):
    office = start_office()
    mode = office.proxy.key_file.stat().st_mode
    with sessions_at_both(office) as (first, second):
        office.proxy.key_file.chmod(0o644)
        signal_worker(office.proxy, seat_of(first), signal.SIGKILL)
        wait_until(
            lambda: len(events(office.proxy, "a worker could not be started")) >= 2,
            within=40,
            what="two attempts",
        )
        details = {
            str(line["detail"]) for line in events(office.proxy, "a worker could not be started")
        }
        assert all("its mode must be 0600" in detail for detail in details)
        assert office.proxy.is_ready
        for _ in range(MANY):
            with office.session() as session:
                assert seat_of(session) == seat_of(second)
        office.proxy.key_file.chmod(mode)
        wait_for_workers(office.proxy, WORKERS)


def test_clients_wait_for_a_descriptor_and_are_not_refused(start_office: OfficeFactory):
    office = start_office()
    with sessions_at_both(office) as (first, _), ExitStack() as stack:
        poor = pids(office.proxy)[seat_of(first)]
        limits = resource.prlimit(poor, resource.RLIMIT_NOFILE)
        used = {int(entry.name) for entry in Path(f"/proc/{poor}/fd").iterdir()}
        free = next(number for number in range(1, 100_000) if number not in used)
        resource.prlimit(poor, resource.RLIMIT_NOFILE, (free, limits[1]))
        try:
            with ThreadPoolExecutor(MANY) as threads:
                waiting = [threads.submit(office.session) for _ in range(MANY)]
                wait_until(
                    lambda: bool(events(office.proxy, NO_DESCRIPTOR)),
                    what="the worker to find no descriptor",
                )
                resource.prlimit(poor, resource.RLIMIT_NOFILE, limits)
                sessions = [stack.enter_context(one.result(30)) for one in waiting]
        finally:
            resource.prlimit(poor, resource.RLIMIT_NOFILE, limits)
        assert [session.value("SELECT 'on'") for session in sessions] == ["on"] * MANY


def test_a_stopped_worker_does_not_keep_the_proxy_from_ending(start_office: OfficeFactory):
    office = start_office(limits={"drain_deadline": 0.5}, workers={"answer_timeout": 3.0})
    with office.session() as session:
        signal_worker(office.proxy, seat_of(session), signal.SIGSTOP)
        assert office.proxy.stop(within=40) == 0
        assert is_lost(session)


@pytest.mark.parametrize("other", [1, WORKERS])
def test_a_port_that_workers_share_is_taken_for_everybody_else(office: Office, other: int):
    config = office.proxy.config_file.read_text()
    second = office.proxy.folder / f"second-{other}"
    second.mkdir()
    for name in ("audit", "control.sock"):
        config = config.replace(f"{office.proxy.folder}/{name}", f"{second}/{name}")
    config = config.replace("port = 0", f"port = {office.proxy.port}", 1)
    file = second / "accode.toml"
    file.write_text(config.replace(f"count = {WORKERS}", f"count = {other}"))
    done = subprocess.run(
        [sys.executable, "-m", "proxy.cli", "serve", "--config", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"Error: listeners.0 cannot listen on 127.0.0.1:{office.proxy.port}: "
        "another program has taken the port; set listeners.0.port to another."
    )
    for _ in range(MANY):
        office.session().close()
