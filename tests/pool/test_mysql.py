"""What a pooled source's clients do to each other, on a real MariaDB and a real MySQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.constants import COMMAND

from policies.document import read_policy
from proxy.store import PoolSettings, Store, Workspace
from tests.mysql.conftest import add_source
from tests.pool.load import Load
from tests.pool.mysql_pooled import MysqlPooled
from tests.pool.pooled import SOURCE
from tests.servers.certificates import Certificates
from tests.servers.proxy import ProxyServer
from tests.servers.sql import NUMBERS, SqlServer
from tests.servers.waiting import wait_until

SERVERS = {"mariadb": "native", "mysql": "sha2"}
ONE = PoolSettings("session", maximum=1, queue_seconds=20.0)
FEW = PoolSettings("session", maximum=3, life_seconds=60.0)
_NUMBERS = count()


class Place:
    """A proxy before one of the servers."""

    def __init__(self, proxy: ProxyServer, server: SqlServer, account: str) -> None:
        self.proxy = proxy
        self.server = server
        self.account = account

    def direct(self) -> dict[str, Any]:
        """How the server is reached without the proxy."""
        account = self.server.account(self.account)
        return {
            "host": self.server.host,
            "port": self.server.port,
            "user": account.name,
            "password": account.password,
            "database": self.server.database,
            "ssl_ca": str(self.proxy.certificates.ca),
        }

    def source(self, pooling: PoolSettings = ONE, **source: Any) -> MysqlPooled:
        name = f"place{next(_NUMBERS)}"
        return MysqlPooled(self.proxy, self.server, name, self.account, pooling, **source)


@pytest.fixture(scope="module", params=SERVERS)
def place(
    request: pytest.FixtureRequest, server_folder: Path, certificates: Certificates
) -> Iterator[Place]:
    server: SqlServer = request.getfixturevalue(request.param)
    listener: dict[str, Any] = {"protocol": "mysql"}
    if server.is_mariadb:
        listener["server_version"] = "5.7.44-accode-proxy"
    proxy = ProxyServer(
        server_folder / f"pool-place-{request.param}",
        certificates,
        listener=listener,
        audit={"sync_interval": 0.01},
    )
    try:
        yield Place(proxy.start(), server, SERVERS[request.param])
    finally:
        proxy.remove()


def value(client: Any, text: str) -> Any:
    with client.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall()[0][0]


def number_of(pooled: MysqlPooled, **options: Any) -> int:
    with closing(pooled.connect(**options)) as client:
        return int(value(client, "SELECT CONNECTION_ID()"))


def running(place: Place, word: str) -> bool:
    with closing(pymysql.connect(**place.direct())) as client:
        sql = (
            "SELECT count(*) FROM information_schema.processlist"
            f" WHERE info LIKE '%{word}%' AND info NOT LIKE '%processlist%'"
        )
        return bool(value(client, sql))


def test_a_second_client_is_told_what_the_first_was_told(place: Place):
    pooled = place.source()
    seen = []
    for _ in range(2):
        with closing(pooled.connect()) as client:
            seen.append(
                (
                    value(client, "SELECT CONNECTION_ID()"),
                    client.server_status,
                    client.server_capabilities,
                    value(client, "SELECT DATABASE()"),
                    value(client, "SELECT @@character_set_client"),
                )
            )
        pooled.settle()
    assert seen[0] == seen[1]


def test_clients_with_other_settings_have_other_connections(place: Place):
    pooled = place.source(PoolSettings("session"))
    first = number_of(pooled, charset="utf8mb4")
    pooled.settle()
    assert number_of(pooled, charset="latin1") != first
    pooled.settle()
    assert number_of(pooled, charset="utf8mb4") == first


def test_several_statements_are_off_again_where_a_client_has_turned_them_on(place: Place):
    pooled = place.source()
    with closing(pooled.connect()) as client:
        # COM_SET_OPTION, MYSQL_OPTION_MULTI_STATEMENTS_ON.
        client._execute_command(0x1B, b"\0\0")
        client._read_packet()
        number = value(client, "SELECT CONNECTION_ID()")
        with client.cursor() as cursor:
            cursor.execute("SELECT 1; SELECT 2")
    pooled.settle()
    with closing(pooled.connect()) as client:
        assert value(client, "SELECT CONNECTION_ID()") == number
        with pytest.raises(pymysql.err.ProgrammingError):
            value(client, "SELECT 1; SELECT 2")


def test_a_client_that_hangs_up_has_its_statement_stopped_and_leaves_the_connection(place: Place):
    # The second one asks the server to stop the first one's: it has to log in for that.
    pooled = place.source()
    client = pooled.connect()
    number = value(client, "SELECT CONNECTION_ID()")

    def run() -> None:
        with suppress(Exception), client.cursor() as cursor:
            cursor.execute("SELECT SLEEP(60), 'hung up'")

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: running(place, "hung up"), what="the statement to run")
    client._sock.shutdown(2)
    thread.join(20)
    wait_until(lambda: not running(place, "hung up"), what="the statement to stop")
    assert number_of(pooled) == number


def test_a_late_kill_stops_nothing_of_the_next_client(place: Place):
    """KILL QUERY of the first client's statement, up to its end, beside a second client."""
    pooled = place.source()
    add_source(place.proxy, pooled.name, place.server, place.account, name="beside")
    pooled.catch_up()

    def kill(killer: Any, number: int) -> None:
        # The session may be over, or its statement.
        with suppress(pymysql.err.MySQLError), killer.cursor() as cursor:
            cursor.execute(f"KILL QUERY {number}")

    with ExitStack() as stack:
        killers = [
            stack.enter_context(closing(pooled.connect(database="beside"))) for _ in range(3)
        ]
        connections = set()
        for _ in range(15):
            first = pooled.connect()
            connections.add(value(first, "SELECT CONNECTION_ID()"))
            first._execute_command(COMMAND.COM_QUERY, "SELECT SLEEP(0.002)")
            threads = [
                threading.Thread(target=kill, args=(killer, first.thread_id()))
                for killer in killers
            ]
            for thread in threads:
                thread.start()
            # Without waiting for an answer: all of them are under way.
            first.close()
            with closing(pooled.connect()) as second:
                many = "SELECT COUNT(*) FROM numbers a JOIN numbers b ON b.seq <= 20"
                assert value(second, many) == 20 * NUMBERS
            for thread in threads:
                thread.join(20)
    # It was the same connection that went from one to the next, or nothing was shown.
    assert len(connections) < 15


def test_no_session_fails_while_the_password_changes(place: Place):
    user, first = f"rotated{next(_NUMBERS)}", "First-9f2c"
    place.server.administer(
        f"CREATE USER {user}@'%' IDENTIFIED BY '{first}'",
        f"GRANT SELECT ON {place.server.database}.* TO {user}@'%'",
    )
    pooled = place.source(FEW, username=user, password=first)

    def visit() -> None:
        with closing(pooled.connect()) as client:
            value(client, "SELECT 1")

    load = Load(visit, threads=4)
    with load.running():
        load.wait_for(15)
        for password in ("Second-3b1f", "Third-77aa"):
            place.server.administer(f"ALTER USER {user}@'%' IDENTIFIED BY '{password}'")
            pooled.rotate(password)
            load.wait_for(15)
        # However many were served meanwhile by connections that are kept.
        pooled.hear()
        load.wait_for(20)
    assert load.failures == []
    versions = pooled.versions_used(source_id(pooled))
    # The second is left out where kept connections serve fifteen sessions before its news comes.
    assert {1, 3} <= set(versions) <= {1, 2, 3}
    assert versions[-1] == 3


def source_id(pooled: MysqlPooled) -> str:
    async def work(store: Store, workspace: Workspace) -> str:
        return (await store.source(workspace, SOURCE)).id

    return pooled.change(work)


def test_a_client_waits_for_the_only_connection_and_is_told_when_it_waits_too_long(place: Place):
    pooled = place.source(PoolSettings("session", maximum=1, queue_seconds=1.0))
    with closing(pooled.connect()):
        with pytest.raises(pymysql.err.OperationalError) as told:
            pooled.connect()
        assert told.value.args[0] == 1040
        assert "in use" in told.value.args[1]
    assert number_of(pooled)


def test_a_connection_that_the_server_ends_while_idle_is_not_given(place: Place):
    pooled = place.source()
    number = number_of(pooled)
    pooled.settle()
    lost = pooled.closes("lost")
    with closing(pymysql.connect(**place.direct())) as client, client.cursor() as cursor:
        cursor.execute(f"KILL {number}")
    wait_until(lambda: pooled.closes("lost") == lost + 1, what="the connection to be closed")
    assert number_of(pooled) != number


def test_a_read_only_session_is_read_only_for_the_next_client_too(place: Place):
    pooled = place.source()
    with closing(pooled.connect()) as client:
        for text in (
            "CREATE TABLE IF NOT EXISTS pool_guarded (n int)",
            "CREATE OR REPLACE VIEW pool_view AS SELECT 1 AS n",
        ):
            with client.cursor() as cursor:
                cursor.execute(text)

    async def govern(store: Store, workspace: Workspace) -> None:
        policy = read_policy('{"version": 1, "access": "read-only"}', "json")
        await store.policies.set_of_workspace(workspace, policy)

    pooled.change(govern)
    pooled.catch_up()
    seen = []
    for _ in range(3):
        with closing(pooled.connect()) as client:
            seen.append(
                (
                    value(client, "SELECT CONNECTION_ID()"),
                    value(client, "SELECT @@sql_mode"),
                )
            )
            with pytest.raises(pymysql.err.MySQLError):
                value(client, "INSERT INTO pool_guarded VALUES (1)")
        pooled.settle()
    assert len(set(seen)) == 1
    with closing(pymysql.connect(**place.direct())) as client:
        found = value(client, "SELECT count(*) FROM pool_guarded")
    assert found == 0


@pytest.mark.parametrize("is_news", [True, False], ids=["known", "not yet known"])
def test_what_runs_since_before_a_rotation_can_be_stopped(place: Place, is_news: bool):
    """It takes a login, for which the session's own password is too old by now."""
    server, account = place.server, place.server.account(place.account)
    name, first, second = f"rotating{next(_NUMBERS)}", "First-61d0c2", "Second-9a7f3e"
    server.administer(
        f"CREATE USER {name}@'%' {account.identified.replace(account.password, first)}",
        f"GRANT ALL ON {server.database}.* TO {name}@'%'",
    )
    pooled = MysqlPooled(
        *(place.proxy, server, name, place.account, PoolSettings()), username=name, password=first
    )
    outcome: list[Any] = []

    def sleep(client: Any) -> None:
        try:
            outcome.append(value(client, "SELECT SLEEP(50) + 1"))
        except pymysql.err.MySQLError as error:
            outcome.append(error.args[0])

    with closing(pooled.connect()) as client, closing(pooled.connect()) as other:
        thread = threading.Thread(target=sleep, args=[client])
        thread.start()
        asked = (
            f"SELECT 1 FROM information_schema.processlist"
            f" WHERE user = '{name}' AND info LIKE '%SLEEP(50)%'"
        )
        wait_until(lambda: server.administer(asked) != [], what="the statement")
        identified = account.identified.replace(account.password, second)
        server.administer(f"ALTER USER {name}@'%' {identified}")
        if is_news:
            pooled.rotate(second)
            wait_until(pooled.can_connect, what="the news")
        with other.cursor() as cursor:
            cursor.execute(f"KILL QUERY {client.thread_id()}")
        if not is_news:
            pooled.rotate(second)
        thread.join(20)
        # MariaDB ends SLEEP() early with 1, or the statement with an error.
        assert outcome in ([2], [1317])
