from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks import machine
from benchmarks.builds import (
    describe_compiled,
    other_build,
    this_build,
    uncompiled_modules,
)
from benchmarks.processes import BenchmarkError

COMPILED = "scan.cpython-311-x86_64-linux-gnu.so"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that says it compiles protocols.scan and protocols.absent."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.accode-proxy]\ncompiled-modules = ["protocols.scan", "protocols.absent"]\n'
    )
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols" / "scan.py").write_text("")
    return tmp_path


def with_environment(checkout: Path) -> Path:
    """Give it a .venv whose Python is this one: it runs this checkout's packages."""
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    python = programs / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={machine.ROOT} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (programs / "accode-proxy").touch(mode=0o755)
    return checkout


def test_this_build_is_the_command_beside_the_interpreter():
    build = this_build()
    assert build.is_ours
    assert Path(build.program).parent == Path(sys.executable).parent


def test_a_module_without_a_compiled_file_is_named(checkout: Path):
    assert describe_compiled(checkout) == "all but protocols.scan"
    assert uncompiled_modules(checkout) == ["protocols.scan"]


def test_a_compiled_file_older_than_its_source_does_not_count(checkout: Path):
    compiled = checkout / "protocols" / COMPILED
    compiled.touch()
    source = checkout / "protocols" / "scan.py"
    written = source.stat().st_mtime
    os.utime(compiled, (written - 1, written - 1))
    assert uncompiled_modules(checkout) == ["protocols.scan"]
    os.utime(compiled, (written, written))
    assert uncompiled_modules(checkout) == []
    assert describe_compiled(checkout) == "all that are to be"


def test_a_checkout_without_an_environment_is_refused(checkout: Path):
    with pytest.raises(BenchmarkError, match=r"has no accode-proxy in its \.venv"):
        other_build(checkout)


def test_this_checkout_is_not_compared_with_itself():
    with pytest.raises(BenchmarkError, match="nothing to compare"):
        other_build(machine.ROOT / "benchmarks" / "..")


def test_an_environment_that_runs_another_checkouts_packages_is_refused(checkout: Path):
    with pytest.raises(BenchmarkError, match=rf"runs the packages of {machine.ROOT}"):
        other_build(with_environment(checkout))
