from __future__ import annotations

import json
from pathlib import Path

import pytest

from policies.document import UNRESTRICTED
from tests.cli.conftest import CommandLine

READ_ONLY = "version = 1\n"
REFUSED = 3


@pytest.fixture
def orders(finance: CommandLine) -> CommandLine:
    """With a source ``orders`` of that workspace."""
    finance.ok(
        *("source", "add", "finance", "orders", "postgresql://127.0.0.1:1024/orders"),
        *("--username", "app", "--password-stdin", "--tls", "disable"),
        stdin="a secret",
    )
    return finance


def test_its_life(orders: CommandLine):
    assert "No policy is set" in orders.ok("policy", "show", "finance")
    assert orders.value("policy", "show", "finance")["digest"] == UNRESTRICTED.digest
    assert "(read-only)" in orders.ok("policy", "set", "finance", "-", stdin=READ_ONLY)
    shown = json.loads(orders.ok("policy", "show", "finance"))
    assert shown == {"version": 1, "access": "read-only"}
    narrower = '{"version": 1, "access": "read-write", "tables": {"write": ["public.a"]}}'
    orders.ok("policy", "set", "finance", "-", "--source", "orders", stdin=narrower)
    shown = orders.value("policy", "show", "finance", "--source", "orders")["policy"]
    assert shown["tables"] == {"write": ["public.a"]}
    orders.ok("policy", "clear", "finance", "--yes")
    assert orders.value("policy", "show", "finance")["policy"] is None
    assert orders.value("policy", "show", "finance", "--source", "orders")["policy"] == shown


def test_a_wrong_document_is_one_sentence_and_changes_nothing(orders: CommandLine, tmp_path: Path):
    file = tmp_path / "policy.toml"
    file.write_text("version = 1\n[tables]\nread = ['orders']\n")
    assert "tables.read.0" in orders.refused("policy", "set", "finance", str(file))
    assert "Cannot read" in orders.refused("policy", "set", "finance", str(tmp_path / "none"))
    file.write_bytes(b"\xff")
    assert "not UTF-8" in orders.refused("policy", "set", "finance", str(file))
    assert orders.value("policy", "show", "finance")["policy"] is None
    sentence = orders.refused("policy", "set", "finance", "-", "--source", "none", stdin=READ_ONLY)
    assert "no source named none" in sentence


def test_a_verdict_is_explained(orders: CommandLine, tmp_path: Path):
    question = ("policy", "check", "finance", "--source", "orders")
    assert "nothing is judged" in orders.ok(*question, "DELETE FROM a")
    orders.ok("policy", "set", "finance", "-", stdin=READ_ONLY)
    assert "reads a" in orders.ok(*question, "SELECT b FROM a")
    result = orders.run(*question, "DELETE FROM a", "--json")
    assert result.exit_code == REFUSED
    said = json.loads(result.stdout)
    assert (said["allowed"], said["rule"]) == (False, "access")
    assert said["statements"][0]["writes"] == ["a"]
    result = orders.run(*question, "-", stdin="SELECT FROM WHERE")
    assert result.exit_code == REFUSED
    assert "syntax error" in result.stdout
    draft = tmp_path / "draft.json"
    draft.write_text('{"version": 1, "access": "full"}')
    orders.ok(*question, "DELETE FROM a", "--policy", str(draft))


def test_each_change_is_in_the_audit_log(orders: CommandLine):
    before = len(orders.records())
    digest = orders.value("policy", "set", "finance", "-", stdin=READ_ONLY)["digest"]
    orders.ok("policy", "clear", "finance", "--yes")
    records = orders.records()[before:]
    assert len(records) == 4
    assert all(digest in json.dumps(record) for record in records)


def test_to_take_a_policy_away_needs_a_yes_where_nobody_can_be_asked(orders: CommandLine):
    orders.ok("policy", "set", "finance", "-", stdin=READ_ONLY)
    assert "add --yes" in orders.refused("policy", "clear", "finance")


def test_a_source_outside_its_policy_is_neither_stored_nor_kept_silently(orders: CommandLine):
    result = orders.run(
        "policy", "set", "finance", "-", stdin='version = 1\n[upstream]\nhosts = ["*.internal"]\n'
    )
    assert result.exit_code == 0
    assert "finance/orders cannot be used any more" in result.stderr
    add = ("--username", "app", "--password-stdin")
    for url, rule in (
        ("postgresql://db.example/orders", "upstream.hosts"),
        ("postgresql://db.internal:80/orders", "egress.ports"),
    ):
        sentence = orders.refused(
            *("source", "add", "finance", "other", url), *add, stdin="a secret"
        )
        assert rule in sentence
    orders.ok("policy", "set", "finance", "-", stdin='version=1\nupstream.private=["10.1.0.0/16"]')
    for url in ("postgresql://10.2.0.1/orders", "postgresql://169.254.169.254/orders"):
        sentence = orders.refused(
            *("source", "add", "finance", "other", url), *add, stdin="a secret"
        )
        assert sentence.startswith("host: ")
    orders.ok("source", "add", "finance", "other", "postgresql://10.1.0.1/o", *add, stdin="secret")
