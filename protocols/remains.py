"""What a statement leaves behind in its session: the vocabulary of whoever shares sessions.

Knows neither bytes on the wire nor SQL: a reader of SQL tells it, a scanner heeds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Remainder:
    """``cause``: why the session is the client's own from now on; "" where it is not.

    ``is_deallocating``: it may remove prepared statements; ``deallocates`` is the one it
    names, where it is that and nothing else. ``sets``: where the cause is a setting that the same
    words set again on any connection, its name and value as they stand there. ``resets_all``: all
    settings are what they were at the login, if it succeeds and no transaction is open then.
    """

    cause: str = ""
    is_deallocating: bool = False
    deallocates: bytes | None = None
    sets: tuple[bytes, bytes] | None = None
    resets_all: bool = False


Remains = Callable[[bytes], Remainder | None]
"""What a text leaves behind; None for nothing."""

CAUSES: Final = (
    "setting",
    "listen",
    "prepared",
    "cursor",
    "temporary",
    "lock",
    "library",
    "sequence",
    "code",
    "function",
    "parameter",
    "unseen",
    "unknown",
)
"""All causes. ``code``: DO or CALL. ``function``: one that is not known to leave nothing.
``parameter``: the server reports a setting that nothing explains. ``unseen``: the text was not
looked at whole. ``unknown``: it cannot be read."""
