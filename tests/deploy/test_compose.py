"""compose.yaml: what it promises about every service, and the files it names."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from proxy.admin.server import GRACE_SECONDS
from proxy.config.durations import parse_duration
from proxy.content.entrance import Entrance
from proxy.preflight import examine
from proxy.store.location import PostgresqlLocation, locate
from proxy.workers.fleet import LONGEST_END
from tests.deploy.files import DEPLOY, accode_proxy, config_of, in_a_folder, read_yaml

COMPOSE = DEPLOY / "compose"
FILE = read_yaml(COMPOSE / "compose.yaml")
SERVICES: dict[str, Any] = FILE["services"]
PLACES = {"/var/lib/accode-proxy": ".", "/run/accode-proxy": "run"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_kept_small(name: str):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service
    assert service["mem_limit"]
    # The proxy's image names its own.
    if not service["image"].startswith("${ACCODE_PROXY_IMAGE"):
        assert re.fullmatch(r"[1-9][0-9]*:[0-9]+", service["user"])


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_published_on_loopback_alone(name: str):
    for port in SERVICES[name].get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:([0-9]+):\1", port)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_who_waits_for_another_waits_for_its_health(name: str):
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        has_own = "healthcheck" in SERVICES[other]
        assert has_own or SERVICES[other]["image"].startswith("${ACCODE_PROXY_IMAGE")


def test_secrets_come_from_files_and_each_has_its_reader():
    named = {name for service in SERVICES.values() for name in service.get("secrets", ())}
    assert named == set(FILE["secrets"])
    assert all(set(secret) == {"file"} for secret in FILE["secrets"].values())
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            assert "PASSWORD" not in variable or value.startswith("/run/secrets/")


def test_every_volume_is_there_or_declared():
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (COMPOSE / source).exists(), source
            else:
                assert source in FILE["volumes"]
        for network in service.get("networks", ()):
            assert network in FILE["networks"]


def test_the_store_is_reached_by_the_proxy_and_those_beside_it_alone():
    assert [name for name in SERVICES if "store" in SERVICES[name].get("networks", ())] == [
        "proxy",
        "admin",
        "runner",
        "store",
    ]
    assert FILE["networks"]["store"] == {"internal": True}


def test_the_configuration_is_in_order_and_agrees_with_the_services(tmp_path: Path):
    text = (COMPOSE / "accode.toml").read_text()
    config = config_of(in_a_folder(text, PLACES, tmp_path))
    assert not [finding.sentence for finding in examine(config) if finding.is_error]
    proxy = SERVICES["proxy"]
    published = {int(port.rsplit(":", 1)[1]) for port in proxy["ports"]}
    assert published == {listener.port for listener in config.listeners}
    assert all(listener.host == "0.0.0.0" for listener in config.listeners)
    grace = parse_duration(proxy["stop_grace_period"])
    assert grace >= config.limits.drain_deadline + LONGEST_END
    assert [mount.split(":")[0] for mount in proxy["tmpfs"]] == ["/tmp"]
    assert isinstance(locate(config.store.url), PostgresqlLocation)
    admin = SERVICES["admin"]
    assert admin["ports"] == [f"127.0.0.1:{config.admin.port}:{config.admin.port}"]
    assert config.admin.tls_certificate == config.listeners[0].tls_certificate
    assert parse_duration(admin["stop_grace_period"]) >= GRACE_SECONDS + 10


def test_who_stands_beside_the_proxy_is_off_and_shares_its_socket_and_nothing_to_write():
    for name, profile in (("admin", "admin"), ("runner", "runner")):
        service = SERVICES[name]
        assert service["profiles"] == [profile]
        assert accode_proxy(*service["command"], "--help")
        mounts = dict(mount.split(":", 1) for mount in service["volumes"])
        assert mounts.pop("run") == "/run/accode-proxy"
        assert all(mount.endswith(":ro") for mount in mounts.values())
    assert "run:/run/accode-proxy" in SERVICES["proxy"]["volumes"]
    shared = FILE["volumes"]["run"]["driver_opts"]
    assert shared["type"] == "tmpfs"
    assert "uid=10001,gid=10001,mode=0700" in shared["o"]
    # The runner seals nothing: it has no key.
    assert not [mount for mount in SERVICES["runner"]["volumes"] if mount.startswith("keys:")]


def test_the_runners_configuration_is_the_proxys_seen_from_its_container(tmp_path: Path):
    # No name is looked up here; which one it is is compared.
    texts = [(COMPOSE / name).read_text() for name in ("accode.toml", "runner.toml")]
    (tmp_path / "proxy").mkdir()
    (tmp_path / "runner").mkdir()
    proxy = config_of(in_a_folder(texts[0], PLACES, tmp_path / "proxy"))
    runner = config_of(in_a_folder(texts[1], PLACES, tmp_path / "runner"))
    assert not [finding.sentence for finding in examine(runner) if finding.is_error]
    assert {listener.host for listener in runner.listeners} == {SERVICES["proxy"]["hostname"]}
    doors = Entrance.of(runner).doors
    assert {door.host for door in doors.values()} == {SERVICES["proxy"]["hostname"]}
    assert all(door.tls is not None for door in doors.values())
    for known in ("protocol", "port"):
        assert [getattr(one, known) for one in runner.listeners] == [
            getattr(one, known) for one in proxy.listeners
        ]
    for path in ("tls_certificate", "tls_key"):
        found = re.findall(rf"^{path} = .*$", texts[1], re.MULTILINE)
        assert set(found) <= set(texts[0].splitlines())
    assert (runner.store, runner.egress) == (proxy.store, proxy.egress)
    assert runner.control.socket.name == proxy.control.socket.name
    grace = parse_duration(SERVICES["runner"]["stop_grace_period"])
    assert grace >= runner.limits.drain_deadline + 20


def test_the_secrets_are_made_once_for_who_reads_them(tmp_path: Path):
    script = shutil.copy(COMPOSE / "prepare.sh", tmp_path)
    # Whoever runs the tests may not give files away: who gets them is only written down.
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "chown").write_text('#!/bin/sh\necho "$@" >>"$0.log"\n')
    (programs / "chown").chmod(0o755)
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([script], check=True, env=environment)
    secrets = tmp_path / "secrets"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert {path.name for path in secrets.iterdir()} == set(FILE["secrets"])
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o400 for path in secrets.iterdir())
    password = (secrets / "store-password").read_text()
    assert re.fullmatch("[0-9a-f]{48}", password)
    assert (secrets / "grafana-password").read_text() != password
    given = (programs / "chown.log").read_text().splitlines()
    owners = {file: owner for owner, file in map(str.split, given)}
    assert owners["secrets/store-password"] == SERVICES["store"]["user"].split(":")[0]
    assert owners["secrets/grafana-password"] == SERVICES["grafana"]["user"].split(":")[0]
    (user,) = re.findall(r"^USER ([0-9]+):", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert owners["secrets/store.pgpass"] == user

    # What the proxy's URL asks the file for is what is in it.
    line = (secrets / "store.pgpass").read_text().strip()
    text = (COMPOSE / "accode.toml").read_text()
    (url,) = re.findall(r'^url = "postgresql://(\S+?)\?', text, re.MULTILINE)
    account, place = url.split("@")
    address, database = place.split("/")
    assert line == f"{address}:{database}:{account}:{password}"

    again = subprocess.run([script], check=False, env=environment, capture_output=True, text=True)
    assert again.returncode == 1
    assert again.stderr == "prepare: secrets/store-password exists already; nothing was changed.\n"
    assert (secrets / "store-password").read_text() == password
