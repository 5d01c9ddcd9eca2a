"""MySQL's protocol with MariaDB, for the scenarios."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, ClassVar, Self

import pymysql

from protocols.errors import Reason
from tests.conformance.driver import TABLE, Answer, Driver, Session, Told
from tests.hostile.mysql import raw
from tests.hostile.mysql.raw import MysqlClient, take_lenenc
from tests.hostile.raw import Refused
from tests.servers.mariadb import MachineMariadb
from tests.servers.roles import Role
from tests.servers.sql import SqlServer

_NATIVE = next(account for account in MachineMariadb.accounts if account.name == "native")
_MORE_RESULTS = 0x0008  # SERVER_MORE_RESULTS_EXISTS
_OK, _EOF, _ERR = 0x00, 0xFE, 0xFF


class MysqlDriver(Driver):
    """Debian's MariaDB with TLS."""

    name = "mysql"
    fixture = "mariadb"
    listener: ClassVar[Mapping[str, Any]] = {"protocol": "mysql"}
    account = Role(_NATIVE.name, _NATIVE.password, _NATIVE.method)
    stops_without_login = False
    missing_table = "42S02"  # ER_NO_SUCH_TABLE
    # Error numbers, MySQL's "Server Error Message Reference".
    codes: ClassVar[Mapping[Reason, str]] = {
        Reason.AUTHENTICATION_FAILED: "1045",
        Reason.TLS_REQUIRED: "3159",
        Reason.NOT_PERMITTED: "1227",
        Reason.UNKNOWN_SOURCE: "1049",
        Reason.TOO_MANY_SESSIONS: "1040",
        Reason.SOURCE_REFUSED: "1429",
        Reason.STORE_UNAVAILABLE: "1040",
        Reason.AUDIT_UNAVAILABLE: "1290",
        Reason.SHUTTING_DOWN: "1053",
        Reason.IDLE_TIMEOUT: "4031",
        Reason.SESSION_TIMEOUT: "4031",
        Reason.SESSION_ENDED: "1317",
    }
    server: SqlServer

    def furnish(self) -> None:
        self.execute(f"CREATE OR REPLACE TABLE {TABLE} (id INT PRIMARY KEY, note VARCHAR(40))")
        self.execute(f"INSERT INTO {TABLE} VALUES (1, 'one'), (2, 'two')")
        self.execute("SET GLOBAL userstat = 1")

    def execute(self, sql: str) -> Sequence[Sequence[Any]]:
        socket = str(self.server.folder / "s")
        with (
            closing(
                pymysql.connect(
                    unix_socket=socket, user="root", database=self.server.database, autocommit=True
                )
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)
            rows: Sequence[Sequence[Any]] = cursor.fetchall()
            return rows

    def connect(self, port: int) -> MysqlSession:
        return MysqlSession(port)

    def running(self, text: str) -> int:
        rows = self.execute(
            "SELECT info FROM information_schema.processlist"
            " WHERE id <> CONNECTION_ID() AND command IN ('Query', 'Execute')"
        )
        return sum(1 for (info,) in rows if info is not None and text in info)

    def logins(self) -> int:
        rows = self.execute(
            "SELECT total_connections FROM information_schema.user_statistics"
            f" WHERE user = '{self.account.name}'"
        )
        return int(rows[0][0]) if rows else 0

    def sleep(self, seconds: float, word: str) -> str:
        return f"SELECT '{word}' FROM (SELECT SLEEP({seconds})) AS slept"

    def series(self, count: int) -> str:
        return f"SELECT seq FROM seq_1_to_{count}"


class MysqlSession(Session):
    """A session of text queries; several sent at once are pipelined commands."""

    def __init__(self, port: int) -> None:
        self._client = MysqlClient(port)
        self._due = 0

    @property
    def number(self) -> int:
        return self._client.thread_id

    def log_in(self, workspace: str, token: str, source: str, *, tls: bool = False) -> Self:
        client = self._client
        try:
            first = client.receive()
            if first[0] == _ERR:
                raise raw.refused(first)
            client.greeted_with(first)
            capabilities = raw.USUAL
            if tls:
                client.start_tls()
                capabilities |= raw.SSL
            proof = raw.scrambled(token, client.scramble)
            client.put(raw.response(workspace, proof, source, capabilities=capabilities))
            self._welcomed(token, tls=tls)
        except Refused as refused:
            assert client.read_to_end() == b""
            raise _told(refused) from None
        return self

    def _welcomed(self, token: str, *, tls: bool) -> None:
        """caching_sha2_password to its end, as libmysqlclient goes it."""
        client = self._client
        while (payload := client.receive())[0] != _OK:
            if payload[0] == _ERR:
                raise raw.refused(payload)
            if payload == b"\x01\x04" and tls:
                client.put(token.encode() + b"\0")
            elif payload == b"\x01\x04":
                client.put(b"\x02")
                client.put(raw.hidden(token, client.scramble, client.receive()[1:]))

    def send(self, *statements: str) -> None:
        self._due += len(statements)
        self._client.send(b"".join(raw.query(sql) for sql in statements))

    def answer(self) -> Answer:
        self._client.sequence = 1
        self._due -= 1
        found: list[str] = []
        while True:
            payload = self._client.receive()
            if payload[0] == _ERR:
                return _told(raw.refused(payload))
            if payload[0] != _OK:
                for _ in range(payload[0]):
                    self._client.receive()
                while (payload := self._client.receive())[0] != _EOF:
                    size, at = take_lenenc(payload, 0)
                    found.append(payload[at : at + size].decode())
            if not _status(payload) & _MORE_RESULTS:
                return found

    def prepare_and_execute(self, sql: str, times: int) -> list[list[str]]:
        client = self._client
        client.send(raw.prepare(sql))
        client.sequence = 1
        payload = client.receive()
        assert payload[0] == _OK, payload
        number, columns = struct.unpack_from("<IH", payload, 1)
        for _ in range(columns):
            client.receive()
        found = []
        for _ in range(times):
            # A binary row of one string column: a header, a bitmap of NULLs, the value.
            *_, row, _ = client.ask(raw.execute(number))
            size, at = take_lenenc(row, 2)
            found.append([row[at : at + size].decode()])
        client.send(raw.close_statement(number))
        return found

    def ended(self) -> Told:
        # What no command asked for has number 0, as a server's own last word.
        self._client.sequence = 1 if self._due else 0
        payload = self._client.receive()
        assert payload[0] == _ERR, payload
        assert self._client.read_to_end() == b""
        return _told(raw.refused(payload))

    def is_at_its_end(self) -> bool:
        return self._client.read_to_end() == b""

    def wait_at_most(self, seconds: float) -> None:
        self._client.socket.settimeout(seconds)

    def may_be_lost(self) -> None:
        self._client.may_be_lost = True

    def close(self) -> None:
        self._client.close()


def _status(payload: bytes) -> int:
    """The status flags of an OK, also of one that ends a result set."""
    at = 1
    for _ in range(2):
        _, at = take_lenenc(payload, at)
    return int.from_bytes(payload[at : at + 2], "little")


def _told(error: Refused) -> Told:
    return Told(error.fields["N"], error.code, error.text)
