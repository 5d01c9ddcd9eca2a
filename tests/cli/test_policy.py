from __future__ import annotations

import json
import shlex

# A command runs an event loop of its own, so beside one it runs in a thread.
from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from policies.document import UNRESTRICTED
from proxy.audit import AuditLog
from proxy.config import load_config
from proxy.parts import open_audit, open_vault
from tests.audit.rig import context, run_statement
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


def asked(orders: CommandLine, *arguments: str) -> dict[str, Any]:
    result = orders.run("policy", "check", "finance", "--source", "orders", *arguments, "--json")
    said: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (0 if said["allowed"] else REFUSED)
    return said


def test_where_a_source_is_is_explained(orders: CommandLine, tmp_path: Path):
    draft = tmp_path / "draft.toml"
    for rules, rule, about in (
        ('hosts = ["*.internal"]', "upstream.hosts", "127.0.0.1"),
        ("ports = [5432]", "upstream.ports", "1024"),
        ('tls = [{profile = "modern"}]', "upstream.tls", "none"),
        ('private = ["10.0.0.0/8"]', "upstream.private", "127.0.0.1 port 1024"),
        ('private = ["127.0.0.0/8"]', "", ""),
    ):
        draft.write_text(f'version = 1\naccess = "full"\n[upstream]\n{rules}\n')
        said = asked(orders, "--policy", str(draft))
        assert (said["rule"], said["object"]) == (rule, about)
        assert said["source"]["allowed"] == said["allowed"]
        assert (said["client"], said["statement"]) == (None, None)


def test_a_profile_that_runs_out_is_asked_about_at_its_time(orders: CommandLine, tmp_path: Path):
    draft = tmp_path / "draft.toml"
    draft.write_text(
        'version = 1\naccess = "full"\n[[upstream.tls]]\nprofile = "none"\nowner = "a"\n'
        'reason = "b"\nexpires = 2031-03-31\n'
    )
    question = ("--policy", str(draft), "--at")
    assert asked(orders, *question, "2031-03-31T12:00Z")["allowed"]
    assert asked(orders, *question, "2031-04-01T12:00Z")["rule"] == "upstream.tls"


def test_when_and_from_where_a_client_comes_is_explained(orders: CommandLine):
    document = """
version = 1
access = "full"
[client]
networks = ["10.20.0.0/16"]
require_tls = true
[[client.hours]]
days = ["mon"]
start = 22:00:00
until = 05:00:00
zone = "Europe/Berlin"
"""
    orders.ok("policy", "set", "finance", "-", stdin=document)
    for arguments, rule, about in (
        (("--from", "10.20.0.7", "--at", "2026-11-30T22:30+01:00", "--tls"), "", ""),
        (("--from", "::ffff:10.20.0.7"), "", ""),
        (("--from", "192.0.2.1"), "client.networks", "192.0.2.1"),
        (("--at", "2026-11-30T20:00Z"), "client.hours", "2026-11-30T20:00+00:00"),
        (("--at", "2026-12-01T03:59Z"), "", ""),
        (("--no-tls",), "client.require_tls", ""),
        (("--tls",), "", ""),
    ):
        said = asked(orders, *arguments)
        assert (said["rule"], said["object"]) == (rule, about), arguments
        assert said["client"]["allowed"] == said["allowed"]
    question = ("policy", "check", "finance", "--source", "orders")
    shown = orders.run(*question, "SELECT 1", "--from", "192.0.2.1").stdout
    assert "Client       refused (client.networks)" in shown
    assert "Source       127.0.0.1 port 1024: allowed" in shown
    assert "not an address" in orders.refused(*question, "--from", "here")
    assert "not a time" in orders.refused(*question, "--at", "noon")
    assert "time zone" in orders.refused(*question, "--at", "2026-11-30T22:30")


def test_the_first_no_in_a_sessions_life_is_the_verdict(orders: CommandLine):
    document = 'version = 1\n[client]\nnetworks = ["10.0.0.0/8"]\n'
    orders.ok("policy", "set", "finance", "-", stdin=document)
    said = asked(orders, "DELETE FROM a", "--from", "192.0.2.1")
    assert said["rule"] == "client.networks"
    assert (said["statement"]["rule"], said["statement"]["allowed"]) == ("access", False)
    assert asked(orders, "DELETE FROM a", "--from", "10.0.0.1")["rule"] == "access"


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


def test_what_the_documentation_shows_is_what_is_printed(finance: CommandLine):
    page = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
    finance.ok(
        *("source", "add", "finance", "orders", "postgresql://db.example.com/orders"),
        *("--username", "app", "--password-stdin"),
        stdin="a secret",
    )
    policies = [block.split("```")[0] for block in page.split("```toml\n")[1:]]
    shown = [block.split("```")[0] for block in page.split("```\n$ ")[1:]]
    assert len(shown) == 2
    for block, policy in zip(shown, (policies[0], policies[2]), strict=True):
        finance.ok("policy", "set", "finance", "-", stdin=policy)
        command, _, output = block.partition("\n")
        program, *arguments = shlex.split(command)
        assert program == "accode-proxy"
        assert finance.run(*arguments).stdout == output


async def test_a_draft_is_tried_on_what_was_run(orders: CommandLine, tmp_path: Path):
    workspace = await to_thread(orders.value, "workspace", "show", "finance")
    source = (await to_thread(orders.value, "source", "list", "finance"))[0]
    made = context(workspace_id=workspace["id"], source_id=source["id"])
    async with open_log(orders) as log:
        recorder = log.recorder(made)
        for text in (b"SELECT a FROM t", b"DELETE FROM t", b"DROP TABLE t"):
            run_statement(recorder, text)
        recorder.close("client_left", duration=1.0)
    draft = tmp_path / "draft.toml"
    draft.write_text(READ_ONLY)
    question = ("policy", "try", "finance", str(draft))
    told = await to_thread(orders.value, *question)
    assert (told["found"], told["allowed"], told["rules"]["access"]["refused"]) == (3, 1, 2)
    shown = await to_thread(orders.ok, *question, "--source", "orders", "--last", "2")
    assert "2, of which 2 were not refused then" in shown
    assert "DROP TABLE t" in shown
    assert "main#" in shown
    full = await to_thread(orders.ok, *question[:3], "-", stdin='{"version": 1, "access": "full"}')
    assert "nothing is judged" in full
    assert (await to_thread(orders.value, "policy", "show", "finance"))["policy"] is None


def test_a_draft_is_tried_where_nothing_was_run(orders: CommandLine):
    shown = orders.ok("policy", "try", "finance", "-", stdin=READ_ONLY)
    assert "no statement" in shown
    assert "no source named" in orders.refused(
        "policy", "try", "finance", "-", "--source", "none", stdin=READ_ONLY
    )
    assert orders.run("policy", "try", "finance", "-", "--last", "0").exit_code == 2


@asynccontextmanager
async def open_log(line: CommandLine) -> AsyncIterator[AuditLog]:
    config = load_config(line.file, {})
    async with open_audit(config, open_vault(config)) as log:
        yield log


def test_what_was_put_is_listed_and_compared(orders: CommandLine):
    assert orders.ok("policy", "history", "finance").strip() == "No policy was ever put."
    orders.ok("policy", "set", "finance", "-", stdin=READ_ONLY)
    orders.ok("policy", "set", "finance", "-", stdin='version = 1\naccess = "read-write"\n')
    orders.ok("policy", "clear", "finance", "--yes")
    listed = orders.value("policy", "history", "finance")
    numbers = [one["number"] for one in listed]
    assert numbers == sorted(numbers, reverse=True)
    assert [one["policy"] and one["policy"]["access"] for one in listed] == [
        None,
        "read-write",
        "read-only",
    ]
    third, second, first = (str(number) for number in numbers)
    said = orders.ok("policy", "diff", "finance", first, second)
    assert 'access: "read-only" -> "read-write"' in said
    assert orders.value("policy", "diff", "finance", first, first) == []
    assert orders.value("policy", "diff", "finance", second, third) != []
    said = orders.refused("policy", "diff", "finance", first, "4711")
    assert said == "There is no policy 4711 in this history."
    assert orders.value("policy", "history", "finance", "--source", "orders") == []
