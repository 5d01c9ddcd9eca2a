"""Statements to judge: ``harmless.sql`` and ``hostile.sql``, one on each line.

The harmless ones are what psql, drivers, ORMs and dashboards send, and ordinary reading. The
hostile ones are what somebody sends who works at getting round read-only access; they name
``policy_orders``, ``policy_secret`` and the sequence ``policy_numbers``. Both are executed on a
real server in ``tests/enforcement``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final


def _lines(name: str) -> tuple[str, ...]:
    text = (Path(__file__).parent / name).read_text("utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("--"))


HARMLESS: Final = _lines("harmless.sql")
HOSTILE: Final = (
    *_lines("hostile.sql"),
    "--x\nDELETE FROM policy_orders",
    "SELECT 1\n;\nDELETE FROM policy_orders",
)
