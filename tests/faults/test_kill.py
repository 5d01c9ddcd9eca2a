"""``session list`` and ``session kill``: through the control socket, to the server."""

from __future__ import annotations

import pytest

from proxy.control import ControlError
from tests.faults.office import Office, fatal
from tests.hostile.raw import query
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer


@pytest.fixture
def office(proxy: ProxyServer, postgres: PostgresServer, request: pytest.FixtureRequest) -> Office:
    return Office(proxy, postgres, f"kill-{abs(hash(request.node.name)) % 10**8}")


def test_a_session_is_listed_with_what_it_does(office: Office):
    with office.session() as client:
        (idle,) = office.sessions()
        assert (idle["state"], idle["source"], idle["tls"]) == ("idle", "orders", False)
        client.query("BEGIN")
        assert office.sessions()[0]["state"] == "idle in transaction"
        client.send(query("SELECT pg_sleep(60), 'listed'"))
        office.wait_until_running("listed")
        assert office.sessions()[0]["state"] == "active"
        assert client.key is not None
        assert office.sessions()[0]["number"] == client.key.number
        office.control("session.kill", id=str(client.key.number))
        fatal(client)
    office.wait_until_not_running("listed")


def test_a_killed_session_is_told_and_its_statement_stops_at_the_server(office: Office):
    with office.session() as client, office.session() as other:
        client.send(query("SELECT pg_sleep(60), 'to be killed'"))
        office.wait_until_running("to be killed")
        (session,) = [one for one in office.sessions() if one["state"] == "active"]
        assert office.control("session.kill", id=session["id"]) == {"killed": 1}
        refused = fatal(client)
        assert refused.code == "57P01"
        assert refused.text == "this session was ended by an administrator"
        office.wait_until_not_running("to be killed")
        assert other.value("SELECT 1") == "1"
    assert office.record_of("to be killed")["unmapped"]["outcome"] == "interrupted"


@pytest.mark.parametrize("wanted", ["", "nobody", 0, None, "12345"])
def test_a_session_that_is_not_there_is_one_sentence(office: Office, wanted: object):
    with pytest.raises(ControlError, match="there is no session"):
        office.control("session.kill", id=wanted)
