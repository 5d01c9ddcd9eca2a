"""The same script directly and through the proxy: equal values, types, counts and errors."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
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

PREPARE, EXECUTE = 0x16, 0x17
Script = Callable[[dict[str, Any]], Any]

TABLE = """
CREATE TABLE {name} (id INT AUTO_INCREMENT PRIMARY KEY, word VARCHAR(40) NOT NULL,
    amount DECIMAL(12, 3), at DATETIME(6), data LONGBLOB, flags BIT(8), UNIQUE (word))
"""
VALUES = (
    "SELECT 1, -1, 18446744073709551615, 1.5e0, 12.340, NULL, '', 'h\u00e9llo', x'00ff',"
    " CAST('2026-11-24 01:02:03.456' AS DATETIME(3)), CAST('-838:59:59' AS TIME), b'101'"
)

# What both servers have, and what only one of them has.
TYPES = {
    "both": "a TINYINT UNSIGNED, b SMALLINT, c MEDIUMINT, d INT, e BIGINT UNSIGNED, f FLOAT,"
    " g DOUBLE, h DECIMAL(30, 10), i DATE, j TIME(6), k DATETIME(6), l TIMESTAMP NULL, m YEAR,"
    " n CHAR(5), o VARCHAR(50), p BINARY(4), q VARBINARY(9), r TINYTEXT, s MEDIUMBLOB,"
    " t ENUM('x', 'y'), u SET('x', 'y'), v BIT(9), w JSON, y GEOMETRY",
    "mysql": "z VECTOR(3)",
    "mariadb": "z INET6",
}
ROWS = """
INSERT INTO every_type VALUES (255, -32768, 8388607, -2147483648, 18446744073709551615, 1.25,
    -1e300, 12345678901234567890.0123456789, '9999-12-31', '-838:59:59',
    '2026-11-28 01:02:03.000004',
    '2026-11-28 01:02:03', 2155, 'ab', 'h\u00e9llo', x'00ff', x'0001', REPEAT('t', 255), x'fffefb',
    'y', 'x,y', b'100000001', '{"a": [1, null]}', ST_GeomFromText('POINT(1 2)'), %s)
"""
SPECIAL = {"mysql": "TO_VECTOR('[1, 2.5, -3]')", "mariadb": "'2001:db8::1'"}


def compare(route: Route, script: Script) -> Any:
    """What the script gives, the same both ways."""
    direct = script(route.direct())
    assert script(route.through()) == direct
    return direct


def failure(work: Callable[[], object]) -> tuple[str, str]:
    """The class and the number and text of the error that ``work`` must end with."""
    try:
        work()
    except (pymysql.err.MySQLError, mysql.connector.Error) as error:
        return type(error).__name__, str(error)
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


def test_a_value_of_every_type_as_text_and_as_binary(route: Route):
    columns = f"{TYPES['both']}, {TYPES[route.kind]}"

    def script(place: dict[str, Any]) -> list[Any]:
        # The bytes themselves: PyMySQL takes a GEOMETRY for ASCII text.
        options = pymysql_tls(route) | {"use_unicode": False, "conv": {}, "autocommit": True}
        with pymysql.connect(**place, **options) as connection:
            cursor = connection.cursor()
            cursor.execute("DROP TABLE IF EXISTS every_type")
            cursor.execute(f"CREATE TABLE every_type ({columns})")
            cursor.execute(ROWS % SPECIAL[route.kind])
            cursor.execute("INSERT INTO every_type () VALUES ()")
            cursor.execute("SELECT * FROM every_type")
            found: list[Any] = [cursor.fetchall(), cursor.description]
            # By hand: drivers that prepare fail at some of these types, also directly.
            connection._execute_command(PREPARE, "SELECT * FROM every_type")
            prepared = connection._read_packet().get_all_data()
            # The four bytes are its number, which MariaDB gives out for the whole server.
            found += [prepared[5:], until_eof(connection)]
            connection._execute_command(EXECUTE, prepared[1:5] + b"\x00\x01\x00\x00\x00")
            # The number of columns and their definitions, then the rows.
            found += [until_eof(connection), until_eof(connection)]
        return found

    rows, columns, *_, binary = compare(route, script)
    assert len(rows) == 2
    assert len(columns) == 25
    assert [packet[:1] for packet in binary] == [b"\x00", b"\x00", b"\xfe"]


def until_eof(connection: Any) -> list[bytes]:
    """The packets up to and including the next EOF."""
    packets: list[bytes] = []
    while not packets or packets[-1][:1] != b"\xfe":
        packets.append(connection._read_packet().get_all_data())
    return packets


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


@pytest.mark.parametrize("allowed", [True, False], ids=["on", "off"])
def test_a_file_is_loaded_where_the_driver_allows_it(route: Route, tmp_path: Path, allowed: bool):
    file = tmp_path / "rows.csv"
    file.write_text("".join(f"{number},row {number}\n" for number in range(5_000)) + "wrong\n")
    load = f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE filled FIELDS TERMINATED BY ','"

    def script(place: dict[str, Any]) -> list[Any]:
        with pymysql.connect(**place, **pymysql_tls(route), local_infile=allowed) as connection:
            cursor = connection.cursor()
            cursor.execute("DROP TABLE IF EXISTS filled")
            cursor.execute("CREATE TABLE filled (a VARCHAR(9), b TEXT)")
            found: list[Any] = []
            if allowed:
                cursor.execute(load)
                found.append(cursor.rowcount)
            else:
                found.append(failure(lambda: cursor.execute(load)))
            cursor.execute("SHOW WARNINGS")
            found.append(cursor.fetchall())
            cursor.execute("SELECT COUNT(*), SUM(a) FROM filled")
            found.append(cursor.fetchall())
        return found

    found = compare(route, script)
    assert found[2] == (((5_001, 12_497_500.0),) if allowed else ((0, None),))


def test_ten_thousand_prepared_statements(route: Route):
    # By hand: the drivers that prepare wait 40 ms for each (Nagle's algorithm, also directly).
    columns_follow = b"\x01\x00"
    with pymysql.connect(**route.through(), **pymysql_tls(route)) as connection:
        ids = []
        for number in range(10_000):
            connection._execute_command(PREPARE, f"SELECT {number}")
            answer = connection._read_packet().get_all_data()
            assert answer[5:7] == columns_follow
            ids.append(answer[1:5])
            connection._read_packet()
            connection._read_packet()
        assert len(set(ids)) == 10_000
        for number in (0, 5_000, 9_999):
            connection._execute_command(EXECUTE, ids[number] + b"\x00\x01\x00\x00\x00")
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
