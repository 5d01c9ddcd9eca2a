"""How many cores a process may use, from files as the kernel writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxy.cores import usable_cores


def cores(tmp_path: Path, limits: dict[str, str], own: str, affinity: int = 64) -> int:
    groups = tmp_path / "cgroup"
    for group, limit in limits.items():
        (groups / group).mkdir(parents=True, exist_ok=True)
        (groups / group / "cpu.max").write_text(limit + "\n")
    (tmp_path / "own").write_text(own)
    return usable_cores(affinity, groups, tmp_path / "own")


@pytest.mark.parametrize(
    ("limit", "usable"),
    [
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("150000 100000", 2),
        ("400000 100000", 4),
        ("6400000 100000", 64),
        ("9999999999 100000", 64),
        ("max 100000", 64),
        ("0 100000", 1),
        ("100000 0", 64),
        ("100000", 64),
        ("", 64),
        ("-1 100000", 1),
    ],
)
def test_a_group_may_use_what_its_limit_says(tmp_path: Path, limit: str, usable: int) -> None:
    assert cores(tmp_path, {"a/b": limit}, "0::/a/b\n") == usable


@pytest.mark.parametrize("narrow", ["", "a", "a/b"])
def test_the_narrowest_limit_above_it_counts(tmp_path: Path, narrow: str) -> None:
    limits = {"": "max 100000", "a": "max 100000", "a/b": "max 100000"}
    assert cores(tmp_path, limits | {narrow: "300000 100000"}, "0::/a/b\n") == 3


def test_a_limit_below_or_beside_it_is_not_its_own(tmp_path: Path) -> None:
    assert cores(tmp_path, {"a/b/c": "100000 100000", "x": "100000 100000"}, "0::/a/b\n") == 64


@pytest.mark.parametrize(
    "own", ["", "4:cpu:/a\n", "0::/\n", "0::/../../other\n", "\xff\n"], ids=ascii
)
def test_a_group_that_is_not_told_has_only_the_roots_limit(tmp_path: Path, own: str) -> None:
    assert cores(tmp_path, {"a": "100000 100000"}, own) == 64


def test_within_a_container_the_root_is_its_own(tmp_path: Path) -> None:
    assert cores(tmp_path, {"": "200000 100000"}, "0::/\n") == 2
    assert cores(tmp_path, {"": "200000 100000"}, "0::/../../other\n") == 2


def test_this_process_may_use_no_more_than_its_affinity() -> None:
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))
