"""SIGHUP: new workers with the configuration of then, and not one connection refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocols.errors import Reason
from proxy.audit.crosscheck import verify_all
from tests.conformance.driver import TABLE, Driver
from tests.conformance.fixtures import new_name
from tests.conformance.office import Office
from tests.servers.certificates import Certificates
from tests.servers.proxy import ProxyServer
from tests.servers.waiting import wait_until
from tests.workers.churn import Churn
from tests.workers.conftest import ONE_PROTOCOL, WORKERS, OfficeFactory
from tests.workers.spread import (
    events,
    pids,
    seat_of,
    session_when_free,
    sessions_at_both,
    wait_for_restarts,
    wait_for_workers,
)

pytestmark = ONE_PROTOCOL

RELOADED = "the configuration is reloaded"
NOT_RELOADED = "the configuration is not reloaded"


def reload(office: Office) -> None:
    """Send SIGHUP, and wait until new workers serve."""
    before = len(events(office.proxy, RELOADED))
    assert office.proxy.process is not None
    office.proxy.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(events(office.proxy, RELOADED)) > before, what="the reload")


def edit(office: Office, old: str, new: str) -> None:
    text = office.proxy.config_file.read_text()
    assert old in text
    office.proxy.config_file.write_text(text.replace(old, new))


def test_clients_that_come_and_go_notice_nothing_of_two_reloads(start_office: OfficeFactory):
    office = start_office(limits={"drain_deadline": 40.0})
    with Churn(office) as churn:
        for _ in range(2):
            before = set(pids(office.proxy).values())
            reload(office)
            new = {seat for seat, pid in pids(office.proxy).items() if pid not in before}
            assert len(new) == WORKERS
            churn.wait_for(new)
            churn.wait_for_more()
        wait_for_workers(office.proxy, WORKERS)
        churn.wait_for_more()
    assert churn.failures == []
    office.proxy.stop()
    reports = verify_all(office.proxy.audit_folder, office.proxy.vault.verification_key(), {})
    assert all(report.is_intact for report in reports.values())


def test_what_runs_ends_with_the_old_worker_and_what_rests_is_let_go(start_office: OfficeFactory):
    office = start_office(limits={"drain_deadline": 40.0})
    with sessions_at_both(office) as (idle, busy):
        assert idle.value("SELECT 'at rest'") == "at rest"
        busy.rows("BEGIN")
        busy.rows(f"SELECT note FROM {TABLE}")
        reload(office)
        old = {seat_of(idle), seat_of(busy)}

        def is_served_anew() -> bool:
            with office.session() as new:
                return seat_of(new) not in old

        # An old worker that has not heard of it yet may take one more, and serves it.
        wait_until(is_served_anew, what="a new worker to serve")
        told = idle.ended()
        assert told.code == office.code(Reason.SHUTTING_DOWN)
        assert busy.value("SELECT 'still open'") == "still open"

        def is_the_only_one() -> bool:
            return [one["number"] for one in office.sessions()] == [busy.number]

        # An old worker's is listed as any other.
        wait_until(is_the_only_one, what="the others to be over")
        assert busy.rows("COMMIT") == []
        assert busy.ended().code == office.code(Reason.SHUTTING_DOWN)
    wait_for_workers(office.proxy, WORKERS)


def test_new_workers_have_the_new_configuration_and_a_replacement_has_it_too(
    start_office: OfficeFactory,
):
    office = start_office(limits={"sessions_per_workspace": 3, "drain_deadline": 4.0})
    edit(office, "sessions_per_workspace = 3", "sessions_per_workspace = 1")
    with office.session(), office.session():
        pass
    reload(office)
    wait_for_workers(office.proxy, WORKERS)
    with session_when_free(office) as session:
        assert office.refusal().code == office.code(Reason.TOO_MANY_SESSIONS)
        (other,) = {seat for seat in newest(office) if seat != seat_of(session)}
        os.kill(pids(office.proxy)[other], signal.SIGKILL)
        wait_for_restarts(office.proxy, 1, WORKERS)
        for _ in range(12):
            assert office.refusal().code == office.code(Reason.TOO_MANY_SESSIONS)


def newest(office: Office) -> list[int]:
    """The seats of the workers that were started last."""
    return [int(str(line["worker"])) for line in events(office.proxy, "worker started")[-WORKERS:]]


def test_an_edited_file_is_in_force_only_after_a_reload(start_office: OfficeFactory):
    office = start_office(limits={"sessions_per_workspace": 1})
    edit(office, "sessions_per_workspace = 1", "sessions_per_workspace = 5")
    for pid in pids(office.proxy).values():
        os.kill(pid, signal.SIGKILL)
    wait_for_restarts(office.proxy, WORKERS, WORKERS)
    with session_when_free(office):
        assert office.refusal().code == office.code(Reason.TOO_MANY_SESSIONS)


@pytest.fixture(scope="module")
def steady_office(
    server_folder: Path, certificates: Certificates, driver: Driver
) -> Iterator[Office]:
    """One for all reloads that are refused: its workers are the same before and after."""
    proxy = ProxyServer(
        server_folder / f"steady-{driver.name}",
        certificates,
        listener=dict(driver.listener),
        workers={"count": WORKERS},
    ).start()
    yield Office(proxy, driver, new_name())
    proxy.remove()


@contextmanager
def edited(office: Office, old: str, new: str) -> Iterator[None]:
    """Its file, for a time, with the first ``old`` another."""
    text = office.proxy.config_file.read_text()
    assert old in text
    office.proxy.config_file.write_text(text.replace(old, new, 1))
    try:
        yield
    finally:
        office.proxy.config_file.write_text(text)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[limits]", "[limits]\nsesions = 1", "is not a setting"),
        ("[limits]", "[limits", "is not valid TOML"),
    ],
)
def test_a_configuration_with_a_fault_changes_nothing(
    steady_office: Office, old: str, new: str, words: str
):
    with edited(steady_office, old, new):
        is_refused(steady_office, words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('socket = "', 'socket = "/nowhere', "control.socket can only be changed by a restart"),
        ('folder = "', 'folder = "/nowhere', "audit.folder can only be changed by a restart"),
        ("port = 0", "port = 1", "protocol, host or port can only be changed by a restart"),
    ],
)
def test_what_the_supervisor_holds_needs_a_restart(
    steady_office: Office, old: str, new: str, words: str
):
    with edited(steady_office, old, new):
        is_refused(steady_office, words)


def test_a_file_that_no_worker_can_serve_with_changes_nothing(steady_office: Office):
    office = steady_office
    mode = office.proxy.key_file.stat().st_mode
    office.proxy.key_file.chmod(0o644)
    is_refused(office, "its mode must be 0600")
    office.proxy.key_file.chmod(mode)
    wait_for_workers(office.proxy, WORKERS)
    reload(office)
    office.session().close()


def is_refused(office: Office, words: str) -> None:
    """A reload is refused with these words, and the workers go on."""
    before = pids(office.proxy)
    refused = len(events(office.proxy, NOT_RELOADED))
    with office.session() as session:
        assert office.proxy.process is not None
        office.proxy.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(events(office.proxy, NOT_RELOADED)) > refused, what="the refusal")
        (line,) = events(office.proxy, NOT_RELOADED)[refused:]
        assert words in str(line["detail"])
        assert session.value("SELECT 'goes on'") == "goes on"
        office.session().close()
    wait_for_workers(office.proxy, WORKERS)
    assert all(pids(office.proxy)[seat] == pid for seat, pid in before.items())
