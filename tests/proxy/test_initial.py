from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from proxy.config import load_config
from proxy.initial import (
    AlreadyThereError,
    Choices,
    KeyNeededError,
    initialise,
    names_a_password,
)
from proxy.preflight import examine
from proxy.store import Store, StoreError, new_id
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer
from tests.store.stores import new_postgresql_url
from vault import LocalKeyFile, Vault


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
    assert made.store is not None
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


async def test_a_postgresql_store_is_named_and_no_file_is_made_for_it(
    tmp_path: Path, postgres: PostgresServer
):
    url = new_postgresql_url(postgres)
    made = await initialise(tmp_path, Choices(store=url))
    assert made.store is None
    assert not (tmp_path / "data").exists()
    # It holds the password: see check-config.
    assert mode(made.config) == 0o600
    config = load_config(made.config, {})
    assert config.store.url == url.replace("postgresql:", "postgresql+asyncpg:")
    assert not [finding for finding in examine(config) if finding.is_error]
    store = await Store.open(config.store.url)
    assert await store.list_workspaces() == []
    await store.close()


async def test_a_second_proxy_takes_the_key_of_the_first(tmp_path: Path, postgres: PostgresServer):
    url = new_postgresql_url(postgres)
    first = await initialise(tmp_path / "first", Choices(store=url))
    store = await Store.open(url)
    await store.create_workspace(
        "finance", Vault(LocalKeyFile.load(first.key)).new_root_key(new_id())
    )
    await store.close()
    with pytest.raises(KeyNeededError, match="under another key file"):
        await initialise(tmp_path / "second", Choices(store=url))
    assert not [path for path in (tmp_path / "second").rglob("*") if path.is_file()]
    second = await initialise(tmp_path / "third", Choices(store=url, key=first.key))
    assert load_config(second.config, {}).keys.file == second.key == first.key
    assert not (tmp_path / "third/keys").exists()


async def test_a_store_that_cannot_be_reached_leaves_no_file_behind(tmp_path: Path):
    url = f"postgresql://nobody:Secret-1@127.0.0.1:{free_port()}/accode"
    with pytest.raises(StoreError) as raised:
        await initialise(tmp_path, Choices(store=url))
    assert "Secret-1" not in str(raised.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


async def test_a_store_of_ones_own_is_postgresql(tmp_path: Path):
    with pytest.raises(StoreError, match="is on PostgreSQL"):
        await initialise(tmp_path, Choices(store=f"sqlite:///{tmp_path}/x.db"))


@pytest.mark.parametrize(
    ("url", "does"),
    [
        ("postgresql://a:b@h/d", True),
        ("postgresql://a@h/d?password=b", True),
        ("postgresql://a@h/d?sslmode=require&password=", True),
        ("postgresql://a@h/d?passfile=/p", False),
        ("postgresql://a@h:5432/d", False),
    ],
)
def test_a_password_is_found_wherever_libpq_reads_one(url: str, does: bool):
    assert names_a_password(url) is does
