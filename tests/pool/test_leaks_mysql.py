"""Nothing that one client did to its MySQL or MariaDB session is there for the next one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.pool.mysql_pooled import MysqlPooled
from tests.servers.certificates import Certificates
from tests.servers.proxy import ProxyServer
from tests.servers.sql import SqlServer

SERVERS = {"mariadb": "native", "new_mariadb": "native", "mysql": "sha2"}


@pytest.fixture(scope="module", params=SERVERS)
def pooled(
    request: pytest.FixtureRequest, server_folder: Path, certificates: Certificates
) -> Iterator[MysqlPooled]:
    server: SqlServer = request.getfixturevalue(request.param)
    listener: dict[str, Any] = {"protocol": "mysql"}
    if server.is_mariadb:
        listener["server_version"] = "5.7.44-accode-proxy"
    proxy = ProxyServer(
        server_folder / f"pool-{request.param}",
        certificates,
        listener=listener,
        audit={"sync_interval": 0.01},
    )
    try:
        yield MysqlPooled(proxy.start(), server, "pooled", SERVERS[request.param])
    finally:
        proxy.remove()


# What a client does, and a question whose answer would show it.
STATE = {
    "a temporary table": (
        ["CREATE TEMPORARY TABLE pool_leaked (n int)"],
        "SELECT count(*) FROM pool_leaked",
    ),
    "a user variable": (["SET @leaked = 4711"], "SELECT @leaked"),
    "a statement prepared in SQL": (["PREPARE leaked FROM 'SELECT 1'"], "EXECUTE leaked"),
    "a named lock": (["SELECT GET_LOCK('leaked', 0)"], "SELECT IS_USED_LOCK('leaked')"),
    "a mode": (["SET sql_mode = 'ANSI_QUOTES'"], "SELECT @@sql_mode"),
    "a time zone": (["SET time_zone = '+05:45'"], "SELECT @@time_zone"),
    "a character set": (
        ["SET NAMES latin1"],
        "SELECT @@character_set_client, @@collation_connection",
    ),
    "results in another character set": (
        ["SET character_set_results = NULL"],
        "SELECT @@character_set_results",
    ),
    "a database": (["USE information_schema"], "SELECT DATABASE()"),
    "autocommit": (["SET autocommit = 0"], "SELECT @@autocommit"),
    "an open transaction": (
        ["BEGIN", "INSERT INTO pool_rows VALUES (1)"],
        "SELECT count(*) FROM pool_rows",
    ),
    "a read-only session": (
        ["SET SESSION TRANSACTION READ ONLY"],
        "INSERT INTO pool_rows VALUES (2)",
    ),
    "an isolation level": (
        ["SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"],
        "SHOW VARIABLES WHERE Variable_name IN ('tx_isolation', 'transaction_isolation')",
    ),
    "an insert id": (["INSERT INTO pool_ids VALUES ()"], "SELECT LAST_INSERT_ID()"),
    "a warning": (["SELECT 1/0, CAST('x' AS SIGNED)"], "SHOW WARNINGS"),
    "a time-out": (["SET wait_timeout = 4711"], "SELECT @@wait_timeout"),
    "a locked table": (
        ["LOCK TABLES pool_rows READ"],
        "DELETE FROM pool_rows",
    ),
    "unchecked keys": (["SET foreign_key_checks = 0"], "SELECT @@foreign_key_checks"),
    "a role": (["SET ROLE NONE"], "SELECT CURRENT_ROLE()"),
}


@pytest.fixture(autouse=True)
def tables(pooled: MysqlPooled) -> None:
    with closing(pooled.connect()) as client:
        for text in (
            "CREATE TABLE IF NOT EXISTS pool_rows (n int)",
            "CREATE TABLE IF NOT EXISTS pool_ids (n int AUTO_INCREMENT PRIMARY KEY)",
            "DELETE FROM pool_rows",
        ):
            rows(client, text)
    pooled.settle()


def rows(client: Any, text: str) -> Any:
    with client.cursor() as cursor:
        try:
            cursor.execute(text)
        except pymysql.err.MySQLError as error:
            return error.args[0]
        return cursor.fetchall()


def run(client: Any, statements: list[str]) -> None:
    for text in statements:
        assert not isinstance(rows(client, text), int), text


@pytest.mark.parametrize("name", STATE)
def test_the_next_client_finds_nothing_of(name: str, pooled: MysqlPooled):
    statements, question = STATE[name]
    with closing(pooled.connect()) as fresh:
        used = rows(fresh, "SELECT CONNECTION_ID()")
        expected = rows(fresh, question)
        run(fresh, statements)
    pooled.settle()
    with closing(pooled.connect()) as second:
        found = rows(second, question)
        assert rows(second, "SELECT CONNECTION_ID()") == used
    assert found == expected


def test_the_state_is_there_while_its_client_is(pooled: MysqlPooled):
    """Else the test above would compare nothing."""
    for name, (statements, question) in STATE.items():
        if name == "a role":
            continue
        with closing(pooled.connect()) as client:
            before = rows(client, question)
            run(client, statements)
            assert rows(client, question) != before, name
