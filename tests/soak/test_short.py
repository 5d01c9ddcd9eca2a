"""The soak's short form, as ``./run soak`` starts it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.meters import process_tree
from tests.servers.programs import machine_postgres
from tests.servers.proxy import ROOT
from tests.servers.waiting import wait_until

pytestmark = [
    # Some 30 s on a machine of its own; most of it is work, which others' work makes longer.
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        machine_postgres() is None, reason="PostgreSQL is missing: apt install postgresql"
    ),
]


@contextmanager
def soaking(output: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    with (output / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak", *words, "--output", str(output)],
            stdout=said,
            stderr=said,
            text=True,
            cwd=ROOT,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(90)


def test_everything_holds_in_a_short_soak_of_two_workers(tmp_path: Path):
    with soaking(tmp_path, "--minutes", "0.15", "--clients", "16", "--workers", "2") as process:
        status = process.wait(380)
    said = (tmp_path / "said").read_text()
    assert status == 0, said
    found = json.loads((tmp_path / "soak.json").read_text())
    assert [verdict["title"] for verdict in found["verdicts"] if not verdict["is_held"]] == []
    # It was a load, and it was disturbed in every way.
    assert found["facts"]["statements"]["answered"] > 100, said
    assert set(found["facts"]["disturbances"]) == {
        *("session kill", "backend terminated", "credential rotated", "token revoked"),
        *("policy set", "read-only policy", "reload"),
    }
    # Sessions had a connection for one transaction at a time, and some had to keep theirs.
    assert found["facts"]["light sessions"] > 0
    assert found["facts"]["pins"]
    assert found["errors"]
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


def test_an_interrupted_soak_stops_what_it_started(tmp_path: Path):
    with soaking(tmp_path, "--only", "postgresql", "--clients", "4") as process:
        wait_until(
            lambda: "Warming up" in (tmp_path / "said").read_text() or process.poll() is not None,
            within=120,
            what="the load to begin",
        )
        started = set(process_tree(process.pid)) - {process.pid}
        process.send_signal(signal.SIGINT)
        assert process.wait(90) == 130
    assert len(started) > 2
    # A process of a server's may outlive its parent by a moment.
    wait_until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in started),
        within=15,
        what="all that was started to be gone",
    )
    assert "interrupted" in (tmp_path / "said").read_text()
