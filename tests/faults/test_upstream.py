"""The data source is killed, frozen, reset and restarted; nobody else is harmed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from protocols.errors import Reason
from protocols.postgres.refuse import SQLSTATES
from tests.faults.office import Office, fatal
from tests.faults.relay import Relay, Way
from tests.hostile.raw import message, query, send_cancel
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.waiting import wait_until

SETTINGS = {"limits": {"connect_timeout": 3.0}, "audit": {"sync_interval": 0.05}}
LOST = SQLSTATES[Reason.SOURCE_LOST]
UNREACHABLE = SQLSTATES[Reason.SOURCE_UNREACHABLE]


@pytest.fixture(scope="module")
def made(
    module_proxy: ProxyServer, upstream: PostgresServer, postgres: PostgresServer
) -> tuple[Office, Office]:
    return Office(module_proxy, upstream), Office(module_proxy, postgres, "bystanders")


@pytest.fixture
def office(made: tuple[Office, Office]) -> Iterator[Office]:
    """The workspace whose server suffers; a session on another server goes on throughout."""
    office, others = made
    with others.session() as bystander:
        yield office
        assert bystander.value("SELECT 'still here'") == "still here"


def test_a_server_killed_in_mid_query_ends_the_session_with_one_clear_error(office: Office):
    with office.session() as client:
        client.send(query("SELECT pg_sleep(60), 'killed'"))
        office.wait_until_running("killed")
        office.server.kill()
        try:
            refused = fatal(client)
        finally:
            office.server.start()
    assert refused.code == LOST
    assert refused.text == "the data source closed the connection"
    assert office.record_of("killed")["unmapped"]["outcome"] == "interrupted"
    with office.session() as client:
        assert client.value("SELECT 1") == "1"


def test_a_restarted_server_says_itself_why_and_serves_the_next_session(office: Office):
    with office.session() as client:
        assert client.value("SELECT 1") == "1"
        office.server.restart()
        refused = fatal(client)
    # The server's own words, as on a direct connection.
    assert refused.code == "57P01"
    assert refused.text == "terminating connection due to administrator command"
    with office.session() as client:
        assert client.value("SELECT 1") == "1"


def test_a_frozen_server_is_given_up_at_the_connect_timeout(office: Office):
    office.server.freeze()
    try:
        refused = office.refusal()
    finally:
        office.server.thaw()
    assert refused.code == UNREACHABLE
    with office.session() as client:
        assert client.value("SELECT 1") == "1"


def test_a_stopped_server_is_refused_with_the_same_words_as_a_frozen_one(office: Office):
    office.server.freeze()
    try:
        frozen = office.refusal()
    finally:
        office.server.thaw()
    office.server.stop()
    try:
        stopped = office.refusal()
    finally:
        office.server.start()
    assert (stopped.code, stopped.text) == (frozen.code, frozen.text)


def test_a_session_of_a_frozen_server_goes_on_when_it_thaws(office: Office):
    with office.session() as client:
        office.server.freeze()
        try:
            client.send(query("SELECT 'thawed'"))
            # It has been sent on: nothing of it waits at the proxy.
            wait_until(
                lambda: [s["state"] for s in office.sessions()] == ["active"],
                what="the statement to be under way",
            )
        finally:
            office.server.thaw()
        assert [code for code, _ in client.until(b"Z")] == [b"T", b"D", b"C", b"Z"]


def test_cancel_and_kill_are_answered_while_the_server_is_frozen(office: Office):
    with office.session() as client:
        assert client.key is not None
        office.server.freeze()
        try:
            client.send(query("SELECT 'frozen'"))
            wait_until(lambda: [s["state"] for s in office.sessions()] == ["active"])
            # The server takes the connection (its kernel does) and does not answer.
            assert send_cancel(office.proxy.port, client.key.number, client.key.secret) == b""
            (session,) = office.sessions()
            assert office.control("session.kill", id=session["id"]) == {"killed": 1}
            refused = fatal(client)
        finally:
            office.server.thaw()
    assert refused.code == "57P01"
    assert refused.text == "this session was ended by an administrator"
    wait_until(lambda: office.sessions() == [], what="the session to end")


@pytest.fixture
def relayed(office: Office) -> Iterator[Relay]:
    with Relay(office.server.port) as relay:
        office.proxy.add_source(office.name, f"relayed{relay.port}", office.server, port=relay.port)
        yield relay


def test_a_reset_in_the_middle_of_copy_out_ends_the_session(office: Office, relayed: Relay):
    sql = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000000)) TO STDOUT"
    with office.session(f"relayed{relayed.port}") as client:
        client.send(query(sql))
        client.until(b"d")
        wait_until(lambda: relayed.passed[Way.DOWN] > 2_000_000 or client.read(100_000) == b"")
        relayed.reset()
        # The reset may come inside a message; then it cannot be told in words.
        client.read_to_end()
    record = office.record_of("COPY (SELECT repeat")
    assert record["unmapped"]["outcome"] == "interrupted"
    office.wait_until_not_running("COPY (SELECT repeat")


def test_a_reset_in_the_middle_of_copy_in_ends_the_session(office: Office, relayed: Relay):
    office.server.execute("CREATE TABLE taken (text text)")
    office.server.execute("GRANT ALL ON taken TO scram_user")
    with office.session(f"relayed{relayed.port}") as client:
        client.send(query("COPY taken FROM STDIN"))
        client.until(b"G")
        for _ in range(10):
            client.send(message(b"d", b"x" * 10_000 + b"\n"))
        wait_until(lambda: relayed.passed[Way.UP] > 100_000, what="rows to be on their way")
        relayed.reset()
        refused = fatal(client)
    assert refused.code == LOST
    assert office.record_of("COPY taken")["unmapped"]["outcome"] == "interrupted"
    office.wait_until_not_running("COPY taken")
    assert office.server.execute("SELECT count(*) FROM taken") == [(0,)]


def test_a_server_that_resets_every_new_connection_is_unreachable(office: Office):
    office.proxy.add_source(office.name, "closed", office.server, port=free_port())
    assert office.refusal("closed").code == UNREACHABLE
