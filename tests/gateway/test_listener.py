from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.gateway.listener import Connections, PendingLogins
from tests.faults.office import Office
from tests.hostile.raw import RawClient, Refused
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer


def test_an_address_has_its_share_and_the_others_theirs():
    pending = PendingLogins(total=3, per_address=2)
    assert pending.enter("a")
    assert pending.enter("a")
    assert not pending.enter("a")
    assert pending.enter("b")
    assert not pending.enter("c")
    pending.leave("a")
    assert pending.enter("c")


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=60))
def test_the_counts_are_those_of_a_plain_list(steps: list[tuple[bool, str]]):
    pending = PendingLogins(total=5, per_address=2)
    inside: list[str] = []
    for is_entering, address in steps:
        if is_entering:
            has_room = len(inside) < 5 and inside.count(address) < 2
            assert pending.enter(address) == has_room
            if has_room:
                inside.append(address)
        elif address in inside:
            inside.remove(address)
            pending.leave(address)
    for address in inside:
        pending.leave(address)
    assert [pending.enter(address) for address in "aabbc"] == [True] * 5


def test_connections_have_one_bound_and_leave_it():
    connections = Connections(2)
    assert [connections.enter() for _ in range(3)] == [True, True, False]
    connections.leave()
    assert connections.enter()
    assert not connections.enter()


def test_the_bound_on_sessions_holds_for_all_listeners_together(
    server_folder: Path, certificates: Certificates, postgres: PostgresServer
):
    proxy = ProxyServer(
        server_folder / "two-doors",
        certificates,
        limits={"sessions": 3},
        listener={"max_sessions": 2},
    )
    with proxy.config_file.open("a") as file:
        file.write("[[listeners]]\nport = 0\n")
    proxy.start()
    try:
        first, second = json.loads((proxy.folder / "ready.json").read_text())["listeners"]
        office = Office(proxy, postgres)

        def session(port: int) -> RawClient:
            return RawClient(port).log_in(office.name, office.token, "orders")

        def is_turned_away(port: int) -> bool:
            with RawClient(port) as client, pytest.raises(Refused) as told:
                client.until(b"R")
            return told.value.code == "53300"

        with session(first), session(first):
            # Its own bound, then that of both.
            assert is_turned_away(first)
            with session(second):
                assert is_turned_away(second)
        proxy.wait_until_quiet()
        with session(second), session(second), session(second):
            assert is_turned_away(first)
            assert is_turned_away(second)
    finally:
        proxy.remove()
