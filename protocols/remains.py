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
    names, where it is that and nothing else.
    """

    cause: str = ""
    is_deallocating: bool = False
    deallocates: bytes | None = None


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
