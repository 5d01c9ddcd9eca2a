"""SIGTERM: no new connections, sessions end at their next idle point, a deadline, the end."""

from __future__ import annotations

import errno
import signal
import socket

import pytest

from tests.faults.office import Office, fatal
from tests.hostile.raw import RawClient, query
from tests.servers.fixtures import ProxyFactory
from tests.servers.postgres import PostgresServer
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
    return office.proxy.process.wait(20)


def test_idle_sessions_end_at_once_and_a_running_statement_finishes_first(
    start_proxy: ProxyFactory, postgres: PostgresServer
):
    office = Office(start_proxy(limits={"drain_deadline": 30.0}), postgres)
    with office.session() as idle, office.session() as busy, office.session() as open_one:
        open_one.query("BEGIN")
        open_one.query("SELECT pg_advisory_xact_lock(4711)")
        busy.send(query("SELECT pg_advisory_xact_lock(4711), 'drained'"))
        office.wait_until_running("drained")
        terminate(office)
        refused = fatal(idle)
        assert (refused.code, refused.text) == ("57P01", "the proxy is shutting down")
        # A transaction goes on to its end, and its lock with it.
        assert open_one.value("SELECT 'still open'") == "still open"
        assert not office.proxy.is_ready
        open_one.send(query("COMMIT"))
        assert [code for code, _ in open_one.until(b"Z")] == [b"C", b"Z"]
        assert fatal(open_one).code == "57P01"
        assert [code for code, _ in busy.until(b"Z")] == [b"T", b"D", b"C", b"Z"]
        assert fatal(busy).code == "57P01"
    assert exit_code(office) == 0
    assert office.record_of("drained")["unmapped"]["outcome"] == "succeeded"


def test_the_deadline_cuts_what_still_runs_and_stops_it_at_the_server(
    start_proxy: ProxyFactory, postgres: PostgresServer
):
    office = Office(start_proxy(limits={"drain_deadline": 1.0}), postgres)
    with office.session() as busy:
        busy.send(query("SELECT pg_sleep(60), 'past the deadline'"))
        office.wait_until_running("past the deadline")
        terminate(office)
        assert fatal(busy).code == "57P01"
    assert exit_code(office) == 0
    office.wait_until_not_running("past the deadline")
    assert office.record_of("past the deadline")["unmapped"]["outcome"] == "interrupted"


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_proxy_at_once(
    start_proxy: ProxyFactory, postgres: PostgresServer, second: signal.Signals
):
    office = Office(start_proxy(limits={"drain_deadline": 600.0}), postgres)
    with office.session() as busy:
        busy.send(query("SELECT pg_sleep(60), 'in a hurry'"))
        office.wait_until_running("in a hurry")
        terminate(office)
        assert office.proxy.process is not None
        office.proxy.process.send_signal(second)
        assert fatal(busy).code == "57P01"
        assert exit_code(office) == 0
    office.wait_until_not_running("in a hurry")
    assert office.record_of("in a hurry")["unmapped"]["outcome"] == "interrupted"
    (closing,) = [
        record
        for record in office.proxy.audit_events()
        if record.get("unmapped", {}).get("close_reason") or "closed" in str(record.get("message"))
    ]
    assert "not started" not in str(closing)


def test_a_login_under_way_is_refused_while_the_proxy_drains(
    start_proxy: ProxyFactory, postgres: PostgresServer
):
    office = Office(start_proxy(limits={"drain_deadline": 30.0}), postgres)
    with office.session() as open_one, RawClient(office.proxy.port) as late:
        open_one.query("BEGIN")
        terminate(office)
        # A connection that was accepted before.
        late.start(("user", office.name), ("database", "orders"))
        assert late.refusal().code == "57P01"
        open_one.send(query("ROLLBACK"))
        open_one.until(b"Z")
        assert fatal(open_one).code == "57P01"
    assert exit_code(office) == 0
