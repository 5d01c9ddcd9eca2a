"""Floods of connections: who is over a limit is told 53300, and nobody else suffers."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.hostile.raw import Refused, startup_packet
from tests.hostile.stage import Stage
from tests.servers.fixtures import ProxyFactory
from tests.servers.postgres import PostgresServer
from tests.servers.waiting import wait_until


def small(start: ProxyFactory, postgres: PostgresServer, **limits: int) -> Stage:
    proxy = start(limits=limits)
    stage = Stage(proxy)
    for workspace in ("alpha", "beta"):
        stage.create_workspace(workspace)
        proxy.add_source(workspace, "orders", postgres)
    return stage


def turned_away(stage: Stage, *, speaking: bool) -> str:
    """The SQLSTATE that one more connection is told."""
    with stage.client() as client:
        if speaking:
            client.send(startup_packet(("user", "alpha"), ("database", "orders")))
        return client.refusal().code


@pytest.mark.parametrize("speaking", [False, True])
def test_pending_logins_of_one_address_are_limited(
    start_proxy: ProxyFactory, postgres: PostgresServer, speaking: bool
):
    stage = small(start_proxy, postgres, pending_logins_per_address=5)
    with stage.log_in("beta", "orders") as session, ExitStack() as stack:
        before = stage.socket_count()
        silent = [stack.enter_context(stage.client()) for _ in range(5)]
        wait_until(lambda: stage.socket_count() == before + 5, what="five silent clients")
        for _ in range(20):
            assert turned_away(stage, speaking=speaking) == "53300"
        # Who has logged in is no longer pending.
        assert session.value("SELECT 1") == "1"
        silent[0].close()
        wait_until(lambda: stage.socket_count() == before + 4, what="a place to be free")
        with stage.log_in("beta", "orders") as another:
            assert another.value("SELECT 2") == "2"
    wait_until(lambda: stage.socket_count() <= before - 2, what="all sockets to be closed")


def test_pending_logins_of_all_are_limited(start_proxy: ProxyFactory, postgres: PostgresServer):
    stage = small(start_proxy, postgres, pending_logins=4, pending_logins_per_address=4)
    with stage.log_in("beta", "orders") as session, ExitStack() as stack:
        before = stage.socket_count()
        for _ in range(4):
            stack.enter_context(stage.client())
        wait_until(lambda: stage.socket_count() == before + 4, what="four silent clients")
        assert turned_away(stage, speaking=False) == "53300"
        assert session.value("SELECT 1") == "1"


def test_sessions_of_one_workspace_are_limited_and_no_others(
    start_proxy: ProxyFactory, postgres: PostgresServer
):
    stage = small(start_proxy, postgres, sessions_per_workspace=3)
    with ExitStack() as stack:
        sessions = [stack.enter_context(stage.log_in("alpha", "orders")) for _ in range(3)]
        for _ in range(5):
            with pytest.raises(Refused) as refused:
                stage.log_in("alpha", "orders")
            assert refused.value.code == "53300"
        with stage.log_in("beta", "orders") as other:
            assert other.value("SELECT 1") == "1"
        assert [session.value("SELECT 2") for session in sessions] == ["2"] * 3
        sessions[0].close()

        codes = set()

        def has_room() -> bool:
            try:
                stage.log_in("alpha", "orders").close()
            except Refused as refused:
                codes.add(refused.code)
                return False
            return True

        wait_until(has_room, what="a place to be free")
        assert codes <= {"53300"}


def test_sessions_in_all_are_limited(start_proxy: ProxyFactory, postgres: PostgresServer):
    stage = small(start_proxy, postgres, sessions=3)
    with ExitStack() as stack:
        sessions = [stack.enter_context(stage.log_in("alpha", "orders")) for _ in range(3)]
        for speaking in (False, True) * 5:
            assert turned_away(stage, speaking=speaking) == "53300"
        assert [session.value("SELECT 2") for session in sessions] == ["2"] * 3


def test_a_flood_of_connections_leaves_open_sessions_and_descriptors_alone(stage: Stage):
    with ExitStack() as stack:
        clients = [stack.enter_context(stage.client()) for _ in range(150)]
        assert stage.bystander is not None
        assert stage.bystander.value("SELECT 5") == "5"
        # The limit of one address is 100: the rest is told and let go.
        assert {client.refusal().code for client in clients[100:]} == {"53300"}
