"""The audit disk is full: nothing new opens, nothing unrecorded runs, and it heals."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocols.errors import Reason
from proxy.audit.files import audit_files
from proxy.audit.verify import verify
from tests.conformance.driver import Driver, Session, Told
from tests.conformance.fixtures import new_name
from tests.conformance.office import Office
from tests.servers.certificates import Certificates
from tests.servers.proxy import ProxyServer
from tests.servers.waiting import wait_until


@contextmanager
def full_disk(proxy: ProxyServer) -> Iterator[None]:
    """Let no file of the proxy grow past the audit log's present size.

    write(2) then writes less than it was asked to, or fails, as it does where no block
    is free; the limit needs no file system of its own and no rights.
    """
    _, hard = resource.prlimit(proxy.pid, resource.RLIMIT_FSIZE)
    size = audit_files(proxy.audit_folder)[-1].stat().st_size
    resource.prlimit(proxy.pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.prlimit(proxy.pid, resource.RLIMIT_FSIZE, (hard, hard))


@pytest.fixture(scope="module")
def full_proxy(
    server_folder: Path, certificates: Certificates, driver: Driver
) -> Iterator[ProxyServer]:
    proxy = ProxyServer(
        server_folder / f"audit-disk-{driver.name}",
        certificates,
        listener=dict(driver.listener),
        audit={"sync_interval": 0.05, "durable_timeout": 3.0},
    ).start()
    yield proxy
    proxy.remove()


@pytest.fixture
def office(full_proxy: ProxyServer, driver: Driver) -> Office:
    return Office(full_proxy, driver, new_name())


def run_until_refused(session: Session) -> tuple[Told, int]:
    """Run statements one by one until the proxy ends the session; the error, how many ran."""
    for count in range(100_000):
        session.send(f"SELECT 'statement {count}'")
        # The last word stands where this statement's answer had to be.
        answer = session.answer()
        if isinstance(answer, Told):
            assert session.is_at_its_end()
            return answer, count
    raise AssertionError("statements ran on without a record")


def recovered(office: Office) -> None:
    wait_until(lambda: office.proxy.is_ready, what="the proxy to be ready again")
    with office.session() as session:
        assert session.value("SELECT 'back'") == "back"
    office.proxy.wait_until_quiet()


def test_open_sessions_stop_and_no_new_one_opens_until_there_is_room(office: Office):
    unavailable = office.code(Reason.AUDIT_UNAVAILABLE)
    with office.session() as busy, office.session() as idle:
        session_id = office.id_of(busy)
        before = office.driver.logins()
        with full_disk(office.proxy):
            told, ran = run_until_refused(busy)
            assert (told.code, told.text) == (unavailable, "the audit log cannot be written")
            assert office.refusal().code == unavailable
            assert not office.proxy.is_ready
            # An idle session learns it with its next statement, whose bytes go nowhere.
            idle.send(office.driver.sleep(30, "must never run"))
            assert idle.ended().code == unavailable
            assert office.driver.running("must never run") == 0
            assert office.driver.logins() == before
        recovered(office)
    texts = [
        record["query_info"]["query_string"] for record in office.records_of_session(session_id)
    ]
    # Whatever ran has a record, written late; the one that was refused may have one too.
    assert texts[:ran] == [f"SELECT 'statement {number}'" for number in range(ran)]
    assert len(texts) <= ran + 1
    assert verify(office.proxy.audit_folder, office.proxy.vault.verification_key()).is_intact
    outages = [
        record["unmapped"]
        for record in office.proxy.audit_events()
        if "outage_seconds" in record.get("unmapped", {})
    ]
    assert outages[-1]["lost_records"] == 0


def test_no_credential_is_used_while_nothing_can_be_recorded(office: Office):
    unavailable = office.code(Reason.AUDIT_UNAVAILABLE)
    with full_disk(office.proxy):
        assert office.refusal().code == unavailable
        used = "credential_uses_total{outcome=used}"
        before = office.proxy.metrics().get(used, 0)
        logins = office.driver.logins()
        assert office.refusal().code == unavailable
        assert office.proxy.metrics().get(used, 0) == before
        assert office.driver.logins() == logins
    recovered(office)


def test_the_metrics_tell_of_it(office: Office):
    assert office.proxy.metrics()["audit_failed"] == 0
    with full_disk(office.proxy):
        assert office.refusal().code == office.code(Reason.AUDIT_UNAVAILABLE)
        wait_until(lambda: office.proxy.metrics()["audit_failed"] == 1)
    recovered(office)
    assert office.proxy.metrics()["audit_failed"] == 0
    assert office.proxy.metrics()["audit_lost_records_total"] == 0


def test_what_a_session_still_runs_is_stopped_when_its_next_statement_cannot_be_recorded(
    office: Office,
):
    with office.session() as running, office.session() as other:
        office.run_for_long(running, "still running")
        with full_disk(office.proxy):
            run_until_refused(other)
            # In a pipeline: its bytes go nowhere, and what it waits for is worth nothing.
            running.send(office.driver.sleep(30, "must never run either"))
            assert running.ended().code == office.code(Reason.AUDIT_UNAVAILABLE)
            if office.driver.stops_without_login:
                office.wait_until_not_running("still running")
            assert office.driver.running("must never run either") == 0
        recovered(office)
