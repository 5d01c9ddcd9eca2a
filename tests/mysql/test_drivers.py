"""The same script directly and through the proxy: equal values, types, counts and errors."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from typing import Any

import aiomysql
import asyncmy
import mysql.connector
import pymysql
import pytest
from sqlalchemy import URL, create_engine, text

from tests.mysql.conftest import Route
from tests.servers.mariadb import program
from tests.servers.unpacked import MYSQL

Script = Callable[[dict[str, Any]], Any]

TABLE = """
CREATE TABLE {name} (id INT AUTO_INCREMENT PRIMARY KEY, word VARCHAR(40) NOT NULL,
    amount DECIMAL(12, 3), at DATETIME(6), data LONGBLOB, flags BIT(8), UNIQUE (word))
"""
VALUES = (
    "SELECT 1, -1, 18446744073709551615, 1.5e0, 12.340, NULL, '', 'h\u00e9llo', x'00ff',"
    " CAST('2026-11-24 01:02:03.456' AS DATETIME(3)), CAST('-838:59:59' AS TIME), b'101'"
)


def compare(route: Route, script: Script) -> Any:
    """What the script gives, the same both ways."""
    direct = script(route.direct())
    assert script(route.through()) == direct
    return direct


def failure(work: Callable[[], object]) -> tuple[str, Any]:
    """The class and the number of the error that ``work`` must end with."""
    try:
        work()
    except (pymysql.err.MySQLError, mysql.connector.Error) as error:
        return type(error).__name__, getattr(error, "errno", None) or error.args[0]
    raise AssertionError("there was no error")


def pymysql_tls(route: Route) -> dict[str, Any]:
    return {"ssl_ca": route.ca} if route.is_encrypted else {"ssl_disabled": True}


def test_pymysql(route: Route):
    def script(place: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        with pymysql.connect(**place, **pymysql_tls(route)) as connection:
            cursor = connection.cursor()
            cursor.execute(VALUES)
            found += [cursor.fetchall(), [column[:2] for column in cursor.description]]
            cursor.execute(TABLE.format(name="a"))
            rows = [("x", "1.5"), ("y", None), ("z", "3")]
            cursor.executemany("INSERT INTO a (word, amount) VALUES (%s, %s)", rows)
            found += [cursor.rowcount, cursor.lastrowid]
            found.append(failure(lambda: cursor.execute("INSERT INTO a (word) VALUES ('x')")))
            found.append(failure(lambda: cursor.execute("SELEC 1")))
            cursor.execute("UPDATE a SET amount = amount + 1 WHERE id > 1")
            found.append(cursor.rowcount)
            cursor.execute("SELECT CAST('12x' AS SIGNED)")
            cursor.execute("SHOW WARNINGS")
            found.append(cursor.fetchall())
            connection.rollback()
            cursor.execute("SELECT COUNT(*) FROM a")
            found.append(cursor.fetchall())
            cursor.execute("SELECT seq, REPEAT('v', seq % 50) FROM numbers ORDER BY seq")
            found.append(cursor.fetchall())
            cursor.execute("DROP TABLE a")
        return found

    compare(route, script)


def test_pymysql_takes_several_results(route: Route):
    flag = pymysql.constants.CLIENT.MULTI_STATEMENTS

    def script(place: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        with pymysql.connect(**place, **pymysql_tls(route), client_flag=flag) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT 1; SELECT 2, 3 UNION SELECT 4, 5; SET @x = 1; SELECT @x")
            found.append(cursor.fetchall())
            while cursor.nextset():
                found.append(cursor.fetchall())
            cursor.execute("DROP PROCEDURE IF EXISTS p")
            cursor.execute("CREATE PROCEDURE p () BEGIN SELECT 1; SELECT 2; END")
            cursor.callproc("p")
            found.append(cursor.fetchall())
            while cursor.nextset():
                found.append(cursor.fetchall())
            found.append(
                failure(
                    lambda: cursor.execute("SELECT 1; SELECT * FROM missing") and cursor.nextset()
                )
            )
            connection.ping(reconnect=False)
            connection.select_db("information_schema")
            cursor.execute("SELECT DATABASE()")
            found.append(cursor.fetchall())
        return found

    compare(route, script)


# Around where a packet is continued, and well past it.
@pytest.mark.parametrize("size", [0xFFFFFF - 10, 0xFFFFFF - 4, 0xFFFFFF, 64 * 1024 * 1024])
def test_large_values_pass_both_ways(route: Route, size: int):
    with pymysql.connect(**route.through(), **pymysql_tls(route)) as connection:
        connection.max_allowed_packet = 1 << 28
        cursor = connection.cursor()
        value = b"v" * size
        cursor.execute("SELECT %s", (value.decode(),))
        ((found,),) = cursor.fetchall()
        assert len(found) == size
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == ((1,),)


def test_a_million_rows_are_all_there(route: Route):
    cursor_type = pymysql.cursors.SSCursor
    with pymysql.connect(**route.through(), **pymysql_tls(route)) as connection:
        cursor = connection.cursor(cursor_type)
        cursor.execute(
            "SELECT 1000 * (a.seq - 1) + b.seq FROM numbers a JOIN numbers b"
            " WHERE a.seq <= 1000 AND b.seq <= 1000"
        )
        assert sum(row[0] for row in cursor) == 500_000_500_000


async def test_aiomysql(route: Route):
    tls = ssl.create_default_context(cafile=route.ca)

    async def script(place: dict[str, Any]) -> list[Any]:
        place["db"] = place.pop("database")
        connection = await aiomysql.connect(**place, ssl=tls if route.is_encrypted else None)
        try:
            async with connection.cursor() as cursor:
                await cursor.execute(VALUES)
                values = await cursor.fetchall()
                await cursor.execute("SELECT %s, %s", ("a'b", None))
                return [values, await cursor.fetchall(), cursor.description]
        finally:
            await connection.ensure_closed()

    assert await script(route.through()) == await script(route.direct())


async def test_asyncmy(route: Route):
    tls = ssl.create_default_context(cafile=route.ca)

    async def script(place: dict[str, Any]) -> list[Any]:
        connection = await asyncmy.connect(**place, ssl=tls if route.is_encrypted else None)
        try:
            async with connection.cursor() as cursor:
                await cursor.execute(VALUES)
                values = await cursor.fetchall()
                await cursor.execute("SELECT seq FROM numbers WHERE seq <= 1000 ORDER BY seq")
                return [values, await cursor.fetchall()]
        finally:
            await connection.ensure_closed()

    assert await script(route.through()) == await script(route.direct())


def connector(place: dict[str, Any], route: Route) -> Any:
    tls = {"ssl_ca": route.ca} if route.is_encrypted else {"ssl_disabled": True}
    return mysql.connector.connect(**place, **tls, use_pure=True, collation="utf8mb4_general_ci")


@pytest.mark.filterwarnings("ignore:Call to deprecated function stored_results")
def test_mysql_connector_prepares_statements(route: Route):
    def script(place: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        connection = connector(place, route)
        try:
            cursor = connection.cursor(prepared=True)
            for number in range(50):
                cursor.execute("SELECT ? + 1, ?, ?", (number, f"text {number}", None))
                found.append(cursor.fetchall())
            cursor.execute(
                "SELECT seq, seq / 3, REPEAT('v', 300) FROM numbers WHERE seq <= ? ORDER BY seq",
                (2000,),
            )
            found.append(cursor.fetchall())
            found.append(failure(lambda: cursor.execute("SELECT * FROM missing WHERE a = ?", (1,))))
            cursor.close()
            connection.cmd_reset_connection()
            plain = connection.cursor(buffered=True)
            plain.execute("DROP PROCEDURE IF EXISTS q")
            plain.execute("CREATE PROCEDURE q () BEGIN SELECT 1; SELECT 2; END")
            plain.callproc("q")
            found.append([one.fetchall() for one in plain.stored_results()])
        finally:
            connection.close()
        return found

    compare(route, script)


def test_ten_thousand_prepared_statements(route: Route):
    # By hand: the drivers that prepare wait 40 ms for each (Nagle's algorithm, also directly).
    prepare, execute, columns_follow = 0x16, 0x17, b"\x01\x00"
    with pymysql.connect(**route.through(), **pymysql_tls(route)) as connection:
        ids = []
        for number in range(10_000):
            connection._execute_command(prepare, f"SELECT {number}")
            answer = connection._read_packet().get_all_data()
            assert answer[5:7] == columns_follow
            ids.append(answer[1:5])
            connection._read_packet()
            connection._read_packet()
        assert len(set(ids)) == 10_000
        for number in (0, 5_000, 9_999):
            connection._execute_command(execute, ids[number] + b"\x00\x01\x00\x00\x00")
            packets = [connection._read_packet().get_all_data() for _ in range(5)]
            # Column count, column, EOF, the row (an INT behind a header and a bitmap), EOF.
            assert int.from_bytes(packets[3][2:6], "little") == number


def test_sqlalchemy(route: Route):
    def script(place: dict[str, Any]) -> list[Any]:
        url = URL.create(
            "mysql+pymysql",
            place["user"],
            place["password"],
            place["host"],
            place["port"],
            place["database"],
        )
        engine = create_engine(url, connect_args=pymysql_tls(route))
        with engine.connect() as connection:
            connection.execute(text(TABLE.format(name="b")))
            made = connection.execute(text("INSERT INTO b (word) VALUES (:w)"), [{"w": "k"}])
            found: list[Any] = [made.rowcount, made.lastrowid]
            found += connection.execute(text("SELECT word, amount FROM b")).all()
            connection.execute(text("DROP TABLE b"))
        engine.dispose()
        return found

    compare(route, script)


def programs(route: Route, name: str) -> list[str]:
    """How to start a command-line program: MariaDB's of the machine, or MySQL's own."""
    if name.startswith("mysql"):
        plugins = MYSQL.usr / "lib/mysql/plugin"
        tls = [f"--plugin-dir={plugins}", "--get-server-public-key", "--ssl-mode=DISABLED"]
        if route.is_encrypted:
            tls[1:] = [f"--ssl-ca={route.ca}", "--ssl-mode=VERIFY_IDENTITY"]
        return [*MYSQL.command(f"bin/{name}"), "--no-defaults", *tls]
    tls = ["--ssl", f"--ssl-ca={route.ca}"] if route.is_encrypted else ["--skip-ssl"]
    return [str(program(name)), "--no-defaults", *tls]


def command(route: Route, place: dict[str, Any], name: str, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [
            *programs(route, name),
            *(f"--host={place['host']}", f"--port={place['port']}", f"--user={place['user']}"),
            *arguments,
        ],
        env={"MYSQL_PWD": place["password"]},
        capture_output=True,
        # VALUES holds bytes that are no text.
        encoding="latin-1",
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("client", ["mariadb", "mysql"])
def test_the_command_line_client(route: Route, client: str):
    statements = f"{VALUES}; SELECT CAST('12x' AS SIGNED); SHOW WARNINGS; SELECT * FROM missing"

    def script(place: dict[str, Any]) -> tuple[int, str]:
        return command(
            route, place, client, "--table", "--show-warnings", "-e", statements,
            place["database"],
        )  # fmt: skip

    status, shown = compare(route, script)
    assert status == 1
    assert "1146" in shown
    assert "Truncated incorrect INTEGER value" in shown


@pytest.mark.parametrize("client", ["mariadb-dump", "mysqldump"])
def test_a_dump(route: Route, client: str):
    route.server.administer(
        "USE shop",
        "DROP TABLE IF EXISTS dumped",
        "CREATE TABLE dumped AS SELECT seq, REPEAT('d', 100) AS v FROM numbers WHERE seq <= 5000",
    )
    arguments = ("--skip-comments", "--single-transaction", "shop", "dumped")
    direct = command(route, route.direct(), client, *arguments)
    place = route.through(user=f"drivers/{route.account}")
    assert command(route, place, client, *arguments) == direct
    assert direct[0] == 0
    assert "INSERT INTO" in direct[1]
