"""Several hosts of a data source, over real servers: which one a session gets, and when."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from time import monotonic

import psycopg
import pytest

from policies.egress import UNREACHABLE
from proxy.gateway.breaker import THRESHOLD
from proxy.store.failover import Endpoint
from tests.failover.cluster import Cluster, Shop, port_of
from tests.failover.conftest import CONNECT_SECONDS
from tests.hostile.fake_server import FakeServer, Peer, Script, error
from tests.servers.fixtures import ProxyFactory
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import SCRAM
from tests.servers.standby import promote
from tests.servers.waiting import wait_until


def nobody() -> Endpoint:
    """A port on which nothing listens."""
    return Endpoint("127.0.0.1", free_port())


@pytest.fixture
def black_hole() -> Iterator[Endpoint]:
    """Takes connections, since its kernel does, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Endpoint("127.0.0.1", listener.getsockname()[1])


def skipped(proxy: ProxyServer) -> float:
    """How often a host was left alone, and the next one taken."""
    return proxy.metrics()["source_connects_total{outcome=skipped}"]


def spared(shop: Shop, other: PostgresServer) -> None:
    """Until a session is on the other host at once. A pause may just be over when it comes."""

    def is_so() -> bool:
        before = skipped(shop.proxy)
        assert shop.port() == other.port
        return skipped(shop.proxy) == before + 1

    wait_until(is_so, what="clients to be spared")


class NoServer:
    """What a source needs to know of a server that nobody reaches."""

    engine, host, database = "postgresql", "127.0.0.1", "postgres"
    port = 1
    certificates = None


@pytest.mark.parametrize(
    ("target", "is_standby"),
    [
        ("any", True),
        ("read-write", False),
        ("primary", False),
        ("read-only", True),
        ("standby", True),
        ("prefer-standby", True),
    ],
)
def test_a_session_is_on_the_first_host_that_is_what_the_source_asks_for(
    cluster: Cluster, office_proxy: ProxyServer, target: str, is_standby: bool
):
    shop = Shop(office_proxy, cluster.primary, [cluster.standby, cluster.primary], target)
    with shop.connect() as session:
        assert session.execute("SELECT pg_is_in_recovery()").fetchone() == (is_standby,)
    other_way = Shop(office_proxy, cluster.primary, [cluster.primary, cluster.standby], target)
    with other_way.connect() as session:
        row = session.execute("SELECT pg_is_in_recovery()").fetchone()
    assert row == (is_standby and target != "any",)


def test_the_log_and_the_list_of_sessions_name_the_host_that_was_used(
    cluster: Cluster, office_proxy: ProxyServer
):
    shop = Shop(office_proxy, cluster.primary, [cluster.standby, cluster.primary], "read-write")
    before = office_proxy.metrics()
    with shop.connect():
        (listed,) = shop.sessions()
    assert listed["host"] == f"127.0.0.1:{cluster.primary.port}"
    (opened,) = shop.records("Session opened")
    used = opened["dst_endpoint"]
    assert (used["hostname"], used["ip"]) == ("127.0.0.1", "127.0.0.1")
    assert used["port"] == cluster.primary.port
    # The credential went to both, and the log says so.
    assert [record["dst_endpoint"]["port"] for record in shop.records("Credential use")] == [
        cluster.standby.port,
        cluster.primary.port,
    ]
    after = office_proxy.metrics()
    assert after["source_failovers_total"] == before["source_failovers_total"] + 1
    for outcome in ("opened", "wrong_role"):
        name = f"source_connects_total{{outcome={outcome}}}"
        assert after[name] == before[name] + 1


def test_prefer_standby_takes_a_primary_where_there_is_no_standby(
    cluster: Cluster, office_proxy: ProxyServer
):
    gone = nobody()
    shop = Shop(office_proxy, cluster.primary, [cluster.primary, gone], "prefer-standby")
    assert shop.port() == cluster.primary.port


def test_where_no_host_is_what_is_asked_for_one_sentence_says_so(
    cluster: Cluster, office_proxy: ProxyServer
):
    several = Shop(office_proxy, cluster.primary, [cluster.standby, nobody()], "primary")
    assert "no host of the data source is primary (target_session_attrs)" in several.refusal()
    single = Shop(office_proxy, cluster.primary, [cluster.standby], "read-write")
    assert "the data source is not read-write (target_session_attrs)" in single.refusal()
    (failed,) = several.records("Session not opened")
    assert f"127.0.0.1:{cluster.standby.port}: the server is standby" in failed["status_detail"]


def test_what_a_session_asks_for_itself_does_not_make_its_server_another(
    cluster: Cluster, office_proxy: ProxyServer
):
    shop = Shop(office_proxy, cluster.primary, [cluster.standby, cluster.primary], "read-write")
    with shop.connect(options="-c default_transaction_read_only=on") as session:
        assert port_of(session) == cluster.primary.port


def test_when_the_primary_dies_and_the_standby_is_promoted_the_next_session_is_on_it(
    own_cluster: Cluster, office_proxy: ProxyServer
):
    primary, standby = own_cluster.primary, own_cluster.standby
    shop = Shop(office_proxy, primary, [primary, standby], "read-write")
    with shop.connect() as session:
        assert port_of(session) == primary.port
        session.execute("CREATE TABLE kept (n int)")
        session.execute("INSERT INTO kept VALUES (1)")
        wait_until(
            lambda: standby.execute("SELECT to_regclass('kept') IS NOT NULL") == [(True,)],
            what="the standby to have the table",
        )
        primary.kill()
        with pytest.raises(psycopg.OperationalError):
            session.execute("INSERT INTO kept VALUES (2)")
    promote(standby)
    with shop.connect() as session:
        assert port_of(session) == standby.port
        session.execute("INSERT INTO kept VALUES (3)")
    # What was sent to the lost server was not sent again.
    assert "VALUES (2)" not in standby.log_text()


def test_random_order_spreads_sessions_over_the_hosts(cluster: Cluster, office_proxy: ProxyServer):
    shop = Shop(office_proxy, cluster.primary, [cluster.primary, cluster.standby], "any", "random")
    # That one of two fair coins never falls is a matter of one in half a million.
    assert {shop.port() for _ in range(20)} == {cluster.primary.port, cluster.standby.port}


def test_a_host_that_says_nothing_costs_its_share_of_the_time_and_then_none(
    cluster: Cluster, office_proxy: ProxyServer, black_hole: Endpoint
):
    shop = Shop(office_proxy, cluster.primary, [black_hole, cluster.primary])
    opened = office_proxy.metrics()["source_breakers_opened_total"]
    started = monotonic()
    assert shop.port() == cluster.primary.port
    # Not all of it: the other host has had the rest.
    assert monotonic() - started >= CONNECT_SECONDS / 2
    for _ in range(THRESHOLD - 1):
        shop.port()
    assert office_proxy.metrics()["source_breakers_opened_total"] == opened + 1
    spared(shop, cluster.primary)
    assert "is left alone" in office_proxy.log_text()


def test_no_client_waits_for_a_frozen_host_and_it_is_used_again_when_it_thaws(
    own_postgres: PostgresServer, postgres: PostgresServer, office_proxy: ProxyServer
):
    shop = Shop(office_proxy, postgres, [own_postgres, postgres])
    own_postgres.freeze()
    try:
        for _ in range(THRESHOLD):
            assert shop.port() == postgres.port
        started, logins, before = monotonic(), 0, skipped(office_proxy)
        # Longer than several of the first looks at it: its kernel takes all of them.
        while monotonic() - started < 1.5 or logins < 2:
            assert shop.port() == postgres.port
            logins += 1
        assert skipped(office_proxy) - before == logins
    finally:
        own_postgres.thaw()
    wait_until(lambda: shop.port() == own_postgres.port, what="the host to be used again")


def test_a_refused_credential_is_not_tried_at_the_next_host(
    own_cluster: Cluster, office_proxy: ProxyServer
):
    primary, standby = own_cluster.primary, own_cluster.standby
    shop = Shop(office_proxy, primary, [primary, standby], password="of last year")
    assert "the data source's server refused the stored credential (28P01)" in shop.refusal()
    assert f"user={SCRAM.name}" not in standby.log_text()


def dies_behind_the_startup(peer: Peer) -> None:
    peer.startup()
    peer.socket.close()


def starts(peer: Peer) -> None:
    peer.startup()
    peer.send(error("the database system is starting up", code="57P03"))


def is_full(peer: Peer) -> None:
    peer.startup()
    peer.send(error("sorry, too many clients already", code="53300"))


@pytest.mark.parametrize("script", [dies_behind_the_startup, starts, is_full])
def test_a_server_that_lets_nobody_in_gives_way_to_the_next(
    postgres18: PostgresServer, office_proxy: ProxyServer, script: Script
):
    with FakeServer() as fake:
        fake.play(script)
        shop = Shop(office_proxy, postgres18, [Endpoint("127.0.0.1", fake.port), postgres18])
        assert shop.port() == postgres18.port
        assert len(fake.peers) == 1


def test_a_server_that_breaks_the_protocol_is_not_passed_over(
    postgres18: PostgresServer, office_proxy: ProxyServer
):
    with FakeServer() as fake:
        fake.play(lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        shop = Shop(office_proxy, postgres18, [Endpoint("127.0.0.1", fake.port), postgres18])
        assert "did not keep to its protocol" in shop.refusal()


def test_a_certificate_is_held_against_the_name_of_the_host_that_is_dialled(
    own_cluster: Cluster, office_proxy: ProxyServer
):
    primary, standby = own_cluster.primary, own_cluster.standby
    primary.use_certificate("server-localhost-alone")
    by_name = Endpoint("localhost", primary.port)
    assert Shop(office_proxy, primary, [standby, by_name], "primary").port() == primary.port
    wrong = Shop(office_proxy, primary, [Endpoint("localhost", standby.port), primary], "primary")
    assert "certificate was not accepted" in wrong.refusal()


def test_where_no_host_answers_a_client_waits_in_vain_only_at_first(
    own_postgres: PostgresServer, office_proxy: ProxyServer
):
    shop = Shop(office_proxy, own_postgres, [own_postgres, nobody()])
    own_postgres.stop()
    for _ in range(THRESHOLD):
        assert shop.refusal().rstrip().endswith(UNREACHABLE)
    # A pause may just be over when a client comes.
    wait_until(
        lambda: f"{UNREACHABLE}; next try in " in shop.refusal(), what="clients to be spared"
    )
    own_postgres.start()

    def is_back() -> bool:
        try:
            return shop.port() == own_postgres.port
        except psycopg.OperationalError:
            return False

    wait_until(is_back, what="the proxy to find the server again")
    assert "a data source's host answers again" in office_proxy.log_text()


def test_what_may_not_be_dialled_is_refused_as_what_does_not_answer(start_proxy: ProxyFactory):
    """Else the sentences would tell which private addresses have something to hide."""
    proxy = start_proxy(egress={"allow_private": False}, limits={"failure_floor": 0.0})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        there = Endpoint("127.0.0.1", listener.getsockname()[1])
        shop = Shop(proxy, NoServer(), [there, nobody()])
        said = [shop.refusal().partition("FATAL:")[2].strip() for _ in range(THRESHOLD)]
        assert said == [UNREACHABLE] * THRESHOLD
        wait_until(lambda: f"{UNREACHABLE}; next try in " in shop.refusal(), what="the pause")
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_single_host_that_was_restarted_serves_the_first_who_comes(
    own_postgres: PostgresServer, office_proxy: ProxyServer
):
    shop = Shop(office_proxy, own_postgres, [own_postgres])
    own_postgres.stop()
    for _ in range(2 * THRESHOLD):
        assert shop.refusal().rstrip().endswith(UNREACHABLE)
    own_postgres.start()
    assert shop.port() == own_postgres.port


def test_a_single_host_that_says_nothing_is_not_waited_for_by_everybody(
    postgres: PostgresServer, office_proxy: ProxyServer, black_hole: Endpoint
):
    shop = Shop(office_proxy, postgres, [black_hole])
    for _ in range(THRESHOLD):
        assert shop.refusal().rstrip().endswith(UNREACHABLE)
    # Nobody was dialled: else it would not be said when somebody will be.
    wait_until(
        lambda: f"{UNREACHABLE}; next try in " in shop.refusal(), what="clients to be spared"
    )


def test_one_workspace_does_not_close_a_host_to_another(
    own_postgres: PostgresServer, office_proxy: ProxyServer
):
    gone = nobody()
    mine = Shop(office_proxy, own_postgres, [own_postgres, gone])
    others = Shop(office_proxy, own_postgres, [own_postgres, gone])
    own_postgres.stop()
    for _ in range(THRESHOLD):
        mine.refusal()
    wait_until(lambda: "next try in" in mine.refusal(), what="clients to be spared")
    assert "next try in" not in others.refusal()
    own_postgres.start()
    assert others.port() == own_postgres.port


def test_a_cancel_goes_to_the_host_that_the_session_is_on(
    cluster: Cluster, office_proxy: ProxyServer
):
    shop = Shop(office_proxy, cluster.primary, [cluster.standby, cluster.primary], "primary")
    with shop.connect() as session:
        session.execute("SELECT 1")
        with psycopg.ClientCursor(session) as cursor:

            def is_running() -> bool:
                sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%failover-sleep%'"
                return bool(cluster.primary.execute(sql + " AND state = 'active'")[0][0] > 1)

            def stop() -> None:
                wait_until(is_running, what="the statement to run")
                session.cancel()

            thread = threading.Thread(target=stop)
            thread.start()
            with pytest.raises(psycopg.errors.QueryCanceled):
                cursor.execute("SELECT pg_sleep(60) /* failover-sleep */")
            thread.join()


def test_a_policy_of_hosts_holds_for_each_of_them(
    start_proxy: ProxyFactory, postgres: PostgresServer
):
    """The operator's ports are asked at each connect, for every host that is dialled."""
    proxy = start_proxy(
        egress={"allow_private": True, "ports": [postgres.port]}, limits={"connect_timeout": 2.0}
    )
    other = nobody()
    shop = Shop(proxy, postgres, [other, postgres])
    assert shop.port() == postgres.port
    before = proxy.metrics()["source_connects_total{outcome=unreachable}"]
    assert before == 1
