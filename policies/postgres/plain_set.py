"""A SET that can be said again: one setting, to a value that stands there.

What is set so can be carried from one connection to the next by the same words. A value that
depends on when or where it is said, a name whose setting does more than to be set, and
anything that is not seen through at once is none of these.
"""

from __future__ import annotations

import re

_VALUE = rb"(?:'[^'\\]{0,500}'|[a-z_][a-z0-9_]{0,62}|[-+]?[0-9][0-9.]{0,30})"
_PLAIN = re.compile(
    rb"\s*set\s+(?:session\s+)?"
    rb"([a-z_][a-z0-9_]{0,62}(?:\.[a-z_][a-z0-9_]{0,62})?)(?:\s*=\s*|\s+to\s+)"
    rb"(" + _VALUE + rb"(?:\s*,\s*" + _VALUE + rb"){0,20})\s*;?\s*",
    re.IGNORECASE,
)

_NOT_AGAIN = frozenset(
    {
        # Who one is: what it allows may have changed meanwhile.
        b"role",
        b"session_authorization",
        # Said twice, the second adds to the first (guc_tables.c, DateStyle).
        b"datestyle",
        # Its value is its effect.
        b"seed",
        # How statements are read is followed, or held, in other ways.
        b"client_encoding",
        b"standard_conforming_strings",
    }
)
# The next client's first words are for taking it back: there must be time for them.
_LONG = re.compile(rb"'?0'?|'?[0-9]{4,}(?: ?ms)?'?|'[0-9]+ ?(?:s|min|h|d)'")


def plain_set(text: bytes) -> tuple[bytes, bytes] | None:
    """Name and value as they stand there, the name in lower case; None for any other text."""
    found = _PLAIN.fullmatch(text)
    if found is None:
        return None
    name, value = found[1].lower(), found[2]
    # Those of one transaction begin so; DEFAULT is a way to say RESET.
    if name in _NOT_AGAIN or name.startswith(b"transaction_") or value.lower() == b"default":
        return None
    if name.endswith(b"_timeout") and _LONG.fullmatch(value) is None:
        return None
    return name, value
