"""The unit: what systemd itself says of it, and what it must agree on with the proxy."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from proxy.config.durations import parse_duration
from proxy.preflight import examine, needed_descriptors
from proxy.workers.fleet import LONGEST_END
from tests.deploy.files import DEPLOY, config_of, in_a_folder

SYSTEMD = DEPLOY / "systemd"
UNIT = SYSTEMD / "accode-proxy.service"
TEXT = UNIT.read_text(encoding="utf-8")
PLACES = {"/var/lib/accode-proxy": ".", "/run/accode-proxy": "run"}
# What remains: it needs the network and unix sockets. systemd calls up to 2 safe.
MOST_EXPOSED = 1.5


def setting(name: str) -> str:
    values: list[str] = re.findall(rf"^{name}=(.*)$", TEXT, re.MULTILINE)
    (value,) = values
    return value


def analyze(*arguments: str) -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is missing: see what `./run test` says first")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_takes_it_and_has_no_complaint(tmp_path: Path):
    # It looks for the programs, which are not installed here.
    stand_in = shutil.which("true")
    assert stand_in is not None
    unit = tmp_path / UNIT.name
    assert "/opt/accode-proxy/bin/accode-proxy" in TEXT
    unit.write_text(TEXT.replace("/opt/accode-proxy/bin/accode-proxy", stand_in))
    assert analyze("verify", "--man=no", str(unit)) == ""


def test_systemd_calls_it_well_closed(tmp_path: Path):
    unit = shutil.copy(UNIT, tmp_path)
    shown = analyze("security", "--offline=true", "--threshold=20", str(unit))
    (exposed,) = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", shown)
    assert float(exposed) <= MOST_EXPOSED


def test_the_optional_key_credential_is_taken_too(tmp_path: Path):
    # verify reads no drop-in beside a path: the two together are one unit.
    extra = (SYSTEMD / "accode-proxy.service.d" / "key-credential.conf").read_text()
    stand_in = shutil.which("true")
    unit = tmp_path / UNIT.name
    unit.write_text(f"{TEXT}\n{extra}".replace("/opt/accode-proxy/bin/accode-proxy", str(stand_in)))
    assert analyze("verify", "--man=no", str(unit)) == ""


def test_the_configuration_is_in_order_and_agrees_with_the_unit(tmp_path: Path):
    config = config_of(in_a_folder((SYSTEMD / "accode.toml").read_text(), PLACES, tmp_path))
    assert not [finding.sentence for finding in examine(config) if finding.is_error]
    stop = parse_duration(setting("TimeoutStopSec") + "s")
    assert stop >= config.limits.drain_deadline + LONGEST_END
    assert int(setting("LimitNOFILE")) >= needed_descriptors(config)
    # ExecReload is for several.
    assert config.workers.count > 1


def test_it_stops_reloads_and_notifies_as_the_proxy_understands_it():
    assert setting("Type") == "notify"
    assert setting("KillSignal") == "SIGTERM"
    assert setting("KillMode") == "mixed"
    assert setting("ExecReload") == "/bin/kill -HUP $MAINPID"
    assert float(setting("WatchdogSec")) >= 10


def test_the_user_is_one_that_sysusers_makes():
    (made,) = re.findall(
        r"^u (\S+) ", (SYSTEMD / "accode-proxy.sysusers").read_text(), re.MULTILINE
    )
    assert setting("User") == made
    assert setting("Group") == made
