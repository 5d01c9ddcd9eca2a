from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from proxy.config import load_config
from proxy.initial import AlreadyThereError, Choices, initialise
from proxy.preflight import examine
from vault import LocalKeyFile


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_what_it_makes_is_a_configuration_without_errors(tmp_path: Path):
    made = await initialise(tmp_path, Choices())
    config = load_config(made.config, {})
    assert not [finding for finding in examine(config) if finding.is_error]
    LocalKeyFile.load(made.key)


async def test_secrets_are_in_files_and_folders_for_their_owner_alone(tmp_path: Path):
    made = await initialise(tmp_path, Choices())
    assert made.certificate is not None
    assert mode(made.key) == mode(made.store) == mode(tmp_path / "tls/listener.key") == 0o600
    assert mode(made.key.parent) == mode(made.store.parent) == 0o700
    assert made.key.parent != made.store.parent


async def test_the_choices_are_in_the_file(tmp_path: Path):
    made = await initialise(
        tmp_path, Choices(host="::1", port=7000, metrics_port=7001, allow_private=True)
    )
    config = load_config(made.config, {})
    assert (config.listeners[0].host, config.listeners[0].port) == ("::1", 7000)
    mysql = config.listeners[1]
    assert (mysql.protocol, mysql.host, mysql.port) == ("mysql", "::1", 6433)
    assert mysql.tls_certificate == config.listeners[0].tls_certificate
    assert config.metrics.port == 7001
    assert config.egress.allow_private is True


async def test_every_commented_setting_of_the_file_is_a_real_one(tmp_path: Path):
    made = await initialise(tmp_path, Choices())
    text = made.config.read_text()
    uncommented = "\n".join(
        line.removeprefix("# ") if " = " in line else line for line in text.splitlines()
    )
    made.config.write_text(uncommented)
    assert tomllib.loads(uncommented) != tomllib.loads(text)
    assert load_config(made.config, {}) == load_config(made.config, {})
    assert load_config(made.config, {}).limits.idle_timeout == 3_600


async def test_an_own_certificate_is_used_and_none_is_made(tmp_path: Path):
    first = await initialise(tmp_path / "first", Choices())
    assert first.certificate is not None
    choices = Choices(
        certificate=first.certificate, certificate_key=tmp_path / "first/tls/listener.key"
    )
    second = await initialise(tmp_path / "second", choices)
    assert second.certificate is None
    assert not (tmp_path / "second/tls").exists()
    assert load_config(second.config, {}).listeners[0].tls_certificate == first.certificate


@pytest.mark.parametrize(
    "name", ["accode.toml", "data/accode.db", "keys/local.key", "tls/listener.crt"]
)
async def test_nothing_is_overwritten_and_nothing_else_is_made(tmp_path: Path, name: str):
    there = tmp_path / name
    there.parent.mkdir(exist_ok=True)
    there.write_text("mine")
    with pytest.raises(AlreadyThereError, match="exists already; nothing was changed"):
        await initialise(tmp_path, Choices())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [there]
    assert there.read_text() == "mine"


async def test_what_fails_half_way_leaves_no_file_behind(tmp_path: Path):
    # The store's folder is in nobody's way until a file stands in its place.
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(FileExistsError):
        await initialise(tmp_path, Choices())
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["data"]
