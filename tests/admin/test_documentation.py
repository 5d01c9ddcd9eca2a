"""docs/admin.md is true: its curl examples run as they stand there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from proxy.admin.app import ENDPOINTS
from proxy.admin.guesses import OF_ALL_STRANGERS, PER_ACCOUNT, PER_DEVICE, PER_STRANGER
from proxy.admin.idempotency import HEADER
from proxy.admin.strict_json import BODY_LIMIT, DEPTH_LIMIT, ITEMS_LIMIT
from proxy.administration.passwords import LEAST, MOST
from proxy.oidc.settings import MINUTES
from proxy.store import ApiRole
from proxy.store.identity import LOGIN_LIFETIME
from proxy.store.people import GRANT_MINUTES, INVITATION_LIFETIME
from proxy.store.records import SESSION_IDLE, SESSION_LIFETIME
from tests.admin.rig import Prepared
from tests.admin.served import Served, served

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/admin.md").read_text()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, prepared: Prepared) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("documented"), prepared) as made:
        yield made


def test_the_examples_run_as_they_stand_there(town: Served):
    assert shutil.which("curl"), "needs curl"
    (script,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    # Those of the town are there already.
    script = script.replace("finance", "documented").replace("make-documented", "make-finance")
    for command in re.split(r"\n\n", script.strip()):
        script_of_one = f"set -e\n{command.replace('curl -sS', 'curl -sS --fail-with-body')}"
        ended = subprocess.run(
            ["bash", "-c", script_of_one],
            env={
                "PATH": os.environ["PATH"],
                "KEY": town.rig.keys[ApiRole.OPERATOR],
                "ADMIN": town.url,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, command + ended.stdout + ended.stderr
        for line in ended.stdout.splitlines():
            assert isinstance(json.loads(line), dict)


def test_the_numbers_are_the_programs():
    assert f"larger than {BODY_LIMIT // 1024} KiB" in TEXT
    assert f"deeper than {DEPTH_LIMIT}, of more than {ITEMS_LIMIT:,} items" in TEXT
    assert HEADER in TEXT.lower()
    assert f"up to {GRANT_MINUTES} minutes" in TEXT
    assert f"{LEAST} to\n{MOST} characters" in TEXT
    assert (PER_DEVICE, PER_STRANGER, PER_ACCOUNT) == (4, 4, 6)
    assert "four tries a minute for each address and account, six for each account" in TEXT
    assert f"{OF_ALL_STRANGERS} for\n  all of them together" in TEXT
    assert f"good for {INVITATION_LIFETIME // timedelta(hours=1)} hours" in TEXT
    assert f"after {SESSION_IDLE // timedelta(minutes=1)} minutes without a call" in TEXT
    assert f"after {SESSION_LIFETIME // timedelta(hours=1)} hours in any case" in TEXT
    assert timedelta(minutes=10) == LOGIN_LIFETIME
    assert "It is good for ten minutes." in TEXT
    assert f"(480, at most {MINUTES[1]})" in TEXT
    assert all(f"`{role}`" in TEXT for role in ApiRole)
    guarded = {one.operation_id for one in ENDPOINTS if one.is_guarded}
    assert guarded == {
        "renameWorkspace",
        "deleteWorkspace",
        "editSource",
        "removeSource",
        "putOidc",
        "removeOidc",
        "putPolicy",
        "clearPolicy",
        "putSourcePolicy",
        "clearSourcePolicy",
        "saveWorkflow",
        "deleteWorkflow",
        "saveDashboard",
        "deleteDashboard",
    }
