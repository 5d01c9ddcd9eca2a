"""Values of an event as compact ASCII JSON, in one pass.

Knows JSON and what an event may hold. Must never know what an event is. Every login writes
three or four events of fifty values each, so this is compiled: ``json.dumps``, which makes an
encoder for each call, would take a second pass over values that were made safe before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as quote
from math import isfinite

__all__ = ["MAXIMUM_STRING", "dump", "quote"]

MAXIMUM_STRING = 8192
"""Characters of one string of an event; longer ones are cut. Statement text is not."""

_DEPTH = 8


def dump(value: object, depth: int = _DEPTH) -> str:
    """A value without lone surrogates, over-long strings or deep nesting.

    Raises TypeError or ValueError for what is not JSON.
    """
    if isinstance(value, str):
        return _string(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # Of an IntEnum, its number.
        return int.__repr__(value)
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError("an audit event cannot hold a number that is not finite")
        return float.__repr__(value)
    # The plain types first: to ask for the abstract ones costs a dozen times as much.
    if depth and isinstance(value, (dict, Mapping)):
        members = [f"{_string(str(key))}:{dump(item, depth - 1)}" for key, item in value.items()]
        return "{" + ",".join(members) + "}"
    if (
        depth
        and isinstance(value, (list, tuple, Sequence))
        and not isinstance(value, (bytes, bytearray))
    ):
        return "[" + ",".join([dump(item, depth - 1) for item in value]) + "]"
    raise TypeError(f"an audit event cannot hold a {type(value).__name__}")


def _string(value: str) -> str:
    text = value[:MAXIMUM_STRING]
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()
    return quote(text)
