from __future__ import annotations

import stat

from tests.cli.conftest import CommandLine
from vault import LocalKeyFile


def test_status_shows_ids_and_counts_and_no_key(finance: CommandLine):
    value = finance.value("key", "status")
    assert value["root_keys"] == 1
    assert value["stale_root_keys"] == 0
    assert value["held"] == [value["current"]]
    shown = finance.ok("key", "status") + str(value)
    secrets = [
        word for word in (finance.folder / "keys/local.key").read_text().split() if len(word) == 64
    ]
    assert len(secrets) == 3
    assert not any(secret in shown for secret in secrets)


def test_rotating_rewraps_every_root_key_and_keeps_the_earlier_one(finance: CommandLine):
    before = finance.value("key", "status")
    done = finance.value("key", "rotate")
    after = finance.value("key", "status")
    assert done["rewrapped"] == 1
    assert after["current"] == done["current"] != before["current"]
    assert after["stale_root_keys"] == 0
    assert len(after["held"]) == 2
    assert after["audit_verification_key"] == before["audit_verification_key"]


def test_after_a_rotation_credentials_still_open_and_the_log_still_verifies(finance: CommandLine):
    add = ("source", "add", "finance", "orders", "postgresql://127.0.0.1:1024/x", "--username", "a")
    finance.ok(*add, "--password-stdin", stdin="x\n")
    finance.ok("key", "rotate", "--retire", "--yes")
    finance.ok("source", "rotate", "finance", "orders", "--password-stdin", stdin="y\n")
    finance.ok("audit", "verify")


def test_retiring_leaves_the_new_key_alone_and_asks_first(finance: CommandLine):
    assert "add --yes" in finance.refused("key", "rotate", "--retire")
    done = finance.value("key", "rotate", "--retire", "--yes")
    assert len(done["retired"]) == 1
    assert finance.value("key", "status")["held"] == [done["current"]]


def test_a_rotation_is_in_the_audit_log(finance: CommandLine):
    finance.ok("key", "rotate")
    last = finance.records()[-1]
    assert (last["entity"]["type"], last["status"]) == ("key encryption key", "Success")


def test_a_key_file_is_made_alone_and_overwrites_nothing(command: CommandLine):
    file = command.folder.parent / "alone.key"
    made = command.value("key", "create", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert LocalKeyFile.load(file).key_id == made["current"]
    before = file.read_bytes()
    assert f"Key file {file} exists already" in command.refused("key", "create", str(file))
    assert file.read_bytes() == before
    assert not command.folder.exists()
    command.ok("init", "--key-file", str(file))
    assert command.value("key", "status")["current"] == made["current"]


def test_a_key_file_in_no_folder_is_one_sentence(command: CommandLine):
    assert "cannot be created" in command.refused("key", "create", str(command.folder / "x/k"))
