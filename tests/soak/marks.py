"""Marks: words that name one statement, or one execution of it, wherever its text is kept.

A statement has its mark in a comment or a literal; each execution of a prepared one has a
further mark in a bound value. What of these stands in a text, in order, is its ``Key``: equal
in what a client sent, in the server's log and in the audit log. Pure.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

Key = tuple[str, ...]
"""Its marks in order. A statement without any has its whole text, behind ``UNMARKED``."""

UNMARKED = "unmarked"
_MARK = re.compile(r"soak:[a-z0-9]+:[0-9]+")


class Marker:
    """Makes marks that no other marker makes; ``owner``: letters and digits."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._numbers = itertools.count(1)

    def mark(self) -> str:
        """A mark never used before."""
        return f"soak:{self.owner}:{next(self._numbers)}"


def marks_in(*texts: str) -> Key:
    """Every mark in the texts, in order."""
    return tuple(mark for text in texts for mark in _MARK.findall(text))


def key_of(text: str, values: Iterable[str] = ()) -> Key:
    """The key of a statement of this text that was run with these bound values."""
    return marks_in(text, *values) or (UNMARKED, " ".join(text.split()))
