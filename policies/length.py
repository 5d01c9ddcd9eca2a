"""How long a statement may be: the one rule on statements that needs no grammar.

Knows lengths in bytes as they are when a verdict is due, before a text is whole.
"""

from __future__ import annotations

from typing import Final

from policies.decide import Verdict
from policies.document import Limits

RULE: Final = "limits.statement_bytes"

_MOST_KNOWN: Final = {"mysql": 0xFFFFFF - 2}
"""A packet of MySQL's holds 0xFFFFFF bytes at most, the command's own among them, and a text
that fills one goes on in the next: how long it is shows when its first bytes have left."""


def longest_statement(limits: Limits, engine: str) -> int | None:
    """Bytes that a statement may have at the most; None: nothing is said of it."""
    said = limits.statement_bytes
    known = _MOST_KNOWN.get(engine)
    return said if said is None or known is None else min(said, known)


def too_long(longest: int) -> Verdict:
    """The verdict on a statement that is longer."""
    return Verdict(
        is_allowed=False,
        rule=RULE,
        message=f"a statement may have at most {longest} bytes",
    )
