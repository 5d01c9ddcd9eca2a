"""What a session has set, carried over the connections that it has for a transaction each.

A connection that comes to a session is led from what its last one had set to what this one
has, by RESET and SET in front of the session's first message. Knows texts, no bytes on the
wire.
"""

from __future__ import annotations

from typing import Final

Settings = tuple[tuple[bytes, bytes], ...]
"""Names and values, as the client wrote them, in the order in which they were set."""

RESET_ALL: Final = (b"", b"")
"""Beside names and values: all that were set are gone."""

MOST: Final = 20
"""Settings that a session may have so: drivers have two or three. With more it is pinned."""
MOST_BYTES: Final = 2_000
"""Of their names and values, kept for as long as the session is open: the same."""


def after(settings: Settings, changes: list[tuple[bytes, bytes]]) -> Settings:
    """What is set once these changes are made, in their order."""
    for change in changes:
        if change == RESET_ALL:
            settings = ()
        else:
            settings = (*(one for one in settings if one[0] != change[0]), change)
    return settings


def are_few(settings: Settings) -> bool:
    """Whether they are few enough to be carried along."""
    size = sum([len(name) + len(value) for name, value in settings])
    return len(settings) <= MOST and size <= MOST_BYTES


def leading(here: Settings, there: Settings) -> bytes:
    """The text that makes a connection with the first have the second."""
    texts = [b"RESET " + name for name, _ in here if all(name != other for other, _ in there)]
    texts += [b"SET SESSION %s TO %s" % one for one in there if one not in here]
    return b";".join(texts)
