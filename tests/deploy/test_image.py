"""The Dockerfile, its two programs, and what it copies."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from proxy.audit.ocsf import EventClass
from proxy.config.reading import MYSQL_PORT
from proxy.config.schema import AdminConfig, ListenerConfig, MetricsConfig
from proxy.health import HealthServer, Probes
from tests.admin.process import AdminProcess
from tests.deploy.files import DEPLOY, ROOT
from tests.servers.fixtures import ProxyFactory
from tests.servers.ports import free_port

DOCKERFILE = DEPLOY / "Dockerfile"
TEXT = DOCKERFILE.read_text(encoding="utf-8")


def instructions(word: str) -> list[str]:
    joined = TEXT.replace("\\\n", " ")
    return re.findall(rf"^{word} +(.*)$", joined, re.MULTILINE)


def test_hadolint_has_nothing_to_say():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [str(hadolint), str(DOCKERFILE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def copied() -> Iterator[str]:
    for copy in instructions("COPY"):
        words = [word for word in copy.split() if not word.startswith("--")]
        if "--from=" not in copy:
            yield from words[:-1]


def test_what_it_copies_is_there_and_not_kept_from_it():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    kept = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert set(copied()) == set(kept)
    assert all((ROOT / name).exists() for name in kept)


def test_nothing_that_was_compiled_here_and_no_key_is_sent_along():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    dropped = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    for name in ("relay.cpython-311-x86_64-linux-gnu.so", "local.key", "accode.db", "__pycache__"):
        assert any(fnmatch(name, pattern) for pattern in dropped)


def test_every_package_that_is_installed_is_copied():
    assert {"protocols", "policies", "vault", "proxy"} <= set(copied())


def test_it_says_the_ports_the_signal_and_a_user_by_number():
    ports = (ListenerConfig().port, MYSQL_PORT, MetricsConfig().port, AdminConfig().port)
    assert instructions("EXPOSE") == [" ".join(map(str, ports))]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    (user,) = instructions("USER")
    assert re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", user)


def test_both_stages_are_of_one_debian_and_only_the_first_has_a_compiler():
    assert instructions("FROM") == ["${DEBIAN} AS build", "${DEBIAN}"]
    build, run = TEXT.split("\nFROM ${DEBIAN}\n")
    assert "gcc" in build
    assert not re.search(r"\b(gcc|pip|venv|python3-dev)\b", run)


def test_nothing_is_installed_without_a_hash_but_ourselves():
    # pip's own --require-hashes, or nothing from outside at all.
    for command in re.findall(r"pip[^&]*? install (.*?)(?=&&|$)", " ".join(instructions("RUN"))):
        assert "--require-hashes" in command or "--no-index" in command


def test_the_builds_own_lock_is_cut_out_whole(tmp_path: Path):
    (program,) = re.findall(r"awk '(.*?)' requirements-dev.lock", TEXT)
    done = subprocess.run(
        ["awk", program, str(ROOT / "requirements-dev.lock")],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"setuptools==[0-9.]+ \\", lines[0])
    assert len(lines) >= 2
    assert all("--hash=sha256:" in line for line in lines[1:])
    assert not lines[-1].endswith("\\")


def test_the_check_of_compiled_modules_names_one_that_is_not(tmp_path: Path):
    settings = tmp_path / "pyproject.toml"
    settings.write_text('[tool.accode-proxy]\ncompiled-modules = ["proxy.health", "proxy.nowhere"]')
    done = subprocess.run(
        [sys.executable, str(DEPLOY / "check_compiled.py"), str(settings)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert done.stderr.strip() == "not compiled: proxy.health, proxy.nowhere"


@pytest.mark.parametrize(("is_alive", "code"), [(True, 0), (False, 1)])
def test_the_healthcheck_is_what_healthz_says(is_alive: bool, code: int):
    server = HealthServer("127.0.0.1", 0, Probes(lambda: is_alive, {}), CollectorRegistry())
    server.start()
    try:
        done = healthcheck(server.port)
    finally:
        server.stop()
    assert done.returncode == code
    assert done.stderr.strip() == ("" if is_alive else "/healthz answers 503")


def test_the_healthcheck_fails_in_one_sentence_where_nobody_listens():
    server = HealthServer("127.0.0.1", 0, Probes(lambda: True, {}), CollectorRegistry())
    server.stop()
    done = healthcheck(server.port)
    assert done.returncode == 1
    assert done.stderr.strip() == "no answer from /healthz: ConnectionRefusedError"


def test_the_healthcheck_of_the_admin_endpoints_makes_no_call(start_proxy: ProxyFactory):
    port = free_port()
    proxy = start_proxy()
    files = {
        name: str(getattr(proxy.certificates, name)("server")) for name in ("certificate", "key")
    }
    with proxy.config_file.open("a") as configuration:
        configuration.write(f'[admin]\nport = {port}\ntls_certificate = "{files["certificate"]}"\n')
        configuration.write(f'tls_key = "{files["key"]}"\n')
    endpoints = AdminProcess(proxy)
    try:
        done = healthcheck(port, "admin")
    finally:
        assert endpoints.stop() == 0
    assert (done.returncode, done.stderr) == (0, "")
    # A call would be in the audit log.
    assert not [
        record for record in proxy.audit_events() if record["class_uid"] == EventClass.API_ACTIVITY
    ]
    done = healthcheck(port, "admin")
    assert done.returncode == 1
    assert done.stderr.strip() == "no answer from the admin endpoints: ConnectionRefusedError"


def healthcheck(port: int, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", str(DEPLOY / "healthcheck.py"), *words],
        env={
            "ACCODE_PROXY_METRICS__PORT": str(port),
            "ACCODE_PROXY_ADMIN__PORT": str(port),
            "http_proxy": "http://127.0.0.1:1",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_image_starts_the_program_that_is_installed():
    assert instructions("ENTRYPOINT") == ['["tini", "--", "accode-proxy"]']
    assert instructions("CMD") == ['["serve"]']
    assert shutil.which("accode-proxy", path=str(Path(sys.executable).parent))
