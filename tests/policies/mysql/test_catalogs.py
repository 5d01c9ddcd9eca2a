from __future__ import annotations

import pytest

from policies.decide import decide
from policies.document import Policy, policy_from
from policies.effective import EffectivePolicy
from policies.mysql import MySqlClassifier
from protocols.statements import Kind

CLASSIFIER = MySqlClassifier()
READ_WRITE = policy_from({"version": 1, "access": "read-write"})


def message(sql: str, database: str, policy: Policy = READ_WRITE) -> str:
    return decide(policy, CLASSIFIER.classify(sql.encode()), database).message


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT authentication_string FROM mysql.user",
        "SELECT * FROM `MySQL`.`User`",
        "UPDATE mysql.user SET account_locked = 'N'",
        "INSERT INTO mysql.func (name) VALUES ('x')",
        "UPDATE performance_schema.setup_consumers SET enabled = 'NO'",
        "DELETE FROM sys.sys_config",
    ],
)
def test_the_servers_own_tables_are_neither_written_nor_their_secrets_read(sql: str) -> None:
    assert "is not allowed" in message(sql, "shop")


def test_a_name_without_a_database_is_that_of_the_sessions_own() -> None:
    for sql in ("SELECT * FROM user", "UPDATE setup_consumers SET enabled = 'NO'"):
        assert message(sql, "shop") == ""
    assert message("SELECT * FROM user", "mysql") == "mysql.user is the server's own"
    assert "server's own" in message("DELETE FROM db", "Mysql")
    assert "server's own" in message("UPDATE setup_consumers SET enabled = 1", "performance_schema")


def test_their_definitions_and_other_tables_may_be_read() -> None:
    for sql in (
        "SHOW FULL COLUMNS FROM mysql.user",
        "SELECT Db FROM mysql.db",
        "SELECT user FROM shop.user",
        "SELECT * FROM performance_schema.threads",
        "USE information_schema",
        "USE shop",
    ):
        assert message(sql, "shop") == ""


@pytest.mark.parametrize("command", [b"USE mysql", b"USE Performance_Schema", b"USE sys"])
def test_their_databases_are_not_chosen(command: bytes) -> None:
    facts = CLASSIFIER.classify_command(Kind.SET, command)
    assert "choosing the database" in decide(READ_WRITE, facts, "shop").message
    assert "choosing the database" in message(command.decode(), "shop")


def test_statistics_do_not_show_a_denied_column() -> None:
    policy = policy_from({"version": 1, "columns": {"deny": ["shop.users.password"]}})
    for sql in (
        "SELECT histogram FROM information_schema.column_statistics",
        "SELECT min_value FROM mysql.column_stats",
    ):
        assert decide(policy, CLASSIFIER.classify(sql.encode()), "shop").rule == "columns.deny"


def test_where_tables_are_not_named_the_sessions_database_counts() -> None:
    policy = policy_from({"version": 1, "tables": {"schema": "shop"}})
    assert EffectivePolicy.of(policy).schema("mysql") == "mysql"
