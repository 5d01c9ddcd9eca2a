"""Compressed legs against a real server and real clients: either, both, with and without TLS.

MySQL's own client library is the judge: it compares every number of a compressed packet.
MariaDB's programs are the second. mysql-connector-python's reader in Python loses step
where a packet's header lies across two compressed packets, also without us; it is asked
for little at a time.
"""

from __future__ import annotations

import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mysql.connector
import pymysql
import pytest

from policies.document import Policy
from proxy.store import Store
from tests.mysql.conftest import WORKSPACE, Enter, Route, add_source
from tests.mysql.libmysqlclient import Answer, run
from tests.mysql.test_drivers import VALUES, command, compare
from tests.servers.fixtures import ProxyFactory
from tests.servers.mariadb import program
from tests.servers.proxy import ProxyServer
from tests.servers.sql import SqlServer
from tests.servers.waiting import wait_until

# How the client's leg is compressed, and the source: "native" is TLS on both legs.
LEGS = {
    "client": ("zlib", "native"),
    "source": ("uncompressed", "ed25519-zlib"),
    "both": ("zlib", "native-zlib"),
    "zstd": ("zstd", "ed25519"),
    "unlike": ("zstd", "native-zlib"),
}


@dataclass(frozen=True)
class Legs:
    """A route, and how its client compresses."""

    route: Route
    compression: str

    def ask(self, place: dict[str, Any], *statements: str, folder: Path | None = None) -> Answer:
        """Statements' results, by MySQL's own client library."""
        return run(
            place,
            # MariaDB's server knows no zstd.
            self.compression if place["port"] == self.route.proxy.port else "zlib",
            *statements,
            ca=self.route.ca if self.route.is_encrypted else None,
            folder="" if folder is None else str(folder),
        )

    def ask_both(self, *statements: str) -> Answer:
        """The same directly and through the proxy."""
        return compare(self.route, lambda place: self.ask(place, *statements))  # type: ignore[no-any-return]


@pytest.fixture
def mysql_proxy(enter: Enter) -> ProxyServer:
    """The proxy before MariaDB."""
    return enter("mariadb").proxy


@pytest.fixture(scope="session")
def workspace_token(enter: Enter) -> str:
    """A token of the workspace that has sources for each account, compressed and not."""
    entrance = enter("mariadb")
    for account in ("native", "ed25519"):
        add_source(entrance.proxy, WORKSPACE, entrance.server, account, compression="zlib")
    return entrance.token


@pytest.fixture(params=list(LEGS))
def legs(
    request: pytest.FixtureRequest,
    mysql_proxy: ProxyServer,
    mariadb: SqlServer,
    workspace_token: str,
) -> Legs:
    """Each way to compress, within TLS or without any."""
    compression, source = LEGS[request.param]
    is_encrypted = source.startswith("native")
    return Legs(Route(mysql_proxy, mariadb, source, workspace_token, is_encrypted), compression)


def test_everyday_statements_are_equal(legs: Legs):
    found = legs.ask_both(
        VALUES,
        "CREATE TEMPORARY TABLE c (id INT AUTO_INCREMENT PRIMARY KEY, word VARCHAR(40) UNIQUE)",
        "INSERT INTO c (word) VALUES ('x'), ('y'), ('" + "z" * 40 + "')",
        "INSERT INTO c (word) VALUES ('x')",
        "UPDATE c SET word = CONCAT(word, '!') WHERE id < 3",
        "SELECT * FROM c",
        "SELEC 1",
        "SELECT seq, REPEAT('v', seq % 50) FROM seq_1_to_20000",
        "SELECT ''",
        "USE information_schema",
        "SELECT DATABASE()",
    )
    assert len(found[7][0]) == 20_000


def test_the_data_source_sees_its_own_leg(legs: Legs):
    (((name_and_value,),),) = legs.ask(
        legs.route.through(), "SHOW SESSION STATUS LIKE 'Compression'"
    )
    assert name_and_value == ["Compression", "ON" if "zlib" in legs.route.source else "OFF"]


def test_several_results_count_on(legs: Legs):
    # Between two results a server flushes, and then counts the packets within anew.
    found = legs.ask_both(
        "SELECT seq FROM seq_1_to_300; SELECT 2, 3; SELECT REPEAT('x', 200000); DO 1; SELECT 4",
        "SELECT 1; SELECT * FROM missing; SELECT 2",
        "SELECT 5",
    )
    assert [len(answer) for answer in found] == [5, 2, 1]


def test_numbers_wrap(legs: Legs):
    # More compressed packets than a number counts to: of one piece each, and more than that.
    (((first, *_, last),),) = legs.ask_both("SELECT seq, REPEAT(seq, 200) FROM seq_1_to_20000")
    assert (first[0], last) == ("1", ["20000", "20000" * 200])


# Around where a packet is continued, and well past it.
@pytest.mark.parametrize("size", [0xFFFFFF - 17, 0xFFFFFF, 64 * 1024 * 1024])
def test_large_values_pass_both_ways(legs: Legs, size: int):
    statements = (f"SELECT LENGTH('{'v' * size}')", f"SELECT REPEAT('w', {size})", "SELECT 7")
    length, value, last = legs.ask(legs.route.through(), *statements)
    assert length == [[[str(size)]]]
    assert value == [[["w" * size]]]
    assert last == [[["7"]]]


def test_files_are_loaded(legs: Legs, tmp_path: Path):
    file = tmp_path / "rows.csv"
    # More packets than a number counts to; and the first file is asked for by a statement that
    # is not the first of its text, behind as many packets as make its own the number 0.
    file.write_text("".join(f"{number},row {number}\n" for number in range(400_000)))
    load = f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE loaded FIELDS TERMINATED BY ','"
    found = legs.ask(
        legs.route.through(),
        "CREATE TEMPORARY TABLE loaded (a INT, b TEXT)",
        f"SELECT seq FROM seq_1_to_251; {load}; SELECT COUNT(*) FROM loaded",
        load,
        "SELECT SUM(a), COUNT(*) FROM loaded",
        folder=tmp_path,
    )
    total = str(2 * sum(range(400_000)))
    assert found[1][1:] == [400_000, [["400000"]]]
    assert found[2:] == [[400_000], [[[total, "800000"]]]]


def test_mariadbs_client_and_dump_are_equal(legs: Legs):
    route = legs.route
    option = [] if legs.compression == "uncompressed" else ["--compress"]
    statements = f"{VALUES}; SELECT seq FROM seq_1_to_30000; SELECT * FROM missing"

    def script(place: dict[str, Any]) -> tuple[int, str]:
        return command(
            route, place, "mariadb", *option, "--batch", "-e", statements, place["database"]
        )

    status, shown = compare(route, script)
    assert (status, "1146" in shown) == (1, True)
    route.server.administer(
        "USE shop",
        "CREATE OR REPLACE TABLE packed AS SELECT seq, REPEAT('d', 100) AS v FROM seq_1_to_5000",
    )
    arguments = (*option, "--skip-comments", "--single-transaction", "shop", "packed")
    direct = command(route, route.direct(), "mariadb-dump", *arguments)
    place = route.through(user=f"{WORKSPACE}/{route.source}")
    assert command(route, place, "mariadb-dump", *arguments) == direct
    assert (direct[0], "INSERT INTO" in direct[1]) == (0, True)


def test_mariadbs_client_loads_files_and_large_values(legs: Legs, tmp_path: Path):
    route, size = legs.route, 0xFFFFFF + 5
    option = [] if legs.compression == "uncompressed" else ["--compress"]
    file = tmp_path / "rows.csv"
    file.write_text("".join(f"{number},row {number}\n" for number in range(400_000)))
    tls = ["--ssl", f"--ssl-ca={route.ca}"] if route.is_encrypted else ["--skip-ssl"]
    place = route.through()
    done = subprocess.run(
        [
            *(str(program("mariadb")), "--no-defaults", *tls, "--batch", "--skip-column-names"),
            *(*option, "--max-allowed-packet=256M", "--quick", "--local-infile=1"),
            *(f"--host={place['host']}", f"--port={place['port']}", f"--user={place['user']}"),
            place["database"],
        ],
        env={"MYSQL_PWD": place["password"]},
        input=(
            f"SELECT LENGTH('{'v' * size}'); SELECT REPEAT('w', {size});"
            "CREATE TEMPORARY TABLE loaded (a INT, b TEXT);"
            f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE loaded FIELDS TERMINATED BY ',';"
            "SELECT SUM(a) FROM loaded;"
        ).encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == b""
    assert done.stdout.split() == [b"%d" % size, b"w" * size, b"%d" % sum(range(400_000))]


@pytest.mark.parametrize("is_compressed", [True, False])
@pytest.mark.parametrize("source", ["native", "native-zlib"])
def test_mysql_connector_prepares_and_resets(
    mysql_proxy: ProxyServer,
    mariadb: SqlServer,
    workspace_token: str,
    source: str,
    is_compressed: bool,
):
    route = Route(mysql_proxy, mariadb, source, workspace_token, is_encrypted=True)

    def script(place: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        connection = mysql.connector.connect(
            **place,
            ssl_ca=route.ca,
            use_pure=True,
            collation="utf8mb4_general_ci",
            compress=is_compressed,
        )
        try:
            cursor = connection.cursor(prepared=True)
            for number in range(20):
                cursor.execute("SELECT ? + 1, ?", (number, f"text {number} " * 20))
                found.append(cursor.fetchall())
            cursor.close()
            connection.cmd_reset_connection()
            connection.ping()
            connection.cmd_init_db("information_schema")
            plain = connection.cursor()
            plain.execute("SELECT DATABASE()")
            found.append(plain.fetchall())
        finally:
            connection.close()
        return found

    compare(route, script)


def test_pymysql_which_knows_no_compression_has_its_source_compressed(
    mysql_proxy: ProxyServer, mariadb: SqlServer, workspace_token: str
):
    route = Route(mysql_proxy, mariadb, "ed25519-zlib", workspace_token, is_encrypted=False)
    with pymysql.connect(**route.through(), ssl_disabled=True) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT seq, REPEAT('v', 70) FROM seq_1_to_100000")
        assert sum(row[0] for row in cursor.fetchall()) == 5_000_050_000
        # The file's packets are numbered, and compared by nobody but the scanner.
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == ((1,),)


def test_a_listener_offers_nothing_that_it_is_not_told_to(
    start_proxy: ProxyFactory, mariadb: SqlServer
):
    proxy = start_proxy(listener={"protocol": "mysql", "compression": ["zlib"]})
    token = proxy.create_workspace(WORKSPACE)
    add_source(proxy, WORKSPACE, mariadb, "ed25519")
    route = Route(proxy, mariadb, "ed25519", token, is_encrypted=False)
    assert run(route.through(), "zlib", "SELECT 1") == [[[["1"]]]]
    # The library connects only by what it was told; so this also shows that zstd is spoken
    # where a connection by zstd alone succeeds.
    with pytest.raises(RuntimeError, match=r"[Cc]ompression"):
        run(route.through(), "zstd", "SELECT 1")


def test_a_source_whose_server_lacks_the_algorithm_is_refused(
    mysql_proxy: ProxyServer, mariadb: SqlServer, workspace_token: str
):
    add_source(mysql_proxy, WORKSPACE, mariadb, "native", compression="zstd")
    route = Route(mysql_proxy, mariadb, "native-zstd", workspace_token, is_encrypted=True)
    with pytest.raises(pymysql.err.MySQLError, match="does not offer zstd compression"):
        pymysql.connect(**route.through(), ssl_ca=route.ca)


@pytest.mark.parametrize("source", ["native-zlib", "ed25519-zlib"])
def test_what_the_proxy_says_itself_to_a_compressed_source(
    mysql_proxy: ProxyServer, mariadb: SqlServer, workspace_token: str, source: str
):
    # KILL QUERY goes over a login of its own, which has agreed on compression as well.
    is_encrypted = source.startswith("native")
    route = Route(mysql_proxy, mariadb, source, workspace_token, is_encrypted)
    tls = {"ssl_ca": route.ca} if is_encrypted else {"ssl_disabled": True}
    outcome: list[Any] = []
    with pymysql.connect(**route.through(), **tls) as victim:

        def sleep() -> None:
            cursor = victim.cursor()
            try:
                cursor.execute("SELECT SLEEP(50) + 1")
                outcome.append(cursor.fetchall())
            except pymysql.err.MySQLError as error:
                outcome.append(error.args[0])

        thread = threading.Thread(target=sleep)
        thread.start()
        running = (
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(50)%'"
        )
        # The question itself is one.
        wait_until(lambda: mariadb.administer(running)[0][0] > 1, what="the statement")
        with pymysql.connect(**route.through(), **tls) as other:
            other.cursor().execute(f"KILL QUERY {victim.thread_id()}")
        thread.join(30)
    # MariaDB ends SLEEP() early with 1, or the statement with an error.
    assert outcome in ([((2,),)], [1317])


def test_a_policys_settings_are_made_on_a_compressed_source(
    mysql_proxy: ProxyServer, mariadb: SqlServer
):
    token = mysql_proxy.create_workspace("packed-readers")
    add_source(mysql_proxy, "packed-readers", mariadb, "ed25519", compression="zlib")

    async def govern(store: Store) -> None:
        readers = await store.workspace("packed-readers")
        await store.policies.set_of_workspace(readers, Policy(version=1))

    mysql_proxy.with_store(govern)
    route = Route(mysql_proxy, mariadb, "ed25519-zlib", token, is_encrypted=False)
    place = route.through(user="packed-readers")
    found = run(
        place,
        "zlib",
        "SELECT @@SESSION.tx_read_only, REPEAT('x', 100)",
        "CREATE TABLE never (a INT)",
        "SELECT 2",
    )
    assert found[0] == [[["1", "x" * 100]]]
    assert list(found[1][0]) == ["error"]
    assert found[2] == [[["2"]]]


def test_a_source_that_dies_in_a_result_ends_the_session_at_once(legs: Legs):
    # The session's server process is ended while its result is on the way.
    route = legs.route
    found: list[Answer] = []

    def ask() -> None:
        found.append(
            legs.ask(
                route.through(), "SELECT 'doomed', SLEEP(seq > 50000), seq FROM seq_1_to_60000"
            )
        )

    thread = threading.Thread(target=ask)
    thread.start()
    number = (
        "SELECT MAX(id) FROM information_schema.processlist"
        " WHERE info LIKE 'SELECT \\'doomed%' AND state = 'User sleep'"
    )
    wait_until(lambda: route.server.administer(number)[0][0] is not None, what="the result")
    route.server.administer(f"KILL {route.server.administer(number)[0][0]}")
    thread.join(30)
    ((answer,),) = found
    assert list(answer[-1]) == ["error"]


def test_a_reader_that_stops_stops_its_compressed_source(
    start_proxy: ProxyFactory, mariadb: SqlServer
):
    # 600 MB, of which the source's leg carries 2: what is not inflated waits compressed.
    proxy = start_proxy(listener={"protocol": "mysql"})
    token = proxy.create_workspace(WORKSPACE)
    add_source(proxy, WORKSPACE, mariadb, "ed25519", compression="zlib")
    route = Route(proxy, mariadb, "ed25519-zlib", token, is_encrypted=False)
    connection = pymysql.connect(
        **route.through(), ssl_disabled=True, cursorclass=pymysql.cursors.SSCursor
    )
    with connection, connection.cursor() as cursor:
        before = proxy.resident_bytes()
        cursor.execute("SELECT REPEAT('x', 10000) FROM seq_1_to_60000")
        seen: list[float] = []

        def has_stopped() -> bool:
            seen.append(proxy.metrics()["relayed_bytes_total{direction=from_source}"])
            return len(seen) > 20 and len(set(seen[-20:])) == 1

        wait_until(has_stopped, what="the result to stop flowing")
        assert seen[-1] < 100_000_000
        assert proxy.resident_bytes() - before < 16 * 1024 * 1024
        with pymysql.connect(**route.through(), ssl_disabled=True) as other:
            assert other.cursor().execute("SELECT 1") == 1
        assert sum(1 for _ in cursor) == 60_000
