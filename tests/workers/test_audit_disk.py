"""The audit disk of several workers is full: of one, of all, and when one of them dies."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from protocols.errors import Reason
from proxy.audit.chains import folder_of
from proxy.audit.crosscheck import verify_all
from proxy.audit.files import audit_files
from tests.conformance.driver import Session, Told
from tests.conformance.office import Office
from tests.servers.waiting import wait_until
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

AUDIT = {"sync_interval": 0.05, "durable_timeout": 3.0}
# Twelve logins that all miss one of two workers: one run in four thousand.
MANY = 12
_ENDLESS = 100_000


@contextmanager
def full_disk(office: Office, processes: Iterable[int]) -> Iterator[None]:
    """Let no file of these processes grow past the smallest of the chains' newest files.

    As in ``conformance.test_audit_disk``: write(2) then fails as where no block is free.
    """
    folder = office.proxy.audit_folder
    size = min(
        audit_files(folder_of(folder, seat))[-1].stat().st_size for seat in pids(office.proxy)
    )
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in processes}
    for pid, (_, hard) in limits.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        for pid in {*limits, *pids(office.proxy).values()}:
            give_room(pid)


def give_room(pid: int) -> None:
    """Lift the limit of a process, if it lives: a child has its parent's."""
    try:
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    except ProcessLookupError:
        return


def run_until_refused(session: Session, word: str) -> tuple[Told, int]:
    """Statements one by one until the session is ended; why, and how many ran."""
    for count in range(_ENDLESS):
        session.send(f"SELECT '{word} {count}'")
        answer = session.answer()
        if isinstance(answer, Told):
            return answer, count
    raise AssertionError("statements ran on without a record")


def is_whole(office: Office, ran: dict[str, int]) -> None:
    """Whatever ran is on record, nothing was lost, and every chain verifies."""
    texts = {
        record["query_info"]["query_string"]
        for record in office.proxy.audit_events()
        if "query_info" in record
    }
    for word, count in ran.items():
        assert {f"SELECT '{word} {number}'" for number in range(count)} <= texts
    assert office.proxy.metrics()["audit_lost_records_total"] == 0
    office.proxy.stop()
    reports = verify_all(office.proxy.audit_folder, office.proxy.vault.verification_key(), {})
    assert all(report.is_intact for report in reports.values())


def everybody_is_let_in(office: Office) -> None:
    wait_until(
        lambda: all(office.can_log_in() for _ in range(MANY)), what="every worker to record again"
    )


def test_a_worker_without_a_disk_stops_its_own_sessions_and_no_others(
    start_office: OfficeFactory,
):
    office = start_office(audit=AUDIT)
    with sessions_at_both(office) as (full, free):
        with full_disk(office, [pids(office.proxy)[seat_of(full)]]):
            told, ran = run_until_refused(full, "full")
            assert told.code == office.code(Reason.AUDIT_UNAVAILABLE)
            wait_until(lambda: not office.proxy.is_ready, what="the supervisor to hear of it")
            assert free.value("SELECT 'free'") == "free"
            # Who comes is served by the other one, or told why not.
            outcomes = {office.can_log_in() for _ in range(MANY)}
            assert outcomes == {True, False}
        everybody_is_let_in(office)
        wait_until(lambda: office.proxy.is_ready, what="the supervisor to hear that it is over")
    is_whole(office, {"full": ran})


def test_a_full_disk_for_all_is_over_for_all_when_there_is_room(start_office: OfficeFactory):
    office = start_office(audit=AUDIT)
    with sessions_at_both(office) as sessions:
        words = ["first", "second"]
        with full_disk(office, pids(office.proxy).values()):
            ran = {}
            for session, word in zip(sessions, words, strict=True):
                told, ran[word] = run_until_refused(session, word)
                assert told.code == office.code(Reason.AUDIT_UNAVAILABLE)
            for _ in range(3):
                assert office.refusal().code == office.code(Reason.AUDIT_UNAVAILABLE)
        everybody_is_let_in(office)
    is_whole(office, ran)


def test_a_worker_that_dies_on_a_full_disk_is_replaced_when_there_is_room(
    start_office: OfficeFactory,
):
    office = start_office(audit=AUDIT)
    with sessions_at_both(office) as (dies, lives):
        # The supervisor, whose limits its next child has, and the one that dies.
        processes = [office.proxy.pid, pids(office.proxy)[seat_of(dies)]]
        with full_disk(office, processes):
            _, ran = run_until_refused(dies, "before its death")
            signal_worker(office.proxy, seat_of(dies), signal.SIGKILL)
            wait_until(
                lambda: len(events(office.proxy, "worker died")) >= 1, what="the worker to die"
            )
            assert lives.value("SELECT 'goes on'") == "goes on"
            with session_elsewhere(office, seat_of(dies)) as session:
                assert session.value("SELECT 'new'") == "new"
        wait_for_workers(office.proxy, WORKERS)
        everybody_is_let_in(office)
    # What it had not written yet its replacement has, from the journal.
    is_whole(office, {"before its death": ran})
