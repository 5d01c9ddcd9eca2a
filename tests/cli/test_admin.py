import json

from proxy.admin.roles import OPERATIONS
from proxy.store.api_keys import parse_api_key
from tests.cli.conftest import CommandLine


def test_a_key_is_made_shown_once_listed_and_revoked(finance: CommandLine):
    made = finance.value("admin", "key", "create", "--role", "owner", "--label", "first")
    assert parse_api_key(made["key"]) == made["id"]
    (listed,) = finance.value("admin", "key", "list")
    assert (listed["id"], listed["role"], listed["state"]) == (made["id"], "owner", "live")
    text = finance.ok("admin", "key", "list")
    assert made["id"] in text
    assert made["key"][15:] not in text + json.dumps(listed)
    finance.ok("admin", "key", "revoke", made["id"], "--yes")
    assert finance.value("admin", "key", "list")[0]["state"] == "revoked"
    told = [
        record["message"]
        for record in finance.records()
        if record["class_uid"] == 3001 and record["status_id"] == 1
    ]
    assert told == ["API key: create", "API key: disable"]
    assert made["key"] not in json.dumps(finance.records())


def test_a_key_of_a_workspace_is_its_own(finance: CommandLine):
    made = finance.value("admin", "key", "create", "--workspace", "finance", "--expires", "90d")
    assert made["role"] == "workspace-admin"
    assert made["expires_at"]
    assert finance.value("admin", "key", "list") == []
    assert len(finance.value("admin", "key", "list", "--workspace", "finance")) == 1
    said = finance.refused("admin", "key", "revoke", made["id"], "--yes")
    assert said == "There is no such API key."
    finance.ok("admin", "key", "revoke", made["id"], "--workspace", "finance", "--yes")
    said = finance.refused("admin", "key", "create", "--workspace", "nowhere")
    assert said == "There is no workspace named nowhere."


def test_a_key_has_a_role_or_a_workspace(finance: CommandLine):
    result = finance.run("admin", "key", "create", "--role", "owner", "--workspace", "finance")
    assert result.exit_code == 2
    assert "one role" in result.stderr


def test_a_key_is_not_revoked_unasked(finance: CommandLine):
    made = finance.value("admin", "key", "create")
    assert made["role"] == "operator"
    assert "--yes" in finance.refused("admin", "key", "revoke", made["id"])


def test_the_description_is_printed_without_a_configuration(command: CommandLine):
    document = json.loads(command.ok("admin", "openapi"))
    found = {
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    }
    assert found == set(OPERATIONS)


def test_the_endpoints_do_not_start_in_plaintext_for_everybody(line: CommandLine):
    with line.file.open("a") as file:
        file.write('\n[admin]\nhost = "0.0.0.0"\n')
    assert "plaintext" in line.refused("admin", "serve")
    told = line.run("check-config")
    assert told.exit_code == 0
    assert "The admin endpoints cannot start" in told.output
