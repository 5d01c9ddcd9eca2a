"""Bound values in the audit log of a real proxy: only where it is told to keep them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from tests.drivers.routes import Through, dsn, url
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer, Record


@pytest.fixture(scope="module")
def telling(
    server_folder: Path, certificates: Certificates, postgres: PostgresServer
) -> Iterator[Through]:
    """A proxy that keeps bound values."""
    proxy = ProxyServer(server_folder / "telling", certificates, audit={"parameters": True}).start()
    yield through(proxy, postgres)
    proxy.remove()


def through(proxy: ProxyServer, postgres: PostgresServer) -> Through:
    workspace = f"values-{uuid.uuid4().hex[:8]}"
    token = proxy.create_workspace(workspace)
    proxy.add_source(workspace, "main", postgres)
    return Through(proxy, workspace, token, "main", sslmode="require")


def record_of(leg: Through, text: str) -> Record:
    """The record of the one execution of a statement that contains ``text``."""

    def found(records: list[Record]) -> list[Record]:
        return [
            record
            for record in records
            if text in record.get("query_info", {}).get("query_string", "")
            and record["unmapped"].get("via") == "execute"
        ]

    (record,) = found(leg.proxy.audit_events(lambda records: bool(found(records))))
    return record


def shown(leg: Through, text: str) -> Any:
    return record_of(leg, text)["unmapped"].get("parameters")


def test_values_of_text_and_null_are_recorded(telling: Through):
    with psycopg.connect(dsn(telling), autocommit=True) as connection:
        row = connection.execute("SELECT %s::text, %s::int AS told", ("it's", None)).fetchone()
        assert row == ("it's", None)
    assert shown(telling, "AS told") == ["it's", None]


async def test_binary_values_are_recorded_in_hex(telling: Through):
    connection = await asyncpg.connect(url(telling, sslmode="require"))
    try:
        assert await connection.fetchval("SELECT $1::int4 + 0 AS packed", 42) == 42
    finally:
        await connection.close()
    record = record_of(telling, "AS packed")
    # asyncpg asks for a statement's types and names none in its Parse.
    assert record["unmapped"]["parameters"] == [{"hex": "0000002a"}]


def test_values_of_a_redacted_statement_are_not_recorded(telling: Through):
    with psycopg.connect(dsn(telling), autocommit=True) as connection:
        connection.execute("SELECT %s::text AS hidden WHERE 'password = x' <> ''", ("hunter2",))
        connection.execute("SELECT %s::int AS behind_it", (1,))
    assert record_of(telling, "AS behind_it")
    assert shown(telling, "[redacted") is None
    assert "hunter2" not in telling.proxy.audit_text()


def test_by_default_no_value_is_recorded(proxy: ProxyServer, postgres: PostgresServer):
    leg = through(proxy, postgres)
    with psycopg.connect(dsn(leg), autocommit=True) as connection:
        connection.execute("SELECT %s::text AS untold", ("unwritten value",))
    assert shown(leg, "AS untold") is None
    assert "unwritten value" not in proxy.audit_text()
