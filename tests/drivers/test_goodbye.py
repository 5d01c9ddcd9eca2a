"""How a client leaves: what it sent before still happens, and is still answered."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

from tests.drivers.libpq import connected
from tests.drivers.routes import SCHEMA, Leg, Route
from tests.servers.waiting import wait_until

COUNT = 3000
TERMINATE = b"X\x00\x00\x00\x04"


def query(text: str) -> bytes:
    body = text.encode() + b"\x00"
    return b"Q" + struct.pack("!i", len(body) + 4) + body


def said_until_the_end(sock: socket.socket) -> bytes:
    parts = []
    while part := sock.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def test_statements_before_a_terminate_happen_and_are_answered(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        # libpq logs in and its socket is then used bare: libpq itself never waits for the end.
        with connected(leg, sslmode="disable") as connection:
            connection.execute("CREATE TABLE t (a int)")
            with socket.socket(fileno=os.dup(connection.pgconn.socket)) as sock:
                sock.settimeout(20)
                sock.sendall(query("INSERT INTO t VALUES (1)") * COUNT + TERMINATE)
                answers = said_until_the_end(sock)
        count = f"SELECT count(*) FROM {SCHEMA}.t"
        wait_until(lambda: route.server.execute(count) == [(COUNT,)], what="every row")
        return [answers.count(b"INSERT 0 1")]

    assert route.same(script) == [COUNT]
