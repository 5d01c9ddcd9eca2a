from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.cli.conftest import CommandLine


def log_files(line: CommandLine) -> list[Path]:
    return sorted((line.folder / "audit").glob("audit-*.jsonl"))


def test_tail_shows_the_newest_records_last(finance: CommandLine):
    finance.ok("workspace", "create", "other")
    records = [json.loads(r) for r in finance.ok("audit", "tail", "-n", "3", "--json").splitlines()]
    sequences = [record["metadata"]["sequence"] for record in records]
    assert len(sequences) == 3
    assert sequences == sorted(sequences)
    shown = finance.ok("audit", "tail", "-n", "4")
    assert "other" in shown
    assert len(shown.splitlines()) == 4


def test_search_finds_by_workspace_class_and_time(finance: CommandLine):
    finance.ok("workspace", "create", "other")
    workspace_id = finance.value("workspace", "show", "other")["id"]
    found = finance.ok("audit", "search", "--workspace", workspace_id, "--json").splitlines()
    assert len(found) == 2
    assert finance.ok("audit", "search", "--class", "3002") == ""
    assert finance.ok("audit", "search", "--until", "1d") == ""
    assert finance.ok("audit", "search", "--since", "2001-01-01", "--class", "3004")


def test_search_says_when_there_is_more(finance: CommandLine):
    result = finance.run("audit", "search", "--limit", "1")
    assert len(result.stdout.splitlines()) == 1
    assert "only the first 1" in result.stderr


def test_an_export_is_a_file_or_standard_output(finance: CommandLine, tmp_path: Path):
    file = tmp_path / "audit.csv"
    told = finance.value("audit", "export", "--format", "csv", "--class", "3004", "-o", str(file))
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert told["records"] == len(rows) > 0
    assert {row["entity"] for row in rows} == {"finance"}
    lines = finance.ok("audit", "export", "--class", "3004").splitlines()
    assert [json.loads(line)["metadata"]["sequence"] for line in lines] == [
        int(row["sequence"]) for row in rows
    ]
    assert finance.ok("audit", "export", "--table", "nothing") == ""
    assert finance.run("audit", "export", "--format", "xlsx").exit_code == 2


def test_a_time_that_is_none_is_a_usage_error(finance: CommandLine):
    result = finance.run("audit", "search", "--since", "yesterday-ish")
    assert result.exit_code == 2
    assert "2026-01-31T12:00:00Z" in result.stderr


def test_verify_says_that_all_is_intact_and_what_to_keep(finance: CommandLine):
    shown = finance.ok("audit", "verify")
    assert shown.startswith("Intact: ")
    value = finance.value("audit", "verify")
    assert value["is_intact"] is True
    newest = f"{value['last_sequence']}:{value['last_hash']}"
    assert newest in shown
    finance.ok("audit", "verify", "--expect", newest)


def test_verify_needs_no_key_file_where_the_public_key_is_given(finance: CommandLine):
    key = finance.value("key", "status")["audit_verification_key"]
    (finance.folder / "keys/local.key").unlink()
    assert "does not exist" in finance.refused("audit", "verify")
    finance.ok("audit", "verify", "--public-key", key)


def test_verify_names_a_changed_record_and_fails(finance: CommandLine):
    file = log_files(finance)[0]
    text = file.read_bytes()
    assert b'"name":"finance"' in text
    file.write_bytes(text.replace(b'"name":"finance"', b'"name":"finanse"'))
    sentence = finance.refused("audit", "verify")
    assert sentence.startswith("The audit log is damaged: record ")
    assert "changed" in sentence


def test_verify_with_another_key_or_another_hash_fails(finance: CommandLine):
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    assert "not signed by this key" in finance.refused("audit", "verify", "--public-key", other)
    assert "expected" in finance.refused("audit", "verify", "--expect", "1:" + "0" * 64)


@pytest.mark.parametrize(
    "arguments",
    [("--expect", "x"), ("--expect", "1:abc"), ("--public-key", "xyz"), ("--public-key", "00")],
)
def test_malformed_expectations_are_usage_errors(finance: CommandLine, arguments: tuple[str, str]):
    assert finance.run("audit", "verify", *arguments).exit_code == 2


def test_where_there_is_no_log_that_is_one_sentence(line: CommandLine):
    for verb in ("tail", "search", "verify"):
        assert "no audit log" in line.refused("audit", verb)
