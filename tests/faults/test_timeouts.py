"""How long a session may stay: idle, idle in a transaction, in all."""

from __future__ import annotations

import pytest

from tests.faults.office import Office, fatal
from tests.servers.fixtures import ProxyFactory
from tests.servers.postgres import PostgresServer


def test_an_idle_session_ends_and_a_running_statement_is_not_idle(
    start_proxy: ProxyFactory, postgres: PostgresServer
):
    office = Office(start_proxy(limits={"idle_timeout": 1.0}), postgres)
    with office.session() as idle, office.session() as busy:
        # Longer than the limit and the sweep together.
        busy.query("SELECT pg_sleep(2.5), 'not idle'")
        refused = fatal(idle)
        assert (refused.code, refused.text) == ("57P05", "this session was idle for too long")
        assert fatal(busy).code == "57P05"


def test_an_idle_transaction_ends_and_an_idle_session_does_not(
    start_proxy: ProxyFactory, postgres: PostgresServer
):
    office = Office(start_proxy(limits={"transaction_idle_timeout": 1.0}), postgres)
    with office.session() as idle, office.session() as client:
        client.query("BEGIN")
        refused = fatal(client)
        assert refused.text == "this session was idle in a transaction for too long"
        assert refused.code.startswith("57P")
        assert idle.value("SELECT 1") == "1"


@pytest.mark.parametrize("statement", ["SELECT 1", "SELECT pg_sleep(60), 'too long'"])
def test_a_session_ends_at_its_longest_duration_whatever_it_does(
    start_proxy: ProxyFactory, postgres: PostgresServer, statement: str
):
    office = Office(start_proxy(limits={"session_timeout": 1.0}), postgres)
    with office.session() as client:
        client.send(b"Q" + (len(statement) + 5).to_bytes(4, "big") + statement.encode() + b"\0")
        refused = fatal(client)
    assert refused.code == "57P01"
    assert refused.text == "this session has reached its longest duration"
    office.wait_until_not_running("too long")
