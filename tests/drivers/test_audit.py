"""The audit log against the server's own log: each statement that reached it, once."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from typing import Any

import psycopg
import pytest

from tests.drivers import test_asyncpg, test_psycopg2
from tests.drivers.libpq import attempt, connected
from tests.drivers.routes import Leg, Route
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Record
from tests.servers.roles import SCRAM
from tests.servers.waiting import wait_until

_LINE = re.compile(r"^\S+ \S+ \S+ \[(\d+)\] \S* .*?(LOG|ERROR|FATAL|DETAIL|STATEMENT|HINT):  (.*)$")
_STATEMENT = re.compile(r"(?:statement|execute [^:]*): (.*)", re.DOTALL)


# The server's own log ends with the session: a pool's connection goes on.
unpooled = pytest.mark.parametrize("route", ["plain-to-verified", "tls-to-plain"], indirect=True)


def statements_of(server: PostgresServer, backend: int) -> list[str]:
    """What log_statement = all has of one backend, once it has ended."""
    wait_until(
        lambda: re.search(rf"\[{backend}\] .*disconnection", server.log_text()) is not None,
        what="the backend to end",
    )
    entries: list[str] = []
    is_ours = False
    for line in server.log_text().splitlines():
        match = _LINE.match(line)
        if match is not None:
            is_ours = match[1] == str(backend) and match[2] == "LOG"
            if is_ours:
                entries.append(match[3])
        elif is_ours and line.startswith("\t"):
            entries[-1] += "\n" + line[1:]
    return [found[1] for entry in entries if (found := _STATEMENT.fullmatch(entry))]


def app_of(record: Record) -> object:
    return record.get("actor", {}).get("app_name")


def records_of(route: Route, application: str) -> list[Record]:
    """A session's statement records, once it is closed."""

    def is_closed(records: list[Record]) -> bool:
        sessions = {r["actor"]["session"]["uid"] for r in records if app_of(r) == application}
        return any(
            r.get("message") == "Session closed" and r["metadata"]["correlation_uid"] in sessions
            for r in records
        )

    return [
        record
        for record in route.through.proxy.audit_events(is_closed)
        if app_of(record) == application and "query_info" in record
    ]


def outcome(record: Record) -> tuple[Any, ...]:
    extra = record["unmapped"]
    return (
        record["query_info"]["query_string"],
        *(extra["kind"], extra["outcome"], extra["rows"], record.get("status_code", "")),
    )


@unpooled
def test_every_simple_statement_is_audited_once_with_its_outcome(route: Route) -> None:
    route.renew()
    name = uuid.uuid4().hex
    with connected(route.through, application_name=name) as connection:
        run = connection.execute
        row = run("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        (backend,) = row
        run("CREATE TABLE t (a int)")
        run("INSERT INTO t SELECT generate_series(1, 25)")
        run("SELECT * FROM t WHERE a > 5")
        run("UPDATE t SET a = a WHERE a < 4")
        attempt(run, "SELECT 1 / 0")
        attempt(run, "SELECT never_was FROM t")
        run("SELECT 1;\n\tSELECT 'two lines'; SELECT 3")
        run("")
        run("BEGIN")
        run("DELETE FROM t")
        run("ROLLBACK")
        with connection.cursor().copy("COPY t TO STDOUT") as copy:
            for _ in copy:
                pass
        with connection.cursor().copy("COPY t FROM STDIN") as copy:
            copy.write("1\n2\n3\n")
        attempt(run, "SELEC")
    records = records_of(route, name)
    texts = [record["query_info"]["query_string"] for record in records]
    logged = statements_of(route.server, backend)
    # What the server cannot parse it does not log as a statement.
    assert [text for text in texts if text != "SELEC"] == logged
    assert [outcome(record) for record in records] == [
        ("SELECT pg_backend_pid()", "select", "succeeded", 1, ""),
        ("CREATE TABLE t (a int)", "create", "succeeded", 0, ""),
        ("INSERT INTO t SELECT generate_series(1, 25)", "insert", "succeeded", 25, ""),
        ("SELECT * FROM t WHERE a > 5", "select", "succeeded", 20, ""),
        ("UPDATE t SET a = a WHERE a < 4", "update", "succeeded", 3, ""),
        ("SELECT 1 / 0", "select", "failed", 0, "22012"),
        ("SELECT never_was FROM t", "select", "failed", 0, "42703"),
        ("SELECT 1;\n\tSELECT 'two lines'; SELECT 3", "select", "succeeded", 3, ""),
        ("", "other", "succeeded", 0, ""),
        ("BEGIN", "transaction", "succeeded", 0, ""),
        ("DELETE FROM t", "delete", "succeeded", 25, ""),
        ("ROLLBACK", "transaction", "succeeded", 0, ""),
        ("COPY t TO STDOUT", "copy", "succeeded", 25, ""),
        ("COPY t FROM STDIN", "copy", "succeeded", 3, ""),
        ("SELEC", "other", "failed", 0, "42601"),
    ]


@unpooled
def test_every_execution_of_a_prepared_statement_is_audited_once(route: Route) -> None:
    route.renew()
    name = uuid.uuid4().hex
    with connected(route.through, application_name=name) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        (backend,) = row
        connection.execute("CREATE TABLE t (a int PRIMARY KEY)")
        for n in range(30):
            connection.execute("INSERT INTO t VALUES (%s)", (n,), prepare=n > 3)
        with connection.pipeline():
            for n in range(30):
                connection.execute("SELECT a FROM t WHERE a < %s", (n,))

        def broken() -> None:
            with connection.pipeline():
                connection.execute("INSERT INTO t VALUES (%s)", (100,))
                connection.execute("INSERT INTO t VALUES (%s)", (100,))
                connection.execute("SELECT 'skipped', %s::int", (1,))

        assert attempt(broken)[1] == "23505"
    records = records_of(route, name)
    ran = [r for r in records if r["unmapped"]["outcome"] not in ("skipped", "prepared")]
    assert Counter(r["query_info"]["query_string"] for r in ran) == Counter(
        statements_of(route.server, backend)
    )
    selects = [r for r in ran if r["query_info"]["query_string"].startswith("SELECT a")]
    assert [r["unmapped"]["rows"] for r in selects] == list(range(30))
    (failed,) = [r for r in records if r["unmapped"]["outcome"] == "failed"]
    assert failed["status_code"] == "23505"
    assert any(
        r["unmapped"]["outcome"] == "skipped" and "skipped" in r["query_info"]["query_string"]
        for r in records
    )


@unpooled
async def test_asyncpgs_statements_are_audited_once(route: Route) -> None:
    route.renew()
    name = uuid.uuid4().hex
    async with test_asyncpg.connected(route.through, application_name=name) as connection:
        backend = await connection.fetchval("SELECT pg_backend_pid()")
        await connection.execute("CREATE TABLE t (a int)")
        await connection.executemany("INSERT INTO t VALUES ($1)", [(n,) for n in range(500)])
        for n in range(20):
            await connection.fetch("SELECT a FROM t WHERE a < $1", n)
        async with connection.transaction():
            async for _ in connection.cursor("SELECT a FROM t", prefetch=100):
                pass
        await connection.copy_records_to_table("t", records=[(n,) for n in range(77)])
    records = records_of(route, name)
    logged = Counter(statements_of(route.server, backend))
    ran = Counter(
        r["query_info"]["query_string"]
        for r in records
        if r["unmapped"]["outcome"] not in ("skipped", "prepared")
    )
    assert ran == logged
    copied = [r for r in records if r["unmapped"]["kind"] == "copy"]
    assert [r["unmapped"]["rows"] for r in copied] == [77]


def test_function_calls_are_audited(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        with test_psycopg2.connected(leg) as connection:
            large = connection.lobject(0, "wb")
            large.write(b"large")
            large.unlink()
            return [True]

    before = len(route.through.proxy.audit_events())
    route.same(script)
    records = route.through.proxy.audit_events()[before:]
    calls = [r for r in records if r.get("unmapped", {}).get("via") == "function"]
    assert len(calls) >= 4
    assert {r["unmapped"]["outcome"] for r in calls} == {"succeeded"}


@pytest.mark.parametrize("text", ["audit", "log", "metrics"])
def test_no_password_and_no_token_is_in_what_the_proxy_writes(
    route: Route, workspace_token: str, text: str
) -> None:
    with connected(route.through) as connection:
        connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(
            **{**route.through.keywords, "password": workspace_token[:-1], "sslmode": "prefer"}
        )
    proxy = route.through.proxy
    written = {
        "audit": proxy.audit_text,
        "log": proxy.log_text,
        "metrics": lambda: str(proxy.metrics()),
    }[text]()
    assert len(written) > 100
    for secret in (SCRAM.password, workspace_token, workspace_token[15:]):
        assert secret not in written
