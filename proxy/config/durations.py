"""Lengths of time as people write them. Knows no clock."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
# Nine digits of weeks stay below 2**53 milliseconds, so a float is exact enough.
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s?(ms|s|m|h|d|w)", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds for ``500ms``, ``30s``, ``15m``, ``24h``, ``30d`` or ``2w``.

    Raises ValueError, with a sentence, for anything else; a bare number is refused
    because its unit would be a guess.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("must be a number with a unit, such as 500ms, 30s, 15m, 24h or 30d")
    return float(match[1]) * _UNITS[match[2]]
