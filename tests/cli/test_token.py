from __future__ import annotations

from datetime import UTC, datetime, timedelta

from proxy.store import parse_token
from tests.cli.conftest import CommandLine


def everything_stored(line: CommandLine) -> bytes:
    return b"".join(path.read_bytes() for path in line.folder.rglob("*") if path.is_file())


def test_it_is_shown_once_with_the_dsn_and_stored_nowhere(finance: CommandLine):
    value = finance.value("token", "create", "finance", "--label", "report")
    token = value["token"]
    assert parse_token(token) == value["id"]
    (dsn,) = value["dsns"]
    assert dsn.startswith(f"postgresql://finance:{token}@127.0.0.1:")
    assert "sslmode=require" in dsn
    assert token.encode() not in everything_stored(finance)
    assert token not in finance.ok("token", "list", "finance")
    assert token not in finance.ok("audit", "search", "--json")


def test_for_people_the_token_stands_alone_on_the_first_line(finance: CommandLine):
    shown = finance.ok("token", "create", "finance").splitlines()
    parse_token(shown[0])
    assert any("cannot be shown again" in line for line in shown)


def test_it_ends_when_it_was_told_to(finance: CommandLine):
    value = finance.value("token", "create", "finance", "--expires", "30d")
    ends = datetime.fromisoformat(value["expires_at"])
    assert abs(ends - datetime.now(UTC) - timedelta(days=30)) < timedelta(minutes=5)


def test_a_wrong_length_of_time_is_a_usage_error(finance: CommandLine):
    result = finance.run("token", "create", "finance", "--expires", "soon")
    assert result.exit_code == 2
    assert "30d" in result.stderr


def test_a_revoked_token_is_listed_as_such(finance: CommandLine):
    value = finance.value("token", "create", "finance")
    finance.ok("token", "revoke", "finance", value["id"], "--yes")
    (listed,) = finance.value("token", "list", "finance")
    assert (listed["id"], listed["state"]) == (value["id"], "revoked")


def test_it_can_be_revoked_by_its_text(finance: CommandLine):
    token = finance.value("token", "create", "finance")["token"]
    assert token not in finance.ok("token", "revoke", "finance", token, "--yes")


def test_an_unknown_id_is_refused_and_not_repeated(finance: CommandLine):
    assert "0123456789" not in finance.refused("token", "revoke", "finance", "0123456789", "--yes")


def test_another_workspaces_token_is_unknown(finance: CommandLine):
    finance.ok("workspace", "create", "other")
    token_id = finance.value("token", "create", "other")["id"]
    assert "no token" in finance.refused("token", "revoke", "finance", token_id, "--yes")


def test_creating_and_revoking_are_account_changes_in_the_audit_log(finance: CommandLine):
    token_id = finance.value("token", "create", "finance")["id"]
    finance.ok("token", "revoke", "finance", token_id, "--yes")
    changes = [r for r in finance.records() if r["class_uid"] == 3001]
    assert [(r["activity_id"], r["status"]) for r in changes] == [
        (1, "Unknown"), (1, "Success"), (5, "Unknown"), (5, "Success"),
    ]  # fmt: skip
    assert {r["user"]["uid"] for r in changes} == {token_id}
