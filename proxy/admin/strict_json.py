"""A JSON body, read strictly: RFC 8259 and no more, bounded before it is parsed.

Two readers must never see two different documents in one text, so a key that is there
twice is refused, as are NaN, lone surrogates and what is not UTF-8.
"""

from __future__ import annotations

import json
import re
from typing import Any, Never

from proxy.admin.problems import Problem

BODY_LIMIT = 512 * 1024
"""Bytes: a source with its certificates and revocation lists at their largest, escaped."""
DEPTH_LIMIT = 16
"""A policy's tables are five deep."""
ITEMS_LIMIT = 20_000
"""Commas and colons outside of strings: the largest policy document has fewer."""

# A string, or one mark of structure. A string without an end is taken to the body's end:
# else each of its quotes would be tried as a beginning, and a hostile text cost its square.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{},:]', re.DOTALL)


def read_json(body: bytes, depth: int = DEPTH_LIMIT, items: int = ITEMS_LIMIT) -> Any:
    """The value. Raises Problem, without repeating anything of the body."""
    _measure(body, depth, items)
    try:
        text = body.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
        _check_text(value)
    except Problem:
        raise
    except (ValueError, RecursionError):
        raise Problem(400, "malformed", "The body is not JSON in UTF-8.") from None
    return value


def _measure(body: bytes, most_depth: int, most_items: int) -> None:
    depth = items = 0
    for match in _TOKENS.finditer(body):
        mark = body[match.start()]
        if mark in b"[{":
            depth += 1
            if depth > most_depth:
                raise Problem(
                    400, "too-deep", f"The body is nested more than {most_depth} levels deep."
                )
        elif mark in b"]}":
            depth -= 1
        elif mark in b",:":
            items += 1
            if items > most_items:
                raise Problem(400, "too-many", f"The body holds more than {most_items} items.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Problem(400, "duplicate-key", "A key is there twice in one object.")
    return found


def _refuse(constant: str) -> Never:
    raise ValueError(constant)


def _check_text(value: Any) -> None:
    """Raise UnicodeEncodeError for half a surrogate pair, which no database could keep."""
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, dict):
        for key, entry in value.items():
            key.encode("utf-8")
            _check_text(entry)
    elif isinstance(value, list):
        for entry in value:
            _check_text(entry)
