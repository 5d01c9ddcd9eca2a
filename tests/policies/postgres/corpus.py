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
HOSTILE_BYTES: Final = (
    b"\xffDELETE FROM policy_orders",
    b"DELETE FROM policy_orders -- \xff",
    b"SELECT '\xbf'; DELETE FROM policy_orders --'",
    b"SELECT '\xe0\x80'; DELETE FROM policy_orders --'",
    b"\xef\xbb\xbfDELETE FROM policy_orders",
    b"DELETE\xc2\xa0FROM policy_orders",
    b"SELECT " + b"(" * 5_000 + b"nextval('policy_numbers')" + b")" * 5_000,
    b"SELECT " + b"(SELECT " * 300 + b"nextval('policy_numbers')" + b")" * 300,
    b"SELECT 1 " + b"UNION SELECT 1 " * 3_000 + b"UNION SELECT nextval('policy_numbers')",
    b"SELECT 1; " * 1_001 + b"DELETE FROM policy_orders",
    b"SELECT " + b"1 + " * 20_000 + b"nextval('policy_numbers')",
    b"/*" * 3_000 + b"*/" * 3_000 + b"DELETE FROM policy_orders",
    b"SELECT 1" + b" " * 70_000 + b"; DELETE FROM policy_orders",
)
"""No text of UTF-8, or one that is nested or long beyond measure."""
