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

KEYS_LIMIT, KEY_LENGTH = 512, 64
"""Names of members kept with their quotes, and their longest. They are mostly the program's own,
some two hundred."""

_DEPTH = 8
_keys: dict[str, str] = {}


def dump(value: object) -> str:
    """A value without lone surrogates, over-long strings or deep nesting.

    Raises TypeError or ValueError for what is not JSON.
    """
    parts: list[str] = []
    _write(parts, value, _DEPTH)
    return "".join(parts)


def _write(parts: list[str], value: object, depth: int) -> None:
    if isinstance(value, str):
        parts.append(_string(value))
    elif value is None:
        parts.append("null")
    elif isinstance(value, bool):
        parts.append("true" if value else "false")
    elif isinstance(value, int):
        # Of an IntEnum, its number.
        parts.append(str(int(value)))
    elif isinstance(value, float):
        if not isfinite(value):
            raise ValueError("an audit event cannot hold a number that is not finite")
        parts.append(repr(float(value)))
    # The plain types first: to ask for the abstract ones costs a dozen times as much.
    elif depth and isinstance(value, (dict, Mapping)):
        before = "{"
        for key, item in value.items():
            parts.append(before)
            parts.append(_keys.get(key) or _key(key))
            _write(parts, item, depth - 1)
            before = ","
        parts.append("}" if value else "{}")
    elif (
        depth
        and isinstance(value, (list, tuple, Sequence))
        and not isinstance(value, (bytes, bytearray))
    ):
        before = "["
        for item in value:
            parts.append(before)
            _write(parts, item, depth - 1)
            before = ","
        parts.append("]" if value else "[]")
    else:
        raise TypeError(f"an audit event cannot hold a {type(value).__name__}")


def _key(name: object) -> str:
    text = _string(str(name)) + ":"
    if type(name) is str and len(text) <= KEY_LENGTH and len(_keys) < KEYS_LIMIT:
        _keys[name] = text
    return text


def _string(value: str) -> str:
    text = value[:MAXIMUM_STRING]
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()
    return quote(text)
