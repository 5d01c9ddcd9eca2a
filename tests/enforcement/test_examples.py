"""The examples of docs/policies.md, as they are written there, on a real PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from policies.client import judge_client
from policies.document import Policy, read_policy
from policies.effective import EffectivePolicy
from tests.conftest import PostgresFactory
from tests.enforcement.conftest import Bureau
from tests.servers.postgres import PostgresServer

_PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
_OBJECTS = (
    "CREATE TABLE users (id int PRIMARY KEY, name text, password_hash text)",
    "INSERT INTO users VALUES (1, 'ann', 'secret')",
    "CREATE TABLE customers (id int PRIMARY KEY, name text)",
    "INSERT INTO customers VALUES (1, 'ann')",
    "CREATE TABLE orders (id int PRIMARY KEY, total int)",
    "CREATE TABLE invoices (id int PRIMARY KEY, total int)",
    "CREATE SCHEMA hidden CREATE TABLE t (a int)",
)


def example(sentence: str) -> Policy:
    """The policy that stands behind a sentence of the page."""
    _, found, behind = _PAGE.partition(sentence)
    assert found, sentence
    return read_policy(behind.split("```toml\n", 1)[1].split("```", 1)[0], "toml")


@pytest.fixture(scope="module")
def upstream(postgres_factory: PostgresFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL with the tables that the examples name."""
    server = postgres_factory()
    for statement in _OBJECTS:
        server.execute(statement)
    yield server
    server.remove()


def refused(session: psycopg.Connection[Any], sql: str, rule: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=re.escape(f"({rule})")):
        session.execute(sql)


def test_a_dashboard_reads_and_never_sees_one_column(bureau: Bureau) -> None:
    office = bureau.office(example("A dashboard reads, and never sees one column:"))
    with office.connect() as session:
        rows = session.execute("SELECT u.id, u.name FROM users u JOIN customers USING (id, name)")
        assert rows.fetchall() == [(1, "ann")]
        refused(session, "SELECT password_hash FROM users", "columns.deny")
        refused(session, "SELECT * FROM users", "columns.deny")
        refused(session, "SELECT most_common_vals FROM pg_stats", "tables.read")
        refused(session, "SELECT a FROM hidden.t", "tables.read")
        refused(session, "UPDATE users SET name = 'x'", "access")
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="result_rows"):
            session.execute("SELECT generate_series(1, 100001)")


def test_a_workflow_writes_to_two_tables(bureau: Bureau, upstream: PostgresServer) -> None:
    office = bureau.office(example("A workflow writes to two tables:"))
    with office.connect() as session:
        session.execute("INSERT INTO orders SELECT id, 10 FROM customers")
        session.execute("INSERT INTO public.invoices SELECT id, total FROM orders")
        session.execute("UPDATE invoices SET total = 11")
        session.execute("DELETE FROM orders")
        refused(session, "INSERT INTO customers VALUES (2, 'bob')", "tables.write")
        refused(session, "SELECT id FROM users", "tables.read")
        refused(session, "TRUNCATE orders", "features.ddl")
    assert upstream.execute("SELECT total FROM invoices") == [(11,)]
    assert upstream.execute("SELECT count(*) FROM orders") == [(0,)]


def test_a_migration_tool_does_everything_at_night_from_one_network(bureau: Bureau) -> None:
    policy = example("A migration tool may do everything, at night, from one network, over TLS:")
    office = bureau.office(policy)
    with pytest.raises(psycopg.OperationalError, match="must use TLS"):
        office.connect(sslmode="disable")
    with pytest.raises(psycopg.OperationalError, match=re.escape("(client.networks)")):
        office.connect(sslmode="require")
    zone = ZoneInfo("Europe/Berlin")
    for moment, is_allowed in (
        (datetime(2026, 11, 27, 21, 59, tzinfo=zone), False),
        (datetime(2026, 11, 27, 22, 0, tzinfo=zone), True),
        (datetime(2026, 11, 28, 4, 59, tzinfo=zone), True),
        (datetime(2026, 11, 28, 5, 0, tzinfo=zone), False),
        (datetime(2026, 11, 28, 23, 0, tzinfo=zone), False),
    ):
        verdict = judge_client(
            EffectivePolicy.of(policy), ip_address("10.20.0.7"), now=moment, is_encrypted=True
        )
        assert verdict.is_allowed is is_allowed, moment
    here_and_now = policy.model_copy(update={"client": Policy(version=1).client})
    with bureau.office(here_and_now).connect() as session:
        session.execute("CREATE TABLE made_at_night (a int)")
        session.execute("CREATE FUNCTION made_too() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        session.execute("DROP TABLE made_at_night; DROP FUNCTION made_too()")


def test_a_teams_source_is_in_its_network(bureau: Bureau) -> None:
    policy = example("A team whose sources may be in one private network")
    refusal = bureau.office(policy).refusal()
    assert refusal.code == "42501"
    assert "upstream.hosts" in refusal.text
