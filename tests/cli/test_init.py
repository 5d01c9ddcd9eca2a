from __future__ import annotations

import json
import stat

from tests.cli.conftest import CommandLine


def test_it_makes_a_configuration_and_says_what_and_what_next(command: CommandLine):
    shown = command.ok("init", "--no-allow-private")
    assert "keys/local.key (mode 0600)" in shown
    assert "a self-signed certificate" in shown
    assert "Back up the key file apart from the store" in shown
    assert stat.S_IMODE((command.folder / "keys/local.key").stat().st_mode) == 0o600
    command.ok("check-config")


def test_private_addresses_are_refused_where_nobody_can_be_asked(command: CommandLine):
    assert command.value("init")["allow_private"] is False
    assert "allow_private = false" in command.file.read_text()


def test_it_overwrites_nothing(line: CommandLine):
    before = {path: path.read_bytes() for path in line.folder.rglob("*") if path.is_file()}
    assert "exists already; nothing was changed" in line.refused("init")
    assert before == {path: path.read_bytes() for path in line.folder.rglob("*") if path.is_file()}


def test_half_a_certificate_is_a_usage_error(line: CommandLine):
    result = line.run("init", "--tls-certificate", str(line.folder / "tls/listener.crt"))
    assert result.exit_code == 2
    assert "both --tls-certificate and --tls-key" in result.stderr


def test_check_config_shows_every_error_and_warning_at_once(line: CommandLine):
    (line.folder / "keys/local.key").chmod(0o644)
    (line.folder / "data/accode.db").chmod(0o644)
    result = line.run("check-config", "--json")
    assert result.exit_code == 1
    value = json.loads(result.stdout)
    assert value["ok"] is False
    assert len(value["errors"]) == 2
    assert result.stderr.count("Error: ") == 2


def test_check_config_is_quiet_about_nothing_wrong(line: CommandLine):
    assert line.ok("check-config").strip().endswith("is in order.")
    assert line.value("check-config")["errors"] == []
