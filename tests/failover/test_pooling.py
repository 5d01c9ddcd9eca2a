"""Kept connections whose server has become another, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import psycopg

from proxy.gateway.pooling import ROLE_SECONDS
from proxy.store import PoolSettings
from tests.failover.cluster import Cluster, Shop, port_of
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.standby import promote
from tests.servers.waiting import wait_until

POOLED = PoolSettings(mode="session")


def closes(proxy: ProxyServer, cause: str) -> float:
    return proxy.metrics()[f"pool_closes_total{{cause={cause}}}"]


def caught_up(shop: Shop) -> Shop:
    """When the proxy has seen that the source is there: the news of it empties its pool.

    Changes come in their order, and a newer token works only when all have come.
    """
    shop.port()
    shop.token = shop.proxy.create_token(shop.name)

    def has_come() -> bool:
        try:
            return bool(shop.port())
        except psycopg.OperationalError:
            return False

    wait_until(has_come, what="the proxy to see the changes")
    settle(shop.proxy)
    return shop


def settle(proxy: ProxyServer) -> None:
    """Until every connection is idle or closed."""

    def is_settled() -> bool:
        found = proxy.metrics()
        return not any(
            found[f"pool_connections{{state={state}}}"] for state in ("active", "resetting")
        )

    wait_until(is_settled, what="the connections to be kept")


def read_only(server: PostgresServer) -> None:
    server.configure(default_transaction_read_only="on")


def test_a_server_that_became_read_only_during_a_session_is_not_kept(
    own_cluster: Cluster, office_proxy: ProxyServer
):
    primary, standby = own_cluster.primary, own_cluster.standby
    shop = caught_up(Shop(office_proxy, primary, [primary, standby], "read-write", pooling=POOLED))
    before = closes(office_proxy, "reset_failed")
    with shop.connect() as session:
        assert port_of(session) == primary.port
        promote(standby)
        read_only(primary)
    wait_until(lambda: closes(office_proxy, "reset_failed") == before + 1, what="it to be closed")
    assert shop.port() == standby.port


def test_a_server_that_became_read_only_while_nobody_used_it_is_not_handed_out(
    own_cluster: Cluster, office_proxy: ProxyServer
):
    primary, standby = own_cluster.primary, own_cluster.standby
    shop = caught_up(Shop(office_proxy, primary, [primary, standby], "read-write", pooling=POOLED))
    closed = closes(office_proxy, "role")
    assert shop.port() == primary.port
    settle(office_proxy)
    since = monotonic()
    promote(standby)
    read_only(primary)
    wait_until(lambda: monotonic() - since > ROLE_SECONDS, what="what it said to be old")
    assert shop.port() == standby.port
    assert closes(office_proxy, "role") == closed + 1


def test_a_connect_that_finds_a_changed_server_closes_what_was_kept_of_it(
    own_cluster: Cluster, office_proxy: ProxyServer
):
    primary, standby = own_cluster.primary, own_cluster.standby
    shop = caught_up(Shop(office_proxy, primary, [standby, primary], "standby", pooling=POOLED))
    with shop.connect(application_name="one") as session:
        assert port_of(session) == standby.port
    settle(office_proxy)
    roles = closes(office_proxy, "role")
    promote(standby)
    # Other settings need another connection, which learns what has become of the server.
    assert "no host of the data source is standby" in refusal(shop, application_name="two")
    assert "no host of the data source is standby" in refusal(shop, application_name="one")
    # That one, and the one of no name: nothing idle is trusted any more.
    assert closes(office_proxy, "role") == roles + 2


def refusal(shop: Shop, **params: str) -> str:
    connect: Callable[..., object] = shop.connect
    try:
        connect(**params)
    except Exception as error:  # noqa: BLE001 - whatever the driver calls it
        return str(error)
    raise AssertionError("the login was not refused")
