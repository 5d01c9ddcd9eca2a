"""The policy that holds for a session: the workspace's, narrowed by the source's.

Narrowed, never widened: each layer is asked, and the first no decides. So what holds is
the intersection, whatever either document says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from policies.decide import ALLOWED, Verdict, decide
from policies.document import UNRESTRICTED, Limits, Policy
from policies.facts import TextFacts


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """All that holds at once. Made by ``of``; equal where the layers are."""

    layers: tuple[Policy, ...]
    digest: str
    limits: Limits

    @classmethod
    def of(cls, *layers: Policy | None) -> EffectivePolicy:
        """What holds under all of these; None says nothing."""
        said = tuple(layer for layer in layers if layer is not None) or (UNRESTRICTED,)
        joined = "/".join([layer.digest for layer in said])
        found = _known.get(joined)
        if found is None:
            digest = hashlib.sha256(joined.encode()).hexdigest()[:32]
            found = cls(said, digest, _least(said))
            if len(_known) >= KNOWN_LIMIT:
                _known.clear()
            _known[joined] = found
        return found

    @property
    def is_restricted(self) -> bool:
        """Whether statements are judged."""
        return any(layer.is_restricted for layer in self.layers)

    @property
    def is_read_only(self) -> bool:
        """Whether the database session too must be one that only reads."""
        return any(layer.is_read_only for layer in self.layers)

    @property
    def names_tables(self) -> bool:
        """Whether it must be known which table a name without a schema means."""
        return any(layer.names_tables for layer in self.layers)

    def schema(self, default: str) -> str:
        """Where a table's name without a schema is looked up: as the last layer that says."""
        said = [layer.tables.schema_ for layer in self.layers if layer.tables.schema_]
        # Only where tables are named is the session held to it.
        return said[-1] if said and self.names_tables else default

    def decide(self, facts: TextFacts, schema: str) -> Verdict:
        """The first no of any layer, else yes. ``schema`` is what ``schema`` said."""
        for layer in self.layers:
            verdict = decide(layer, facts, schema)
            if not verdict.is_allowed:
                return verdict
        return ALLOWED


KNOWN_LIMIT = 1_024
"""Policies remembered by their layers' digests, which stand for them: each login asks for one,
and to find the least of all limits is a good part of its cost."""
_known: dict[str, EffectivePolicy] = {}


def _least(layers: Iterable[Policy]) -> Limits:
    found: dict[str, int] = {}
    for layer in layers:
        for name, value in layer.limits.model_dump(exclude_none=True).items():
            found[name] = min(value, found.get(name, value))
    return Limits(**found)
