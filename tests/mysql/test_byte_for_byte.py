"""The same commands on bare sockets, directly and through the proxy: every byte is equal.

What shapes answers (DEPRECATE_EOF, SESSION_TRACK) is the client's choice, on and off: a
proxy that has one on one leg alone breaks them (ProxySQL #3756, #3780).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

import pytest

from tests.hostile.mysql.raw import (
    DEPRECATE_EOF,
    FULL,
    PING,
    SSL,
    USUAL,
    MysqlClient,
    close_statement,
    long_data,
    message,
    native,
    prepare,
    query,
    response,
    scrambled,
)
from tests.mysql.conftest import Enter, Route
from tests.protocols.mysql.test_bound import BLOB, LONG, VAR_STRING, Bound, body, lenenc
from tests.servers.sql_accounts import Account

SESSION_TRACK = 1 << 23
SENTINEL = query("SELECT CONCAT('sent', 'inel') AS s")


def execute(*values: Bound, number: int, flags: int = 0, has_types: bool = True) -> bytes:
    head = b"\x17" + struct.pack("<IBI", number, flags, 1)
    return message(head + body(list(values), has_types=has_types) if values else head)


def fetch(rows: int, *, number: int) -> bytes:
    return message(b"\x1c" + struct.pack("<II", number, rows))


# What names a prepared statement is made for the number of the one prepared last.
COMMANDS: dict[str, bytes | Callable[..., bytes]] = {
    "values": query("SELECT 1, 'x', NULL, 2.5, CAST('2026-01-02' AS DATETIME), ''"),
    "no rows": query("SELECT 1 FROM numbers WHERE seq < 0"),
    "several": query("SELECT 1; SELECT seq FROM numbers WHERE seq < 4; DO 1; SELECT 2"),
    "several with an error": query("SELECT 1; SELEC 2; SELECT 3"),
    "an error": query("SELECT * FROM missing"),
    "an error in rows": query("SELECT seq, (SELECT 1 UNION SELECT seq) FROM numbers"),
    "a warning": query("SELECT CAST('12x' AS SIGNED)"),
    "table": query("CREATE TEMPORARY TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v LONGBLOB)"),
    "insert": query("INSERT INTO t (v) VALUES ('a'), (NULL), (0xFEFF), (''), (0xFF)"),
    "update": query("UPDATE t SET v = CONCAT(v, '!') WHERE id > 2"),
    # A first column that is NULL is 0xFB, one of 251 to 65,535 bytes begins with 0xFC.
    "first bytes": query("SELECT NULL UNION ALL SELECT '' UNION ALL SELECT REPEAT('x', 65535)"),
    # ... and one of 16 MB with 0xFE, in a packet that is continued; or by an empty one.
    "long": query(f"SELECT REPEAT('x', {FULL + 100})"),
    "long to the byte": query(f"SELECT REPEAT('x', {FULL - 4})"),
    "tracked": query("SET NAMES utf8mb4"),
    "tracked state": query("SET SESSION session_track_state_change = 1"),
    "tracked schema": message(b"\x02information_schema"),
    "back": message(b"\x02shop"),
    "no such schema": message(b"\x02nowhere"),
    "transaction": query("START TRANSACTION; INSERT INTO t (v) VALUES ('b'); ROLLBACK"),
    "prepare": prepare("SELECT id, v FROM t WHERE id > ? OR v = ? ORDER BY id"),
    "execute": partial(execute, Bound(LONG, b"\1\0\0\0"), Bound(VAR_STRING, lenenc(b"x"))),
    "again": partial(execute, Bound(LONG, b"\2\0\0\0"), Bound(VAR_STRING), has_types=False),
    "long data": lambda *, number: (
        long_data(number, b"\5\0") + execute(Bound(BLOB, is_long=True), Bound(BLOB), number=number)
    ),
    "cursor": partial(execute, Bound(LONG, bytes(4)), Bound(VAR_STRING), flags=1),
    "fetch": partial(fetch, 2),
    "fetch the rest": partial(fetch, 100),
    "fetch from nothing": partial(fetch, 1),
    "reset": lambda *, number: message(b"\x1a" + struct.pack("<I", number)),
    "close": lambda *, number: close_statement(number),
    "a prepare that fails": prepare("SELEC 1"),
    "prepare without parameters": prepare("INSERT INTO t (v) VALUES ('c')"),
    "execute without parameters": execute,
    "no several statements": message(b"\x1b\1\0"),
    "several where none are": query("SELECT 1; SELECT 2"),
    "several statements": message(b"\x1b\0\0"),
    "fields": message(b"\x04numbers\0"),
    "ping": PING,
    "reset connection": message(b"\x1f"),
    "nothing is left": query("SELECT * FROM t"),
}


class Session(MysqlClient):
    """``number``: of the statement that was prepared last."""

    number = 0


def direct(route: Route, account: Account, capabilities: int) -> Session:
    """A session at the server itself, inside TLS."""
    client = Session(route.server.port, timeout=30)
    client.greeted()
    client.start_tls(capabilities)
    proved = native if account.method == "mysql_native_password" else scrambled
    proof = proved(account.password, client.scramble)
    client.put(
        response(
            account.name,
            proof,
            route.server.database,
            plugin=account.method,
            capabilities=capabilities | SSL,
        )
    )
    while (payload := client.receive())[0] != 0:
        assert payload[0] == 1, payload
        if payload == b"\x01\x04":
            client.put(account.password.encode() + b"\0")
    return client


def answer(client: Session, what: str) -> list[bytes]:
    """Every packet that a command is answered with, headers included.

    A prepared statement's number is taken out of it: MariaDB counts those of all sessions.
    """
    command = COMMANDS[what]
    if not isinstance(command, bytes):
        command = command(number=client.number)
    client.send(command + SENTINEL)
    packets: list[bytes] = []
    while not packets or packets[-1][4:] != b"\x08sentinel":
        header = client.read(4)
        packets.append(header + client.read(int.from_bytes(header[:3], "little")))
    # And what ends the sentinel's rows: its status flags are the session's.
    header = client.read(4)
    packets.append(header + client.read(int.from_bytes(header[:3], "little")))
    if what.startswith("prepare"):
        first = packets[0]
        client.number = int.from_bytes(first[5:9], "little")
        packets[0] = first[:5] + first[9:]
    elif what == "fetch from nothing":
        # The error names it, with as many digits as it has: so not the packet's length either.
        number = b"(%d)" % client.number
        assert packets[0].count(number) == 1
        packets[0] = packets[0][3:].replace(number, b"(N)")
    return packets


@pytest.mark.parametrize("tracks", [0, SESSION_TRACK], ids=["untracked", "tracked"])
@pytest.mark.parametrize("deprecates", [0, DEPRECATE_EOF], ids=["eof", "no eof"])
@pytest.mark.parametrize(("name", "account"), [("mariadb", "native"), ("mysql", "sha2")])
def test_every_byte_is_the_servers(
    enter: Enter, name: str, account: str, deprecates: int, tracks: int
):
    route = enter(name).route(account, is_encrypted=False)
    capabilities = USUAL & ~DEPRECATE_EOF | deprecates | tracks
    with (
        direct(route, route.server.account(account), capabilities) as theirs,
        Session(route.proxy.port, timeout=30) as ours,
    ):
        ours.log_in("drivers", route.token, account, capabilities=capabilities)
        for what in COMMANDS:
            assert answer(ours, what) == answer(theirs, what), what
