"""A client whose machine is gone in the middle of an answer, beside one that only reads nothing."""

from __future__ import annotations

import pytest

from tests.faults.office import Office
from tests.faults.relay import mute
from tests.hostile.raw import RawClient, query
from tests.servers.fixtures import ProxyFactory
from tests.servers.postgres import PostgresServer
from tests.servers.waiting import wait_until

ANSWER = query("SELECT repeat('x', 10000) FROM generate_series(1, 10000)")


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "tls"])
def test_a_client_whose_machine_is_gone_is_let_go_while_its_answer_is_on_its_way(
    start_proxy: ProxyFactory, postgres: PostgresServer, is_encrypted: bool
):
    office = Office(start_proxy(limits={"peer_timeout": 1.0}), postgres)

    def client() -> RawClient:
        client = RawClient(office.proxy.port, receive_buffer=65_536)
        if is_encrypted:
            client.start_tls()
        return client.log_in(office.name, office.token, "orders")

    with client() as rests, client() as gone:
        for one in (rests, gone):
            one.send(ANSWER)
        gone.read(1_000_000)
        mute(gone.socket)
        wait_until(lambda: len(office.sessions()) == 1, what="the client that is gone to be let go")
        # A kill would have its FATAL error; this one gets its rows.
        rests.read(8_000_000)
        assert len(office.sessions()) == 1
    wait_until(lambda: office.running("generate_series") == 0, what="its statement to be stopped")
