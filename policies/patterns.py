"""Patterns over names: ``schema.table``, ``schema.table.column``, ``*`` for any run of letters.

Matching costs at most the product of both lengths. Knows nothing of what it names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LENGTH = 400
"""Bytes of one pattern: three names of 128 letters."""

_QUOTED = r'"(?:[^"]|"")+"'
_PLAIN = r'[^\s."]+'
_PART = rf"(?:{_QUOTED}|{_PLAIN})"
_PARTS = re.compile(rf"{_PART}(?:\.{_PART})*\Z")
_SPLIT = re.compile(_PART)


class PatternError(ValueError):
    """A pattern that cannot be read, with the reason as its text."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern of as many names as it has parts; equal by what it was written as."""

    written: str
    parts: tuple[str, ...]

    @classmethod
    def parse(cls, written: str, parts: int) -> Pattern:
        """Read a pattern of exactly ``parts`` names; a quoted one has no wildcard.

        Raises PatternError.
        """
        if len(written) > MAX_LENGTH:
            raise PatternError(f"a pattern may have at most {MAX_LENGTH} characters")
        if not _PARTS.match(written):
            raise PatternError(f"{written!r} is no pattern of names joined by dots")
        found = tuple(_SPLIT.findall(written))
        if len(found) != parts:
            raise PatternError(f"{written!r} has {len(found)} names where {parts} are needed")
        if any(part.count("*") > 2 for part in found):
            raise PatternError(f"{written!r} has more than two * in one name")
        return cls(written, tuple(_expression(part) for part in found))

    def matches(self, *names: str, fold: bool = False) -> bool:
        """Whether each name fits its part; ``fold``: whatever the case of either."""
        flags = re.IGNORECASE if fold else re.NOFLAG
        return len(names) == len(self.parts) and all(
            re.match(part, name, flags) for part, name in zip(self.parts, names, strict=True)
        )


def _expression(part: str) -> str:
    if part.startswith('"'):
        return re.escape(part[1:-1].replace('""', '"')) + r"\Z"
    # Only * is special: a name may hold any of the other letters of a glob.
    return "(?s:" + ".*".join(re.escape(piece) for piece in part.split("*")) + r")\Z"
