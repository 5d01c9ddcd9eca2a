"""PostgreSQL, for the scenarios."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from protocols.errors import Reason
from tests.conformance.driver import TABLE, Answer, Driver, Session, Told
from tests.hostile.raw import (
    SYNC,
    RawClient,
    Refused,
    bind,
    close_statement,
    execute,
    fields_of,
    first_column,
    parse,
)
from tests.servers.postgres import PostgresServer
from tests.servers.roles import SCRAM


class PostgresDriver(Driver):
    """Debian's PostgreSQL with TLS."""

    name = "postgres"
    fixture = "postgres"
    listener: ClassVar[Mapping[str, Any]] = {"protocol": "postgres"}
    account = SCRAM
    stops_without_login = True
    missing_table = "42P01"  # undefined_table
    # SQLSTATEs, PostgreSQL's Appendix A.
    codes: ClassVar[Mapping[Reason, str]] = {
        Reason.AUTHENTICATION_FAILED: "28P01",
        Reason.TLS_REQUIRED: "28000",
        Reason.NOT_PERMITTED: "42501",
        Reason.UNKNOWN_SOURCE: "3D000",
        Reason.TOO_MANY_SESSIONS: "53300",
        Reason.SOURCE_REFUSED: "08004",
        Reason.STORE_UNAVAILABLE: "57P03",
        Reason.AUDIT_UNAVAILABLE: "58000",
        Reason.SHUTTING_DOWN: "57P01",
        Reason.IDLE_TIMEOUT: "57P05",
        Reason.SESSION_TIMEOUT: "57P01",
        Reason.SESSION_ENDED: "57P01",
    }
    server: PostgresServer

    def furnish(self) -> None:
        self.server.execute(
            f"DROP TABLE IF EXISTS {TABLE}; CREATE TABLE {TABLE} (id int PRIMARY KEY, note text);"
            f" INSERT INTO {TABLE} VALUES (1, 'one'), (2, 'two');"
            f" GRANT ALL ON {TABLE} TO {self.account.name}"
        )

    def execute(self, sql: str) -> Sequence[Sequence[Any]]:
        return self.server.execute(sql)

    def connect(self, port: int) -> PostgresSession:
        return PostgresSession(port)

    def running(self, text: str) -> int:
        sql = (
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
            " AND usename = %s AND strpos(query, %s) > 0"
        )
        return int(self.server.execute(sql, (self.account.name, text))[0][0])

    def logins(self) -> int:
        return self.server.log_text().count(f"connection authorized: user={self.account.name} ")

    def sleep(self, seconds: float, word: str) -> str:
        return f"SELECT '{word}' FROM pg_sleep({seconds})"

    def series(self, count: int) -> str:
        return f"SELECT generate_series(1, {count})"


class PostgresSession(Session):
    """A session of simple queries; several sent at once are a pipeline of extended ones."""

    def __init__(self, port: int) -> None:
        self._client = RawClient(port)

    @property
    def number(self) -> int:
        assert self._client.key is not None
        return self._client.key.number

    def log_in(self, workspace: str, token: str, source: str, *, tls: bool = False) -> Self:
        try:
            if tls:
                self._client.start_tls()
            self._client.log_in(workspace, token, source)
        except Refused as refused:
            assert self._client.read_to_end() == b""
            raise _told(refused.fields) from None
        return self

    def send(self, *statements: str) -> None:
        if len(statements) == 1:
            self._client.send(b"Q" + _counted(statements[0]))
            return
        self._client.send(
            b"".join(parse("", sql) + bind("", "") + execute() + SYNC for sql in statements)
        )

    def answer(self) -> Answer:
        try:
            answers = self._client.until(b"Z")
        except Refused as refused:
            return _told(refused.fields)
        for code, body in answers:
            if code == b"E":
                return _told(fields_of(body))
        return first_column(answers)

    def prepare_and_execute(self, sql: str, times: int) -> list[list[str]]:
        self._client.send(parse("prepared", sql) + SYNC)
        assert [code for code, _ in self._client.until(b"Z")] == [b"1", b"Z"]
        found = []
        for _ in range(times):
            self._client.send(bind("", "prepared") + execute() + SYNC)
            found.append(first_column(self._client.until(b"Z")))
        self._client.send(close_statement("prepared") + SYNC)
        assert [code for code, _ in self._client.until(b"Z")] == [b"3", b"Z"]
        return found

    def ended(self) -> Told:
        code, body = self._client.receive()
        fields = fields_of(body)
        assert (code, fields.get("S")) == (b"E", "FATAL"), (code, body)
        assert self._client.read_to_end() == b""
        return _told(fields)

    def is_at_its_end(self) -> bool:
        return self._client.read_to_end() == b""

    def wait_at_most(self, seconds: float) -> None:
        self._client.socket.settimeout(seconds)

    def may_be_lost(self) -> None:
        """Its messages have no numbers: nothing tells one from the other."""

    def close(self) -> None:
        self._client.close()


def _counted(sql: str) -> bytes:
    text = sql.encode() + b"\0"
    return struct.pack("!I", len(text) + 4) + text


def _told(fields: dict[str, str]) -> Told:
    return Told(fields["C"], fields["C"], fields["M"])
