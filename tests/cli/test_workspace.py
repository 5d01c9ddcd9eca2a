from __future__ import annotations

from proxy.administration.oidc import open_secret
from proxy.administration.workplace import open_reading
from proxy.audit.files import FolderLock
from proxy.config import load_config
from proxy.parts import open_vault
from proxy.store import Store
from proxy.store.sources import open_credential
from tests.cli.conftest import CommandLine
from tests.servers.loops import run_to_end


def test_its_life_from_creation_to_receipt(line: CommandLine):
    assert "Created workspace finance." in line.ok("workspace", "create", "finance")
    assert line.value("workspace", "show", "finance")["state"] == "active"
    line.ok("workspace", "suspend", "finance", "--yes")
    assert line.value("workspace", "list")[0]["state"] == "suspended"
    line.ok("workspace", "resume", "finance")
    assert line.value("workspace", "show", "finance")["state"] == "active"
    line.ok("token", "create", "finance")
    receipt = line.value("workspace", "delete", "finance", "--yes")
    assert receipt["workspace"] == "finance"
    assert receipt["destroyed_root_key_versions"] == [1]
    assert len(receipt["token_ids"]) == 1
    assert line.refused("workspace", "show", "finance") == "There is no workspace named finance."
    assert line.ok("workspace", "list").strip() == "There are no workspaces."


def test_a_workspace_is_renamed(finance: CommandLine):
    before = finance.value("workspace", "show", "finance")
    assert "add --yes" in finance.refused("workspace", "rename", "finance", "accounts")
    said = finance.ok("workspace", "rename", "finance", "accounts", "--yes")
    assert said.strip() == "Renamed workspace finance to accounts."
    after = finance.value("workspace", "show", "accounts")
    assert after == before | {"name": "accounts"}
    assert "no workspace named finance" in finance.refused("workspace", "show", "finance")
    finance.ok("workspace", "create", "finance")
    assert "finance" in finance.refused("workspace", "rename", "accounts", "finance", "--yes")


def test_the_receipt_is_readable_for_people_too(finance: CommandLine):
    shown = finance.ok("workspace", "delete", "finance", "--yes")
    assert "Deletion receipt" in shown
    assert "Root keys destroyed  version 1" in shown


def test_what_cannot_be_undone_needs_a_yes_where_nobody_can_be_asked(finance: CommandLine):
    for verb in ("suspend", "delete"):
        assert "add --yes" in finance.refused("workspace", verb, "finance")
    assert finance.value("workspace", "show", "finance")["state"] == "active"


def test_a_taken_name_and_a_wrong_name_are_one_sentence_each(finance: CommandLine):
    assert "finance" in finance.refused("workspace", "create", "finance")
    assert "a-z, 0-9" in finance.refused("workspace", "create", "Finance Department")


def test_each_change_is_in_the_audit_log_before_and_after_it(finance: CommandLine):
    finance.ok("workspace", "suspend", "finance", "--yes")
    records = finance.records()
    assert [(r["class_uid"], r["activity_id"], r["status"]) for r in records] == [
        (3004, 1, "Unknown"),
        (3004, 1, "Success"),
        (3004, 3, "Unknown"),
        (3004, 3, "Success"),
    ]
    workspace_id = finance.value("workspace", "show", "finance")["id"]
    assert all(r["metadata"]["tenant_uid"] == workspace_id for r in records)
    assert all(r["actor"]["user"]["name"] for r in records)
    finance.ok("audit", "verify")


def test_a_refused_change_is_in_the_audit_log_as_a_failure(finance: CommandLine):
    finance.refused("workspace", "create", "finance")
    assert [r["status"] for r in finance.records()][-2:] == ["Unknown", "Failure"]


def test_without_an_audit_log_nothing_is_changed(finance: CommandLine):
    # Held by a process that does not answer on the control socket.
    lock = FolderLock(finance.folder / "audit")
    try:
        assert "in use by another process" in finance.refused("workspace", "create", "other")
    finally:
        lock.release()
    assert [entry["name"] for entry in finance.value("workspace", "list")] == ["finance"]


def test_a_key_file_that_others_can_read_stops_every_change(finance: CommandLine):
    (finance.folder / "keys/local.key").chmod(0o640)
    assert "its mode must be 0600" in finance.refused("workspace", "create", "other")


def test_a_store_that_is_not_there_is_not_made_anew(finance: CommandLine):
    (finance.folder / "data/accode.db").unlink()
    assert "`accode-proxy init` makes one" in finance.refused("workspace", "list")
    assert not (finance.folder / "data/accode.db").exists()


def test_where_nobody_can_be_asked_what_would_be_asked_is_said(line: CommandLine):
    line.ok("workspace", "create", "finance")
    assert line.refused("workspace", "suspend", "finance") == (
        "Suspend finance and end its sessions? Nobody can be asked here: add --yes to do it."
    )


SECRETS = {"orders": "a password", "client": "a client's secret"}


def with_secrets(finance: CommandLine) -> CommandLine:
    add = ("source", "add", "finance", "orders", "postgresql://127.0.0.1:1024/x", "--username", "a")
    finance.ok(*add, "--password-stdin", stdin=SECRETS["orders"] + "\n")
    provider = (
        *("admin", "oidc", "set", "finance", "--issuer", "https://localhost:1/realm"),
        *("--client-id", "accode", "--redirect-uri", "https://console.example.com/back"),
        *("--claim", "groups", "--allow", "admins", "--secret-stdin"),
    )
    finance.ok(*provider, stdin=SECRETS["client"] + "\n")
    return finance


def secrets_of(finance: CommandLine) -> dict[str, str]:
    """What opens now, with the key file and the store alone."""
    config = load_config(finance.file, {})
    vault = open_vault(config)

    async def read() -> dict[str, str]:
        async with open_reading(config) as store:
            workspace = await store.workspace("finance")
            source = await store.source(workspace, "orders")
            provider = await store.oidc.of_workspace(workspace.id)
            assert provider is not None
            return {
                "orders": open_credential(vault, workspace, source).reveal().decode(),
                "client": open_secret(vault, workspace, provider).reveal().decode(),
            }

    return run_to_end(read())


def test_a_root_key_is_renewed_and_every_secret_opens_under_the_new_one(finance: CommandLine):
    with_secrets(finance)
    done = finance.value("workspace", "rekey", "finance")
    assert done == {"root_key_version": 2, "resealed": 2, "destroyed": [1]}
    assert finance.value("workspace", "show", "finance")["root_key_versions"] == [2]
    assert secrets_of(finance) == SECRETS
    last = finance.records()[-1]
    assert (last["entity"]["type"], last["status"]) == ("workspace root key", "Success")
    finance.ok("source", "rotate", "finance", "orders", "--password-stdin", stdin="y\n")
    finance.ok("audit", "verify")


def test_a_renewal_that_was_interrupted_is_finished(finance: CommandLine):
    with_secrets(finance)
    config = load_config(finance.file, {})

    async def begin() -> None:
        store = await Store.open(config.store.url)
        try:
            workspace = await store.workspace("finance")
            await store.root_keys.add(open_vault(config).new_root_key(workspace.id, version=2))
        finally:
            await store.close()

    run_to_end(begin())
    assert finance.value("workspace", "show", "finance")["root_key_versions"] == [2, 1]
    said = finance.ok("workspace", "rekey", "finance")
    assert said.strip() == (
        "Workspace finance has root key 2. Sealed anew: 2 secrets; destroyed: root key 1."
    )
    assert secrets_of(finance) == SECRETS
