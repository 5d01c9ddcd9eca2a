"""SIGTERM: no new connections, sessions end at their next idle point, a deadline, the end."""

from __future__ import annotations

import errno
import signal
import socket

import pytest

from protocols.errors import Reason
from tests.conformance.conftest import OfficeFactory
from tests.conformance.driver import TABLE, Session, Told
from tests.conformance.office import SOURCE, Office
from tests.servers.waiting import wait_until


def terminate(office: Office) -> None:
    """Send SIGTERM, and wait until the proxy accepts no more."""
    assert office.proxy.process is not None
    office.proxy.process.send_signal(signal.SIGTERM)

    def is_closed() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", office.proxy.port)) == errno.ECONNREFUSED

    wait_until(is_closed, what="the proxy to refuse connections")


def exit_code(office: Office) -> int:
    assert office.proxy.process is not None
    return office.proxy.process.wait(45)


def is_let_go(office: Office, session: Session) -> None:
    told = session.ended()
    assert told.code == office.code(Reason.SHUTTING_DOWN)
    assert told.text == "the proxy is shutting down"


def test_idle_sessions_end_at_once_and_a_running_statement_finishes_first(
    start_office: OfficeFactory,
):
    office = start_office(limits={"drain_deadline": 30.0})
    with office.session() as idle, office.session() as busy, office.session() as open_one:
        open_one.rows("BEGIN")
        open_one.rows(f"SELECT note FROM {TABLE} WHERE id = 1 FOR UPDATE")
        # Waits for the lock of the open transaction.
        busy.send(f"SELECT note AS drained FROM {TABLE} WHERE id = 1 FOR UPDATE")
        office.wait_until_running("drained")
        terminate(office)
        is_let_go(office, idle)
        # A transaction goes on to its end, and its lock with it.
        assert open_one.value("SELECT 'still open'") == "still open"
        assert not office.proxy.is_ready
        assert open_one.rows("COMMIT") == []
        is_let_go(office, open_one)
        assert busy.answer() == ["one"]
        is_let_go(office, busy)
    assert exit_code(office) == 0
    assert office.record_of("drained")["unmapped"]["outcome"] == "succeeded"


def test_the_deadline_cuts_what_still_runs_and_stops_it_at_the_server(
    start_office: OfficeFactory,
):
    office = start_office(limits={"drain_deadline": 1.0})
    with office.session() as busy:
        office.run_for_long(busy, "past the deadline")
        terminate(office)
        is_let_go(office, busy)
    assert exit_code(office) == 0
    office.wait_until_not_running("past the deadline")
    assert office.record_of("past the deadline")["unmapped"]["outcome"] == "interrupted"


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_proxy_at_once(
    start_office: OfficeFactory, second: signal.Signals
):
    office = start_office(limits={"drain_deadline": 600.0})
    with office.session() as busy:
        office.run_for_long(busy, "in a hurry")
        terminate(office)
        assert office.proxy.process is not None
        office.proxy.process.send_signal(second)
        is_let_go(office, busy)
        assert exit_code(office) == 0
    office.wait_until_not_running("in a hurry")
    assert office.record_of("in a hurry")["unmapped"]["outcome"] == "interrupted"
    (closing,) = [
        record
        for record in office.proxy.audit_events()
        if record.get("unmapped", {}).get("close_reason") or "closed" in str(record.get("message"))
    ]
    assert "not started" not in str(closing)


def test_a_login_under_way_is_refused_while_the_proxy_drains(start_office: OfficeFactory):
    office = start_office(limits={"drain_deadline": 30.0})
    with office.session() as open_one, office.driver.connect(office.proxy.port) as late:
        open_one.rows("BEGIN")
        open_one.rows(f"SELECT note FROM {TABLE}")
        terminate(office)
        # A connection that was accepted before.
        with pytest.raises(Told) as refused:
            late.log_in(office.name, office.token, SOURCE)
        assert refused.value.code == office.code(Reason.SHUTTING_DOWN)
        assert open_one.rows("ROLLBACK") == []
        is_let_go(office, open_one)
    assert exit_code(office) == 0
