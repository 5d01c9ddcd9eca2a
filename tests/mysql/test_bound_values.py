"""Bound values in the audit log, judged by what the real servers read of the same bytes.

A server is asked for each value as text (CONCAT); the log must tell the same.
"""

from __future__ import annotations

import datetime as dt
import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import mysql.connector
import pytest

from tests.hostile.mysql.raw import MysqlClient, long_data, message, prepare, take_lenenc
from tests.mysql.conftest import WORKSPACE, Enter, Route, add_source
from tests.protocols.mysql.test_bound import (
    BIT,
    BLOB,
    DATE,
    DATETIME,
    DOUBLE,
    FLOAT,
    GEOMETRY,
    INT24,
    LONG,
    LONGLONG,
    NEWDECIMAL,
    NULL,
    SHORT,
    TIME,
    TIMESTAMP,
    TINY,
    UNSIGNED,
    VAR_STRING,
    VARCHAR,
    YEAR,
    Bound,
    body,
    lenenc,
    moment,
    told,
)
from tests.servers.certificates import Certificates
from tests.servers.proxy import ProxyServer, Record
from tests.servers.sql import SqlServer

ACCOUNTS = {"mariadb": "ed25519", "mysql": "sha2_pinned"}


@dataclass(frozen=True)
class Telling:
    """A proxy that keeps bound values, before one of the servers."""

    proxy: ProxyServer
    token: str
    account: str

    def place(self) -> dict[str, Any]:
        return {
            "host": self.proxy.host,
            "port": self.proxy.port,
            "user": WORKSPACE,
            "password": self.token,
            "database": self.account,
            "collation": "utf8mb4_general_ci",
            "ssl_disabled": True,
            "use_pure": True,
        }

    def executed(self, word: str, count: int = 1) -> list[Record]:
        """The records of the so many executions of a statement."""
        return executions(self.proxy, word, count)

    def shown(self, word: str) -> Any:
        """The values of the one execution of a statement."""
        (record,) = self.executed(word)
        return record["unmapped"].get("parameters")


def executions(proxy: ProxyServer, word: str, count: int = 1) -> list[Record]:
    def found(records: list[Record]) -> list[Record]:
        return [
            record
            for record in records
            if word in record.get("query_info", {}).get("query_string", "")
            and record["unmapped"].get("via") == "execute"
        ]

    return found(proxy.audit_events(lambda records: len(found(records)) >= count))


@pytest.fixture(scope="module", params=list(ACCOUNTS))
def telling(
    request: pytest.FixtureRequest, server_folder: Path, certificates: Certificates
) -> Iterator[Telling]:
    """Each server, behind a proxy whose audit.parameters is on."""
    server: SqlServer = request.getfixturevalue(request.param)
    proxy = ProxyServer(
        server_folder / f"telling-{request.param}",
        certificates,
        audit={"parameters": True},
        listener={"protocol": "mysql"},
    ).start()
    account = ACCOUNTS[request.param]
    token = proxy.create_workspace(WORKSPACE)
    add_source(proxy, WORKSPACE, server, account)
    yield Telling(proxy, token, account)
    errors = [line for line in proxy.log_text().splitlines() if '"level": "error"' in line]
    proxy.remove()
    assert errors == []


class Session(MysqlClient):
    """A bare client with prepared statements; every column is text."""

    def prepared(self, sql: str) -> int:
        self.send(prepare(sql))
        self.sequence = 1
        payload = self.receive()
        assert payload[0] == 0, payload
        number, columns, parameters = struct.unpack_from("<IHH", payload, 1)
        for _ in range(columns + parameters):
            self.receive()
        return int(number)

    def run(self, number: int, *values: Bound, has_types: bool = True) -> list[str | None]:
        """The one row."""
        head = b"\x17" + struct.pack("<IBI", number, 0, 1)
        payloads = self.ask(message(head + body(list(values), has_types=has_types)))
        assert payloads[0][0] != 0xFF, payloads[0]
        columns, row = payloads[0][0], payloads[-2]
        at = 1 + (columns + 9) // 8
        found: list[str | None] = []
        for column in range(columns):
            if row[1 + (column + 2) // 8] >> (column + 2) % 8 & 1:
                found.append(None)
                continue
            size, at = take_lenenc(row, at)
            found.append(row[at : at + size].decode())
            at += size
        return found


@pytest.fixture
def session(telling: Telling) -> Iterator[Session]:
    with Session(telling.proxy.port) as session:
        session.log_in(WORKSPACE, telling.token, telling.account)
        yield session


def echo(word: str, count: int) -> str:
    return f"SELECT {', '.join(['CONCAT(?)'] * count)} /* {word} */"


def signed(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little", signed=True)


VALUES = {
    "tiny": Bound(TINY, signed(-128, 1)),
    "utiny": Bound(TINY, b"\xff", UNSIGNED),
    "short": Bound(SHORT, signed(-32768, 2)),
    "ushort": Bound(SHORT, b"\xff\xff", UNSIGNED),
    "int": Bound(LONG, signed(-(2**31), 4)),
    "uint": Bound(LONG, b"\xff" * 4, UNSIGNED),
    "big": Bound(LONGLONG, signed(-(2**63), 8)),
    "ubig": Bound(LONGLONG, b"\xff" * 8, UNSIGNED),
    "decimal": Bound(NEWDECIMAL, lenenc(b"-12345678901234567890.12")),
    "date": Bound(DATE, told(moment(2026, 2, 28))),
    "datetime": Bound(DATETIME, told(moment(2026, 2, 28, 1, 2, 3))),
    "timestamp": Bound(TIMESTAMP, told(moment(2026, 2, 28, 1, 2, 3))),
    "time": Bound(TIME, told(struct.pack("<BIBBB", 1, 34, 22, 59, 59))),
    "text": Bound(VAR_STRING, lenenc("it's ünï\U0001f600".encode())),
    "varchar": Bound(VARCHAR, lenenc(b"")),
    "null": Bound(LONG),
    "nothing": Bound(NULL),
    "last": Bound(TINY, b"\7"),
}


def test_the_log_tells_what_the_server_reads(telling: Telling, session: Session):
    number = session.prepared(echo("every-type", len(VALUES)))
    read = session.run(number, *VALUES.values())
    session.close()
    # MySQL makes a time with microseconds of each.
    expected = [text and text.removesuffix(".000000") for text in read]
    shown = telling.shown("every-type")
    assert dict(zip(VALUES, shown, strict=True)) == dict(zip(VALUES, expected, strict=True))


@pytest.mark.parametrize("kind", [INT24, YEAR, BIT, GEOMETRY])
def test_what_servers_read_otherwise_is_not_guessed(telling: Telling, session: Session, kind: int):
    # MySQL refuses these types; MariaDB takes no byte of them, and makes them NULL.
    word = f"odd-{kind}"
    number = session.prepared(echo(word, 2))
    head = b"\x17" + struct.pack("<IBI", number, 0, 1)
    values = [Bound(kind, b"\2\0"), Bound(LONG, b"\7\0\0\0")]
    session.send(message(head + body(values)))
    session.answer()
    session.close()
    (record,) = telling.executed(word)
    assert record["unmapped"]["parameters"] == []
    assert record["unmapped"]["parameters_count"] == 2


@pytest.mark.parametrize("value", [0.1, -1.5, 3.25e-20, 1e30, 16777217.0])
def test_numbers_of_binary_floating_point_are_the_same_numbers(
    telling: Telling, session: Session, value: float
):
    word = f"floats-{value}"
    number = session.prepared(f"SELECT CONCAT(? = {value!r}), CONCAT(?) /* {word} */")
    same, _ = session.run(
        number,
        Bound(DOUBLE, struct.pack("<d", value)),
        Bound(FLOAT, struct.pack("<f", value)),
    )
    session.close()
    assert same == "1"
    double, single = telling.shown(word)
    assert float(double) == value
    assert struct.pack("<f", float(single)) == struct.pack("<f", value)


def test_types_of_the_last_execution_are_the_servers_too(telling: Telling, session: Session):
    number = session.prepared(echo("typed-once", 2))
    rows = [
        session.run(number, Bound(TINY, b"\1"), Bound(VAR_STRING, lenenc(b"a"))),
        session.run(number, Bound(TINY, b"\2"), Bound(VAR_STRING), has_types=False),
        session.run(number, Bound(LONG, b"\3\0\0\0"), Bound(VAR_STRING, lenenc(b"c"))),
        session.run(number, Bound(LONG, b"\4\0\0\0"), Bound(VAR_STRING, b"\1d"), has_types=False),
    ]
    session.close()
    told = [r["unmapped"]["parameters"] for r in telling.executed("typed-once", 4)]
    assert told == rows == [["1", "a"], ["2", None], ["3", "c"], ["4", "d"]]


def test_long_data_is_told_as_sent_separately(telling: Telling, session: Session):
    number = session.prepared(echo("long-data", 2))
    session.send(long_data(number, b"sent ahead, ") + long_data(number, b"in pieces"))
    found = session.run(number, Bound(BLOB, is_long=True), Bound(TINY, b"\1"))
    assert found == ["sent ahead, in pieces", "1"]
    # The next run has it no more.
    assert session.run(number, Bound(VAR_STRING, lenenc(b"x")), Bound(TINY, b"\2")) == ["x", "2"]
    session.close()
    first, second = telling.executed("long-data", 2)
    assert first["unmapped"]["parameters"] == [{"long_data": True}, "1"]
    assert second["unmapped"]["parameters"] == ["x", "2"]
    assert "in pieces" not in telling.proxy.audit_text()


def test_what_is_long_or_many_is_cut_and_counted(telling: Telling, session: Session):
    number = session.prepared("SELECT CONCAT(LENGTH(?)) /* long-one */")
    assert session.run(number, Bound(BLOB, lenenc(b"\xfe" * 5_000_000))) == ["5000000"]
    (value,) = telling.shown("long-one")
    assert value == {"hex": "fe" * 1024, "type": BLOB, "length": 5_000_000}
    many = session.prepared(f"SELECT CONCAT(1 IN ({', '.join(['?'] * 5_000)})) /* many */")
    assert session.run(many, *[Bound(TINY, b"\1")] * 5_000) == ["1"]
    session.close()
    (record,) = telling.executed("many")
    assert record["unmapped"]["parameters_count"] == 5_000
    shown = record["unmapped"]["parameters"]
    assert 200 < len(shown) < 300
    assert set(shown) == {"1"}


def test_a_drivers_values_are_told(telling: Telling):
    with mysql.connector.connect(**telling.place()) as connection:
        cursor = connection.cursor(prepared=True)
        values: Any = (
            *(7, "it's", None, 2.5, Decimal("1.50"), b"\0\xff"),
            dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC).replace(tzinfo=None),
            *(dt.timedelta(hours=3), io.BytesIO(b"streamed")),
        )
        cursor.execute(f"SELECT {', '.join('?' * len(values))} /* by-a-driver */", values)
        row: Any = cursor.fetchall()[0]
        cursor.close()
    assert row[0] == 7
    shown = telling.shown("by-a-driver")
    assert shown[:5] == ["7", "it's", None, "2.5", "1.50"]
    # It sends bytes as a string.
    assert shown[5] == "\x00\\xff"
    assert shown[6:] == ["2026-01-02 03:04:05.000006", "03:00:00", {"long_data": True}]


def test_values_of_a_redacted_statement_are_not_recorded(telling: Telling, session: Session):
    hidden = session.prepared("SELECT CONCAT(?) FROM (SELECT 1) AS t WHERE 'password = x' <> ''")
    assert session.run(hidden, Bound(VAR_STRING, lenenc(b"hunter2"))) == ["hunter2"]
    behind = session.prepared(echo("behind-it", 1))
    session.run(behind, Bound(TINY, b"\1"))
    session.close()
    assert telling.shown("behind-it") == ["1"]
    (record,) = telling.executed("[redacted")
    assert "parameters" not in record["unmapped"]
    assert "hunter2" not in telling.proxy.audit_text()


def test_by_default_no_value_is_recorded(enter: Enter):
    route: Route = enter("mariadb").route("ed25519", is_encrypted=False)
    with mysql.connector.connect(**route.through(), ssl_disabled=True, use_pure=True) as connection:
        cursor = connection.cursor(prepared=True)
        cursor.execute("SELECT ? /* untold */", ("unwritten value",))
        assert cursor.fetchall() == [("unwritten value",)]
        cursor.close()
    (record,) = executions(route.proxy, "untold")
    assert "parameters" not in record["unmapped"]
    assert "unwritten value" not in route.proxy.audit_text()
