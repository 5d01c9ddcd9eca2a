"""SIGTERM while somebody logs in: nobody is left without a word, whoever else is there."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.hostile.mysql.raw import MysqlClient
from tests.hostile.raw import RawClient, RawConnection, Refused
from tests.servers.fixtures import ProxyFactory
from tests.servers.proxy import ProxyServer
from tests.servers.waiting import wait_until

STOPPING = "the proxy is shutting down"

Come = Callable[[int], RawConnection]


def silent_postgres(port: int) -> RawClient:
    return RawClient(port)


def encrypted_postgres(port: int) -> RawClient:
    client = RawClient(port)
    client.start_tls()
    return client


def asked_postgres(port: int) -> RawClient:
    """In the middle of its proof, of a name that nobody has."""
    client = RawClient(port)
    client.start(("user", "nobody"), ("database", "nothing"))
    client.until(b"R")
    return client


def greeted_mysql(port: int) -> MysqlClient:
    return MysqlClient(port).greeted()


def encrypted_mysql(port: int) -> MysqlClient:
    client = MysqlClient(port).greeted()
    client.start_tls()
    return client


def refusal_of(client: RawConnection) -> Refused:
    assert isinstance(client, RawClient | MysqlClient)
    return client.refusal()


def logins(proxy: ProxyServer) -> float:
    return proxy.metrics()["sessions{state=login}"]


@pytest.mark.parametrize(
    ("protocol", "workers", "comers"),
    [
        ("postgres", 1, [silent_postgres, encrypted_postgres, asked_postgres]),
        ("postgres", 2, [silent_postgres, encrypted_postgres, asked_postgres]),
        ("mysql", 1, [greeted_mysql, encrypted_mysql]),
    ],
)
def test_a_login_under_way_is_told_where_no_session_has_to_be_waited_for(
    start_proxy: ProxyFactory, protocol: str, workers: int, comers: list[Come]
):
    proxy = start_proxy(
        listener={"protocol": protocol},
        workers={"count": workers},
        limits={"login_deadline": 60.0, "drain_deadline": 30.0},
    )
    clients = [come(proxy.port) for come in comers]
    wait_until(lambda: logins(proxy) == len(clients), what="every login to be under way")
    assert proxy.process is not None
    proxy.process.send_signal(signal.SIGTERM)
    for client in clients:
        with client:
            assert refusal_of(client).text == STOPPING
    assert proxy.process.wait(30) == 0


def test_a_refusal_that_waits_for_its_time_becomes_that_of_the_stop(start_proxy: ProxyFactory):
    proxy = start_proxy(limits={"failure_floor": 5.0, "drain_deadline": 30.0})
    with RawClient(proxy.port) as client:
        # Refused already, and not to be told so before the floor.
        client.start(("user", "nobody"), ("database", "nothing"), version=(2, 0))
        wait_until(lambda: "session refused" in proxy.log_text(), what="the refusal")
        assert proxy.process is not None
        proxy.process.send_signal(signal.SIGTERM)
        assert client.refusal().text == STOPPING
    assert proxy.process.wait(30) == 0
