"""Cancel requests and KILL reach the session's worker from any other."""

from __future__ import annotations

import pytest

from tests.conformance.driver import TABLE, Told
from tests.conformance.fixtures import new_name
from tests.conformance.mysql import MysqlDriver
from tests.conformance.office import SOURCE, Office
from tests.conformance.postgres import PostgresDriver
from tests.hostile.raw import RawClient, fields_of, query, send_cancel
from tests.servers.waiting import wait_until
from tests.workers.spread import seat_of, session_elsewhere, sessions_at_both

postgres_only = pytest.mark.parametrize("driver", [PostgresDriver], indirect=True)
mysql_only = pytest.mark.parametrize("driver", [MysqlDriver], indirect=True)

# Of so many requests all go to the session's own worker once in four thousand runs.
ROUNDS = 12


@postgres_only
def test_a_cancel_request_reaches_its_session_through_any_worker(office: Office):
    before = office.proxy.metrics()
    with RawClient(office.proxy.port) as client:
        client.log_in(office.name, office.token, SOURCE)
        key = client.key
        assert key is not None
        for number in range(ROUNDS):
            word = f"cancelled anywhere {number}"
            client.send(query(f"SELECT '{word}' FROM pg_sleep(60)"))
            office.wait_until_running(word)
            assert send_cancel(office.proxy.port, key.number, key.secret) == b""
            error = client.until(b"Z")[-2]
            assert fields_of(error[1])["C"] == "57014"
        assert client.value("SELECT 'next'") == "next"
    after = office.proxy.metrics()
    name = "cancel_requests_total{outcome=forwarded}"
    assert after[name] - before[name] == ROUNDS


@postgres_only
def test_a_wrong_key_or_seat_stops_nothing(office: Office):
    with RawClient(office.proxy.port) as client:
        client.log_in(office.name, office.token, SOURCE)
        key = client.key
        assert key is not None
        client.send(query("SELECT 'not cancelled' FROM pg_sleep(60)"))
        office.wait_until_running("not cancelled")
        before = office.proxy.metrics()["cancel_requests_total{outcome=ignored}"]
        wrong = bytes(byte ^ 1 for byte in key.secret)
        for number, secret in [
            *[(key.number, wrong)] * ROUNDS,
            *[(key.number ^ bit, key.secret) for bit in (1, 2, 4, 128, 256, 1 << 20)],
        ]:
            assert send_cancel(office.proxy.port, number, secret) == b""
        after = office.proxy.metrics()["cancel_requests_total{outcome=ignored}"]
        assert after - before == ROUNDS + 6
        assert office.driver.running("not cancelled") == 1
        send_cancel(office.proxy.port, key.number, key.secret)
        office.wait_until_not_running("not cancelled")


@mysql_only
@pytest.mark.parametrize("is_upstream", [False, True], ids=["ours", "the source's"])
def test_kill_query_stops_a_statement_at_another_worker(office: Office, is_upstream: bool):
    with sessions_at_both(office) as (first, second):
        number = second.value("SELECT CONNECTION_ID()") if is_upstream else second.number
        office.run_for_long(second, "killed from elsewhere")
        assert first.rows(f"KILL QUERY {number}") == []
        office.wait_until_not_running("killed from elsewhere")
        # MariaDB ends SLEEP with an error or with a row, by its version.
        second.answer()
        assert second.value("SELECT 'on'") == "on"


@mysql_only
def test_kill_ends_a_session_of_another_worker(office: Office):
    with sessions_at_both(office) as (first, second):
        assert first.rows(f"KILL {second.number}") == []
        assert second.ended().text == "this session was killed"
        assert first.value("SELECT 'on'") == "on"
        wait_until(lambda: len(office.sessions()) == 1, what="the session to be gone")
        told = first.error(f"KILL {second.number}")
        assert told.sqlstate == "HY000"


@mysql_only
def test_kill_sees_no_session_of_another_workspace(office: Office):
    stranger = Office(office.proxy, office.driver, new_name())
    with office.session() as first, session_elsewhere(stranger, seat_of(first)) as theirs:
        upstream = theirs.value("SELECT CONNECTION_ID()")
        for number in (theirs.number, upstream):
            assert isinstance(first.error(f"KILL {number}"), Told)
        assert theirs.rows(f"SELECT note FROM {TABLE} WHERE id = 1") == ["one"]
