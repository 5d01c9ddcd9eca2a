"""Several hosts of a MariaDB source: which of them takes changes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pymysql
import pytest

from proxy.store import Endpoint, Failover, PoolSettings
from tests.failover.cluster import Listening
from tests.mysql.conftest import add_source
from tests.servers.certificates import Certificates
from tests.servers.mariadb import MachineMariadb, is_installed
from tests.servers.ports import free_port
from tests.servers.proxy import ProxyServer
from tests.servers.sql import SqlServer
from tests.servers.waiting import wait_until

ACCOUNT = "native"
_NUMBERS = count()


@pytest.fixture(scope="module")
def replica(server_folder: Path, certificates: Certificates) -> Iterator[SqlServer]:
    """A MariaDB that is read-only; each test leaves it so."""
    if not is_installed():
        pytest.skip("MariaDB is missing: apt install mariadb-server")
    server = MachineMariadb(server_folder / "replica", certificates)
    try:
        server.start()
        set_read_only(server, 1)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def mysql_proxy(server_folder: Path, certificates: Certificates) -> Iterator[ProxyServer]:
    proxy = ProxyServer(
        server_folder / "failover-mysql-proxy",
        certificates,
        listener={"protocol": "mysql", "server_version": "5.7.44-accode-proxy"},
        limits={"connect_timeout": 4.0},
    )
    try:
        yield proxy.start()
    finally:
        proxy.remove()


def set_read_only(server: SqlServer, value: int) -> None:
    server.administer(f"SET GLOBAL read_only = {value}")


class Desk:
    """A workspace with a source on these servers, in this order."""

    def __init__(
        self, proxy: ProxyServer, first: SqlServer, second: Listening, target: Any, **source: Any
    ) -> None:
        self.proxy = proxy
        self.name = f"desk{next(_NUMBERS)}"
        self.token = proxy.create_workspace(self.name)
        failover = Failover((Endpoint(second.host, second.port),), target)
        add_source(proxy, self.name, first, ACCOUNT, name="orders", failover=failover, **source)

    def connect(self) -> Any:
        return pymysql.connect(
            host=self.proxy.host,
            port=self.proxy.port,
            user=self.name,
            password=self.token,
            database="orders",
            ssl_disabled=True,
            autocommit=True,
        )

    def port(self) -> int:
        with self.connect() as session:
            return port_of(session)


def port_of(session: Any) -> int:
    with session.cursor() as cursor:
        cursor.execute("SELECT @@port")
        ((port,),) = cursor.fetchall()
    return int(port)


@pytest.mark.parametrize("compression", ["", "zlib"])
def test_read_only_decides(
    mysql_proxy: ProxyServer, mariadb: SqlServer, replica: SqlServer, compression: str
):
    def port(target: str) -> int:
        return Desk(mysql_proxy, replica, mariadb, target, compression=compression).port()

    assert port("any") == replica.port
    assert port("read-only") == replica.port
    assert port("read-write") == mariadb.port


def test_where_none_takes_changes_one_sentence_says_so(
    mysql_proxy: ProxyServer, replica: SqlServer
):
    desk = Desk(mysql_proxy, replica, Endpoint("127.0.0.1", free_port()), "read-write")
    with pytest.raises(pymysql.err.OperationalError, match="no host of the data source is read-w"):
        desk.connect()


def test_a_kill_goes_to_the_server_that_the_session_is_on(
    mysql_proxy: ProxyServer, mariadb: SqlServer, replica: SqlServer
):
    desk = Desk(mysql_proxy, replica, mariadb, "read-write")
    with desk.connect() as victim, desk.connect() as killer:
        answers: list[Any] = []

        def sleep() -> None:
            with victim.cursor() as cursor:
                try:
                    cursor.execute("SELECT SLEEP(50), 'to be stopped'")
                except pymysql.err.MySQLError as error:
                    answers.append(error.args[0])

        def is_running() -> bool:
            running = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE"
            ((found,),) = mariadb.administer(f"{running} 'SELECT SLEEP(50)%'")
            return bool(found)

        thread = threading.Thread(target=sleep)
        thread.start()
        wait_until(is_running, what="the statement to run")
        connections = replica.status("Connections")
        with killer.cursor() as cursor:
            cursor.execute(f"KILL QUERY {victim.thread_id()}")
        thread.join(20)
        # ER_QUERY_INTERRUPTED
        assert answers == [1317]
        # Only this question has been one more: nobody looked for the session there.
        assert replica.status("Connections") == connections + 1


def test_a_kept_connection_of_a_server_that_became_read_only_is_not_handed_out(
    mysql_proxy: ProxyServer, mariadb: SqlServer, replica: SqlServer
):
    pooling = PoolSettings(mode="session")
    desk = Desk(mysql_proxy, replica, mariadb, "read-write", pooling=pooling)
    set_read_only(replica, 0)
    try:
        with desk.connect() as session:
            assert port_of(session) == replica.port
            set_read_only(replica, 1)

        def closes() -> float:
            return mysql_proxy.metrics()["pool_closes_total{cause=reset_failed}"]

        wait_until(lambda: closes() == 1, what="the connection to be closed")
        assert desk.port() == mariadb.port
    finally:
        set_read_only(replica, 1)
