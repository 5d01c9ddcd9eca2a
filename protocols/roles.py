"""What a server says of itself, and which servers a session may be on.

The words are libpq's (the manual's "Parameter Key Words", target_session_attrs). Knows no
protocol: each has its own way of asking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TargetSession = Literal["any", "read-write", "read-only", "primary", "standby", "prefer-standby"]
"""Where a session may be. ``prefer-standby``: on a standby, and on any where there is none."""


@dataclass(frozen=True, slots=True)
class ServerRole:
    """What a server says that it is: it may lie, and its certificate is what vouches for it.

    ``is_read_only``: a session there only reads, unless it asks for something else.
    ``is_standby``: it replays another one's changes; None where the protocol cannot tell.
    """

    is_read_only: bool
    is_standby: bool | None = None

    @property
    def word(self) -> str:
        """For a person."""
        access = "read-only" if self.is_read_only else "read-write"
        if self.is_standby is None:
            return access
        if self.is_standby:
            return "standby"
        return f"primary, {access}" if self.is_read_only else "primary"

    def fits(self, target: TargetSession) -> bool:
        """Whether a session for ``target`` may be here; for ``prefer-standby``, at first."""
        if target == "read-write":
            return not self.is_read_only
        if target == "read-only":
            return self.is_read_only
        if target == "primary":
            return self.is_standby is False
        if target in ("standby", "prefer-standby"):
            return self.is_standby is True
        return True
