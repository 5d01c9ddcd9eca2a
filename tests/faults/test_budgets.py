"""docs/failures.md promises nothing that no test shows."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_TEST = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)
_NAME = re.compile(r"`(test_\w+)`")


def rows() -> list[str]:
    """Every line of its tables but heads and rules."""
    lines = (ROOT / "docs/failures.md").read_text().splitlines()
    tables = [line for line in lines if line.startswith("|")]
    return [line for line in tables if not line.startswith(("| failure |", "|---"))]


def test_every_failure_names_tests_and_each_of_them_is_there():
    there = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in _TEST.findall(file.read_text())
    }
    assert len(rows()) > 20
    for row in rows():
        *cells, shown_by = row.strip("| ").split(" | ")
        assert len(cells) == 4, row
        names = _NAME.findall(shown_by)
        assert names, row
        assert set(names) <= there, set(names) - there


def test_every_test_of_a_network_s_failure_is_in_the_budget():
    told = set(_NAME.findall("\n".join(rows())))
    for name in ("network", "restart", "clock", "descriptors"):
        file = ROOT / f"tests/faults/test_{name}.py"
        assert set(_TEST.findall(file.read_text())) <= told, name
