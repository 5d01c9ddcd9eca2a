"""Programs of Debian sid run from where they were unpacked, with libraries of their own."""

from __future__ import annotations

import subprocess

import pytest

from tests.servers.accounts import can_reach, run_as
from tests.servers.unpacked import MARIADB, MYSQL, Unpacked


@pytest.mark.parametrize(
    ("programs", "program", "words"),
    [
        (MYSQL, "sbin/mysqld", "mysqld  Ver"),
        (MYSQL, "bin/mysql", "mysql  Ver"),
        (MARIADB, "sbin/mariadbd", "MariaDB"),
    ],
)
def test_a_program_runs_as_the_servers_user(programs: Unpacked, program: str, words: str):
    if not programs.is_there:
        pytest.skip(f"Debian sid's {programs.name} is missing: see what `./run test` says first")
    assert can_reach(programs.folder)
    done = subprocess.run(
        [*programs.command(program), "--no-defaults", "--version"],
        capture_output=True,
        text=True,
        check=True,
        **run_as(),
    )
    assert words in done.stdout


def test_other_packages_have_another_folder():
    folders = {
        Unpacked("x", packages, alone).folder
        for packages, alone in ((("a", "b"), ()), (("a",), ("b",)), (("b", "a"), ()), (("a",), ()))
    }
    assert len(folders) == 4
