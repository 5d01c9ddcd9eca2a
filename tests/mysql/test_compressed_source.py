"""A data source's leg compressed by MySQL itself, which says so: zstd, and zlib.

MariaDB's server knows no zstd; MySQL's tells each session by which algorithm it speaks
(``Compression_algorithm``, "Connection Compression Control" in the MySQL manual).
"""

from __future__ import annotations

from hashlib import sha256

import mysql.connector
import pymysql
import pytest

from tests.hostile.mysql.packing import PackingClient, ZstdClient
from tests.hostile.mysql.raw import query, take_lenenc
from tests.mysql.conftest import WORKSPACE, Enter, Entrance, add_source
from tests.mysql.libmysqlclient import Answer, run
from tests.servers.fixtures import ProxyFactory
from tests.servers.sql import SqlServer
from tests.servers.waiting import wait_until

STATUS = "SHOW SESSION STATUS LIKE 'Compression%'"
# Around where a packet is continued, and past it.
SIZES = (0xFFFFFF - 17, 0xFFFFFF, 16 * 1024 * 1024 + 5)


@pytest.fixture(scope="module")
def entrance(enter: Enter) -> Entrance:
    """The proxy before MySQL, with sources whose legs are compressed."""
    entrance = enter("mysql")
    for account in ("sha2", "sha2_pinned"):
        for algorithm in ("zstd", "zlib"):
            add_source(entrance.proxy, WORKSPACE, entrance.server, account, compression=algorithm)
    return entrance


def by(answer: Answer) -> dict[str, str]:
    """The rows of a SHOW STATUS."""
    return dict(answer[0])


@pytest.mark.parametrize("client", ["uncompressed", "zlib", "zstd"])
@pytest.mark.parametrize("account", ["sha2", "sha2_pinned"], ids=["tls", "plain"])
@pytest.mark.parametrize("algorithm", ["", "zlib", "zstd"])
def test_the_server_says_how_its_leg_is_compressed(
    entrance: Entrance, algorithm: str, account: str, client: str
):
    source = f"{account}-{algorithm}" if algorithm else account
    route = entrance.route(source, is_encrypted=account == "sha2")
    ca = route.ca if route.is_encrypted else None
    found = by(run(route.through(), client, STATUS, ca=ca)[0])
    assert found["Compression"] == ("ON" if algorithm else "OFF")
    assert found["Compression_algorithm"] == algorithm
    assert found["Compression_level"] == {"": "0", "zlib": "6", "zstd": "3"}[algorithm]


@pytest.mark.parametrize("client", ["uncompressed", "zstd"], ids=["one leg", "both legs"])
@pytest.mark.parametrize("algorithm", ["zlib", "zstd"])
def test_large_values_pass_a_compressed_source_unchanged(
    entrance: Entrance, algorithm: str, client: str
):
    # What no algorithm makes smaller, and what each makes much smaller.
    route = entrance.route(f"sha2_pinned-{algorithm}", is_encrypted=False)
    for size in SIZES:
        value = sha256(b"%d" % size).hexdigest() * (size // 64 + 1)
        value = value[:size]
        sent, seen, digest, last = run(
            route.through(),
            client,
            f"SELECT LENGTH('{value}'), SHA2('{value}', 256)",
            f"SELECT REPEAT('w', {size})",
            f"SELECT SHA2(REPEAT('w', {size}), 256)",
            STATUS,
        )
        assert sent == [[[str(size), sha256(value.encode()).hexdigest()]]]
        assert seen == [[["w" * size]]]
        assert digest == [[[sha256(b"w" * size).hexdigest()]]]
        assert by(last)["Compression_algorithm"] == algorithm


@pytest.mark.parametrize("algorithm", ["zlib", "zstd"])
def test_values_that_cannot_be_compressed_pass_and_are_stored(entrance: Entrance, algorithm: str):
    route = entrance.route(f"sha2_pinned-{algorithm}", is_encrypted=False)
    random = ", ".join(["RANDOM_BYTES(1024)"] * 64)
    with pymysql.connect(**route.through(), ssl_disabled=True) as connection:
        cursor = connection.cursor()
        cursor.execute(f"SET @value = REPEAT(CONCAT({random}), 300)")
        cursor.execute("SELECT @value, SHA2(@value, 256)")
        ((value, digest),) = cursor.fetchall()
        assert len(value) == 64 * 1024 * 300
        assert sha256(value).hexdigest() == digest
        cursor.execute("SELECT SHA2(%s, 256)", (value,))
        assert cursor.fetchall() == ((digest,),)


def test_a_prepared_statement_passes_a_source_by_zstd(entrance: Entrance):
    route = entrance.route("sha2-zstd", is_encrypted=True)
    with mysql.connector.connect(**route.through(), ssl_ca=route.ca, use_pure=True) as connection:
        cursor = connection.cursor(prepared=True)
        for number in range(20):
            cursor.execute("SELECT ? + 1, REPEAT(?, 1000)", (number, "é"))
            assert cursor.fetchall() == [(number + 1, "é" * 1000)]
        cursor.execute("SHOW SESSION STATUS LIKE 'Compression_algorithm'")
        assert cursor.fetchall() == [("Compression_algorithm", "zstd")]


# --- a reader that stops ------------------------------------------------------------------

# 600 MB, none of which can be compressed: what the proxy has read and the client has not
# taken is as large compressed as it is not.
ROWS, ROW = 60_000, 10 * 1024
BYTES = f"CONCAT({', '.join(['RANDOM_BYTES(1024)'] * 10)})"
RESULT = {
    "mariadb": f"SELECT {BYTES} AS v FROM seq_1_to_{ROWS}",
    "mysql": f"SELECT {BYTES} AS v FROM numbers, (SELECT 1 UNION SELECT 2 UNION SELECT 3) AS three",
}


@pytest.mark.parametrize(
    ("name", "account", "compression"),
    [
        ("mariadb", "ed25519", ""),
        ("mariadb", "ed25519", "zlib"),
        ("mysql", "sha2_pinned", ""),
        ("mysql", "sha2_pinned", "zstd"),
    ],
    ids=["mariadb", "mariadb-both", "mysql", "mysql-both"],
)
@pytest.mark.parametrize("kind", [PackingClient, ZstdClient], ids=["zlib", "zstd"])
def test_a_compressed_reader_that_stops_stops_its_source(
    request: pytest.FixtureRequest,
    start_proxy: ProxyFactory,
    kind: type[PackingClient],
    name: str,
    account: str,
    compression: str,
):
    server: SqlServer = request.getfixturevalue(name)
    proxy = start_proxy(listener={"protocol": "mysql", "compression": ["zlib", "zstd"]})
    token = proxy.create_workspace(WORKSPACE)
    add_source(proxy, WORKSPACE, server, account, name="packed", compression=compression)
    with kind(proxy.port, timeout=30) as client:
        client.open(WORKSPACE, token, "packed")
        before = proxy.resident_bytes()
        # Stored, not compressed: the header of a compressed packet before the command.
        command = query(RESULT[name])
        client.send(len(command).to_bytes(3, "little") + bytes(4) + command)
        client.number = 1
        seen: list[float] = []
        grown: list[int] = []

        def has_stopped() -> bool:
            seen.append(proxy.metrics()["relayed_bytes_total{direction=from_source}"])
            grown.append(proxy.resident_bytes() - before)
            return len(seen) > 20 and seen[-1] > ROW and len(set(seen[-20:])) == 1

        wait_until(has_stopped, what="the result to stop flowing")
        assert seen[-1] < 100_000_000
        assert max(grown) < 16 * 1024 * 1024
        # It goes on where it stopped, past all that was under way, and as little is kept.
        assert client.payload() == b"\1"
        client.payload()
        for _ in range(int(seen[-1]) // ROW + 1_000):
            row = client.payload()
            assert take_lenenc(row, 0) == (ROW, len(row) - ROW)
        assert proxy.resident_bytes() - before < 16 * 1024 * 1024
