"""The audit disk is full: nothing new opens, nothing unrecorded runs, and it heals."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from protocols.errors import Reason
from protocols.postgres.refuse import SQLSTATES
from proxy.audit.files import audit_files
from proxy.audit.verify import verify
from tests.faults.office import Office, fatal
from tests.hostile.raw import Closed, RawClient, Refused, query
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.waiting import wait_until

SETTINGS = {"audit": {"sync_interval": 0.05, "durable_timeout": 1.0}}
UNAVAILABLE = SQLSTATES[Reason.AUDIT_UNAVAILABLE]


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


@pytest.fixture
def office(
    module_proxy: ProxyServer, postgres: PostgresServer, request: pytest.FixtureRequest
) -> Office:
    return Office(module_proxy, postgres, f"disk-{len(request.node.name)}")


def run_until_refused(client: RawClient) -> tuple[Refused, int]:
    """Run statements one by one until the proxy ends the session; the error, how many ran."""
    for count in range(100_000):
        try:
            client.query(f"SELECT 'statement {count}'")
        except Refused as refused:
            with client.socket:
                assert client.read_to_end() == b""
            return refused, count
        except Closed:
            raise AssertionError("the session ended without a word") from None
    raise AssertionError("statements ran on without a record")


def recovered(office: Office) -> None:
    wait_until(lambda: office.proxy.is_ready, what="the proxy to be ready again")
    with office.session() as client:
        assert client.value("SELECT 'back'") == "back"
    office.proxy.wait_until_quiet()


def test_open_sessions_stop_and_no_new_one_opens_until_there_is_room(office: Office):
    with office.session() as busy, office.session() as idle:
        with full_disk(office.proxy):
            refused, ran = run_until_refused(busy)
            assert (refused.code, refused.text) == (UNAVAILABLE, "the audit log cannot be written")
            assert office.refusal().code == UNAVAILABLE
            assert not office.proxy.is_ready
            # An idle session learns it with its next statement, whose bytes go nowhere.
            idle.send(query("SELECT 'must never run'"))
            assert fatal(idle).code == UNAVAILABLE
        recovered(office)
    assert "must never run" not in office.server.log_text()
    texts = {
        record.get("query_info", {}).get("query_string") for record in office.proxy.audit_events()
    }
    # Whatever ran has a record, written late.
    assert {f"SELECT 'statement {number}'" for number in range(ran)} <= texts
    assert verify(office.proxy.audit_folder, office.proxy.vault.verification_key()).is_intact
    (outage,) = [
        record["unmapped"]
        for record in office.proxy.audit_events()
        if "outage_seconds" in record.get("unmapped", {})
    ]
    assert outage["lost_records"] == 0


def test_no_credential_is_used_while_nothing_can_be_recorded(office: Office):
    with full_disk(office.proxy):
        assert office.refusal().code == UNAVAILABLE
        used = "credential_uses_total{outcome=used}"
        before = office.proxy.metrics()[used]
        logins = office.server.log_text().count("connection authorized")
        assert office.refusal().code == UNAVAILABLE
        assert office.proxy.metrics()[used] == before
        assert office.server.log_text().count("connection authorized") == logins
    recovered(office)


def test_the_metrics_tell_of_it(office: Office):
    assert office.proxy.metrics()["audit_failed"] == 0
    with full_disk(office.proxy):
        assert office.refusal().code == UNAVAILABLE
        wait_until(lambda: office.proxy.metrics()["audit_failed"] == 1)
    recovered(office)
    assert office.proxy.metrics()["audit_failed"] == 0
    assert office.proxy.metrics()["audit_lost_records_total"] == 0
