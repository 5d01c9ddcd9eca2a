"""What is done to clients on purpose, and which errors it excuses: whose, when, of what kind.

An error is expected where a disturbance that names its kind was under way, for this very
client, source or workspace, while the operation ran, or up to ``GRACE`` seconds before it
began. Everything else fails the soak. Pure: times are given.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.soak.sources import Place

GRACE = 5.0
"""Seconds. A change takes effect within one; a client that rests sees its end at its next
operation; and a machine that does other things besides makes both later."""

LOST = "lost"
"""The connection was closed or reset, without an error's number."""
HUNG = "hung"
"""An operation took longer than any may. Nothing excuses it."""

# SQLSTATEs of PostgreSQL's, numbers of MySQL's.
_SESSION_ENDED = frozenset({LOST, "57P01", "1317", "1053"})
_REFUSED_BY_POLICY = frozenset({"42501", "1227"})
_LOGIN_REFUSED = frozenset({"28P01", "1045"})
_SOURCE_REFUSED = frozenset({"08004", "1429"})

EXPECTED: dict[str, frozenset[str]] = {
    # One that comes late stops the next statement of the same session.
    "own cancel": frozenset({"57014", "1317"}),
    # The session is told why where its protocol allows it at that moment.
    "session kill": _SESSION_ENDED,
    # PostgreSQL says 57P01, MariaDB closes, in the middle of a statement with 1927.
    "backend terminated": _SESSION_ENDED | {"1927"},
    # Found by a client between the server's new password and the news of it.
    "credential rotated": _SOURCE_REFUSED,
    # Sessions of the policy before are ended; the new one may forbid what the client does next.
    "policy set": _SESSION_ENDED | _REFUSED_BY_POLICY,
    "read-only policy": _REFUSED_BY_POLICY,
    # Its sessions are cut, and who still has the token is turned away.
    "token revoked": _SESSION_ENDED | _LOGIN_REFUSED,
    # Old workers end their sessions where these rest, and cut them at the drain's end.
    "reload": _SESSION_ENDED,
    # Nobody's doing: news of the store that is more than a second old is not believed.
    "machine starved": frozenset({"57P03", "1040"}),
}

# What refuses a login refuses a turn as well where connections are shared, which ends an open
# session; and libpq does not say with what it was ended while it was reading a pipeline's answers.
_AT_A_TURN = frozenset({"credential rotated", "machine starved"})


@dataclass(slots=True)
class Disturbance:
    """One of them. ``client``: whom it is for; "": everybody of the source, workspace, or all.

    ``ended`` None: it is still under way.
    """

    kind: str
    workspace: str
    source: str
    client: str
    began: float
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """What an operation of a client ended with. ``began``, ``ended``: seconds of one clock."""

    client: str
    place: Place
    operation: str
    kind: str
    began: float
    ended: float
    text: str

    def __str__(self) -> str:
        return (
            f"{self.ended:.1f} s: client {self.client} of {self.place}, {self.operation}"
            f" of {self.ended - self.began:.1f} s: {self.kind}: {self.text}"
        )


@dataclass(slots=True)
class Disturbances:
    """All that were made, and the errors that they excused by kind."""

    made: list[Disturbance] = field(default_factory=list)
    excused: Counter[tuple[str, str]] = field(default_factory=Counter)
    unexpected: list[Failure] = field(default_factory=list)

    def begin(
        self, kind: str, now: float, *, workspace: str, source: str = "", client: str = ""
    ) -> Disturbance:
        """Something begins; set its ``ended`` when it is over."""
        found = Disturbance(kind, workspace, source, client, now)
        self.made.append(found)
        return found

    def judge(self, failure: Failure) -> str:
        """The kind of disturbance that explains a failure; "" if none does."""
        for disturbance in reversed(self.made):
            if _explains(disturbance, failure):
                self.excused[disturbance.kind, failure.kind] += 1
                return disturbance.kind
        self.unexpected.append(failure)
        return ""


def _explains(disturbance: Disturbance, failure: Failure) -> bool:
    is_of_its_kind = failure.kind in EXPECTED[disturbance.kind] or (
        failure.kind == LOST and failure.place.kind.is_shared and disturbance.kind in _AT_A_TURN
    )
    return (
        is_of_its_kind
        and disturbance.workspace in ("", failure.place.workspace)
        and disturbance.source in ("", failure.place.source)
        and disturbance.client in ("", failure.client)
        and failure.ended >= disturbance.began
        and (disturbance.ended is None or failure.began <= disturbance.ended + GRACE)
    )
