"""The values bound to a statement, as far as they are kept for the log.

Knows no protocol's encoding: a value is the bytes that the client sent. Both bounds hold
whatever a client binds; they are spent only where the operator has switched this on.
"""

from __future__ import annotations

from dataclasses import dataclass

VALUE_LIMIT = 1024
"""Bytes kept of one value."""

VALUE_COST = 64
"""What a value costs beside its bytes; so a thousand NULLs cost something, too."""


@dataclass(frozen=True, slots=True)
class BoundValue:
    """One value: ``data`` is its beginning, None for NULL; ``length`` is its whole length.

    ``is_binary``: not in the type's text form. ``type`` is the protocol's number of the
    type, 0 where it is not known. ``is_separate``: it was sent ahead of the others, in
    messages of its own, and nothing of it is kept.
    """

    data: bytes | None
    length: int
    is_binary: bool
    type: int
    is_separate: bool = False


@dataclass(frozen=True, slots=True)
class BoundValues:
    """The first of a statement's values; ``count`` is how many it has in all."""

    shown: tuple[BoundValue, ...]
    count: int

    @property
    def cost(self) -> int:
        """Bytes of memory, about."""
        return sum(VALUE_COST + len(value.data or b"") for value in self.shown) + VALUE_COST
