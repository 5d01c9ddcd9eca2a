"""What only this protocol has: KILL, LOAD DATA LOCAL, its commands, and its drivers' logins.

What holds for every protocol is in tests/conformance.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import pymysql
import pytest

from protocols.mysql.protocol import DEFAULT_SERVER_VERSION
from tests.mysql.conftest import WORKSPACE, Route, add_source
from tests.servers.fixtures import ProxyFactory
from tests.servers.proxy import ProxyServer, Record
from tests.servers.sql import SqlServer
from tests.servers.waiting import wait_until


def connect(route: Route, **changes: Any) -> Any:
    tls = {"ssl_ca": route.ca} if route.is_encrypted else {"ssl_disabled": True}
    return pymysql.connect(**route.through(**changes), **tls, autocommit=True)


def error_of(route: Route, **changes: Any) -> tuple[int, str]:
    with pytest.raises(pymysql.err.MySQLError) as caught:
        connect(route, **changes).close()
    number, text = caught.value.args
    return number, text


def value(connection: Any, sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        ((found,),) = cursor.fetchall()
        return found


def records_of(proxy: ProxyServer, text: str) -> list[Record]:
    """The records of the statements whose text contains ``text``, once there are some."""

    def matching(records: list[Record]) -> list[Record]:
        return [r for r in records if text in r.get("query_info", {}).get("query_string", "")]

    return matching(proxy.audit_events(lambda records: bool(matching(records))))


def test_a_login_without_a_database_is_told_that_it_must_name_a_source(route: Route):
    assert "which data source?" in error_of(route, database=None)[1]


def test_the_greeting_has_the_listeners_version_and_sql_tells_the_servers(route: Route):
    # The greeting comes before the source is known; drivers choose their first queries by it.
    ((real,),) = route.server.administer("SELECT VERSION()")
    told = "5.7.44-accode-proxy" if route.server.is_mariadb else DEFAULT_SERVER_VERSION
    assert real not in told
    with connect(route) as connection:
        assert connection.get_server_info() == told
        assert value(connection, "SELECT VERSION()") == real


def test_the_record_says_where_names_without_a_database_are_looked_up(route: Route):
    user = f"{WORKSPACE}/{route.source}"
    for login, database in (
        ({}, route.server.database),
        ({"user": user, "database": "information_schema"}, "information_schema"),
    ):
        text = f"SELECT DATABASE() /* {route.source}, {database} */"
        with connect(route, **login) as connection:
            assert value(connection, text) == database
        (record,) = records_of(route.proxy, text)
        assert record["unmapped"]["default_database"] == database


def test_a_statement_with_a_password_is_recorded_without_it(route: Route):
    name = f"redacted_{route.account}"
    with connect(route) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER {name} IDENTIFIED BY 'hunter2 of {name}'")
        cursor.execute(f"DROP USER {name}")
    assert records_of(route.proxy, f"DROP USER {name}")
    for file in route.proxy.audit_folder.rglob("*"):
        if file.is_file():
            assert f"hunter2 of {name}".encode() not in file.read_bytes()


def test_a_statement_is_killed_by_its_drivers_number(route: Route):
    victim = connect(route)
    outcome: list[Any] = []

    def sleep() -> None:
        try:
            outcome.append(value(victim, "SELECT SLEEP(60) + 1"))
        except pymysql.err.MySQLError as error:
            outcome.append(error.args[0])

    thread = threading.Thread(target=sleep)
    thread.start()
    running = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(60)%'"
    # The question itself is the other one.
    wait_until(lambda: route.server.administer(running) > [(1,)], what="the statement")
    with connect(route) as other, other.cursor() as cursor:
        cursor.execute(f"KILL QUERY {victim.thread_id()}")
    thread.join(20)
    # MariaDB ends SLEEP() early with 1, or the statement with an error.
    assert outcome in ([2], [1317])
    assert value(victim, "SELECT 7") == 7
    victim.close()


def test_nobody_elses_session_can_be_killed(route: Route):
    workspace = f"other-{route.account}"
    token = route.proxy.create_workspace(workspace)
    add_source(route.proxy, workspace, route.server, route.account, name=route.source)
    mine = connect(route)
    with connect(route, user=workspace, password=token) as other:
        cursor = other.cursor()
        with pytest.raises(pymysql.err.MySQLError, match="Unknown thread id"):
            cursor.execute(f"KILL {mine.thread_id()}")
        with pytest.raises(pymysql.err.MySQLError, match="Unknown thread id"):
            cursor.execute(f"KILL {value(mine, 'SELECT CONNECTION_ID()')}")
        assert value(other, "SELECT 1") == 1
    assert value(mine, "SELECT 1") == 1
    mine.close()


def test_a_file_is_loaded_where_the_listener_allows_it(route: Route, tmp_path: Path):
    file = tmp_path / "rows.csv"
    file.write_text("".join(f"{number},row {number}\n" for number in range(5_000)))
    with connect(route, local_infile=True) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS loaded")
        cursor.execute("CREATE TABLE loaded (a INT, b TEXT)")
        cursor.execute(
            f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE loaded FIELDS TERMINATED BY ','"
        )
        assert cursor.rowcount == 5_000
        assert value(connection, "SELECT SUM(a) FROM loaded") == sum(range(5_000))


@pytest.mark.parametrize(("fixture", "account"), [("mariadb", "native"), ("mysql", "sha2")])
def test_no_file_is_asked_for_where_the_listener_does_not(
    start_proxy: ProxyFactory,
    request: pytest.FixtureRequest,
    fixture: str,
    account: str,
    tmp_path: Path,
):
    server: SqlServer = request.getfixturevalue(fixture)
    proxy = start_proxy(listener={"protocol": "mysql"})
    token = proxy.create_workspace(WORKSPACE)
    add_source(proxy, WORKSPACE, server, account)
    route = Route(proxy, server, account, token, is_encrypted=True)
    file = tmp_path / "rows.csv"
    file.write_text("1\n")
    with connect(route, local_infile=True) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS unloaded")
        cursor.execute("CREATE TABLE unloaded (a INT)")
        with pytest.raises(pymysql.err.MySQLError):
            cursor.execute(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE unloaded")
        assert value(connection, "SELECT COUNT(*) FROM unloaded") == 0


def test_a_refused_command_leaves_the_session_usable(route: Route):
    with connect(route) as connection:
        # COM_CHANGE_USER: the client's own name and token would be sent to the data source.
        connection._execute_command(0x11, b"root\0\0\0")
        with pytest.raises(pymysql.err.MySQLError):
            connection._read_packet()
        assert value(connection, "SELECT 1") == 1


def test_the_credential_is_seen_nowhere(route: Route):
    with connect(route) as connection:
        assert value(connection, "SELECT 1") == 1
    password = route.server.account(route.account).password.encode()
    forms = [
        password,
        password.hex().encode(),
        hashlib.sha1(password).hexdigest().encode(),
        hashlib.sha256(password).hexdigest().encode(),
        route.token.encode(),
    ]
    for file in route.proxy.folder.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert not any(form in data for form in forms), file.name
