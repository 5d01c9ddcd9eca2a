from __future__ import annotations

import json
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import CommandLine
from tests.servers.postgres import PostgresServer
from tests.servers.roles import ADMIN
from tests.store.stores import new_postgresql_url


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


def test_a_postgresql_store_by_its_url_and_a_password_file(
    command: CommandLine, postgres: PostgresServer, tmp_path: Path
):
    parts = urlsplit(new_postgresql_url(postgres))
    place = f"{parts.hostname}:{parts.port}"
    passfile = tmp_path / "store.pgpass"
    passfile.write_text(f"{place}:*:{parts.username}:{parts.password}\n")
    passfile.chmod(0o600)
    url = f"postgresql://{parts.username}@{place}{parts.path}?passfile={passfile}"
    shown = command.ok("init", "--store", url)
    assert "The store is reached, and its tables are there." in shown
    assert parts.password is not None
    assert parts.password not in command.file.read_text()
    command.ok("check-config")
    command.ok("workspace", "create", "finance")
    assert "finance" in command.ok("workspace", "list")


def test_a_postgresql_store_by_a_file_that_holds_its_password(
    command: CommandLine, postgres: PostgresServer, tmp_path: Path
):
    url = new_postgresql_url(postgres)
    value = command.value("init", "--store-from", "-", stdin=url + "\n")
    assert value["store"] is None
    assert ADMIN.password not in str(value)
    assert stat.S_IMODE(command.file.stat().st_mode) == 0o600
    command.ok("workspace", "create", "finance")

    # The second proxy, with the first one's key.
    file = tmp_path / "store.url"
    file.write_text(url)
    second = CommandLine(tmp_path / "second")
    arguments = ("init", "--store-from", str(file))
    assert "give that one with --key-file" in second.refused(*arguments)
    shown = second.ok(*arguments, "--key-file", str(command.folder / "keys/local.key"))
    assert "Back up" not in shown
    assert second.value("key", "status")["stale_root_keys"] == 0


def test_a_password_is_never_taken_from_an_argument(command: CommandLine):
    result = command.run("init", "--store", "postgresql://a:Secret-1@h/d")
    assert result.exit_code == 2
    assert "leave the password out of --store" in result.stderr
    assert "Secret-1" not in result.output
    assert not command.folder.exists()


def test_one_url_is_enough(command: CommandLine):
    result = command.run("init", "--store", "postgresql://a@h/d", "--store-from", "-")
    assert result.exit_code == 2
    assert "not both" in result.stderr


@pytest.mark.parametrize("given", ["", "postgresql://a\npostgresql://b", "p" * 5000])
def test_a_file_without_a_url_is_refused(command: CommandLine, given: str):
    assert "holds no URL" in command.refused("init", "--store-from", "-", stdin=given)
