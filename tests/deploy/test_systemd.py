"""The unit: what systemd itself says of it, and what it must agree on with the proxy."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from proxy.admin.server import GRACE_SECONDS, MOST_CONNECTIONS
from proxy.config.durations import parse_duration
from proxy.preflight import examine, needed_descriptors
from proxy.workers.fleet import LONGEST_END
from tests.deploy.files import DEPLOY, accode_proxy, config_of, in_a_folder

SYSTEMD = DEPLOY / "systemd"
UNIT = SYSTEMD / "accode-proxy.service"
ADMIN = SYSTEMD / "accode-proxy-admin.service"
RUNNER = SYSTEMD / "accode-proxy-runner.service"
UNITS = (UNIT, ADMIN, RUNNER)
TEXT = UNIT.read_text(encoding="utf-8")
PROGRAM = "/opt/accode-proxy/bin/accode-proxy"
PLACES = {"/var/lib/accode-proxy": ".", "/run/accode-proxy": "run"}
# What remains: it needs the network and unix sockets. systemd calls up to 2 safe.
MOST_EXPOSED = 1.5


def setting(name: str, unit: Path = UNIT) -> str:
    values: list[str] = re.findall(rf"^{name}=(.*)$", unit.read_text("utf-8"), re.MULTILINE)
    (value,) = values
    return value


EACH_UNIT = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)


def analyze(*arguments: str) -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is missing: see what `./run test` says first")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def verified(folder: Path, unit: Path, extra: str = "") -> str:
    """What `systemd-analyze verify` says of a unit, with the lines of a drop-in."""
    # It looks for the programs, which are not installed here, and for units that are wanted.
    stand_in = shutil.which("true")
    assert stand_in is not None
    for one in UNITS:
        text = one.read_text("utf-8")
        assert PROGRAM in text
        text += f"\n{extra}" if one is unit else ""
        (folder / one.name).write_text(text.replace(PROGRAM, stand_in))
    return analyze("verify", "--man=no", str(folder / unit.name))


@EACH_UNIT
def test_systemd_takes_it_and_has_no_complaint(unit: Path, tmp_path: Path):
    assert verified(tmp_path, unit) == ""


@EACH_UNIT
def test_systemd_calls_it_well_closed(unit: Path, tmp_path: Path):
    copied = shutil.copy(unit, tmp_path)
    shown = analyze("security", "--offline=true", "--threshold=20", str(copied))
    (exposed,) = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", shown)
    assert float(exposed) <= MOST_EXPOSED


@pytest.mark.parametrize("unit", [UNIT, ADMIN], ids=lambda unit: unit.stem)
def test_the_optional_key_credential_is_taken_too(unit: Path, tmp_path: Path):
    # verify reads no drop-in beside a path: the two together are one unit.
    extra = (SYSTEMD / f"{unit.name}.d" / "key-credential.conf").read_text()
    assert verified(tmp_path, unit, extra) == ""
    # Both read the one copy, which the first makes.
    assert "\nEnvironment=ACCODE_PROXY_KEYS__FILE=/run/accode-proxy/local.key\n" in extra


@pytest.mark.parametrize("unit", [ADMIN, RUNNER], ids=lambda unit: unit.stem)
def test_who_stands_beside_the_proxy_is_closed_as_it_is_and_leaves_it_its_socket(unit: Path):
    def hardening(text: str) -> str:
        return text[text.index("UMask=") : text.index("[Install]")]

    assert hardening(unit.read_text("utf-8")) == hardening(TEXT)
    for name in ("User", "Group", "Environment", "StateDirectory", "KillSignal"):
        assert setting(name, unit) == setting(name)
    # systemd removes a unit's RuntimeDirectory when the unit stops.
    assert "RuntimeDirectory" not in unit.read_text("utf-8")
    assert setting("Wants", unit) == UNIT.name
    assert UNIT.name in setting("After", unit)


def test_each_unit_starts_a_command_that_there_is():
    found = [setting("ExecStart", unit).removeprefix(PROGRAM).split() for unit in UNITS]
    assert found == [["serve"], ["admin", "serve"], ["runner"]]
    for words in found:
        assert accode_proxy(*words, "--help").startswith(f"Usage: accode-proxy {' '.join(words)}")


def test_the_configuration_is_in_order_and_agrees_with_the_unit(tmp_path: Path):
    config = config_of(in_a_folder((SYSTEMD / "accode.toml").read_text(), PLACES, tmp_path))
    assert not [finding.sentence for finding in examine(config) if finding.is_error]
    stop = parse_duration(setting("TimeoutStopSec") + "s")
    assert stop >= config.limits.drain_deadline + LONGEST_END
    assert int(setting("LimitNOFILE")) >= needed_descriptors(config)
    # What the two beside it may take to end: their own times, and a little.
    assert parse_duration(setting("TimeoutStopSec", ADMIN) + "s") >= GRACE_SECONDS + 10
    runner_stop = parse_duration(setting("TimeoutStopSec", RUNNER) + "s")
    assert runner_stop >= config.limits.drain_deadline + 20
    assert int(setting("LimitNOFILE", ADMIN)) >= 2 * MOST_CONNECTIONS
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
