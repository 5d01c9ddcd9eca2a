"""A session's statements held against its policy: classified once, remembered, bounded.

Knows no SQL and no rule: a classifier reads, the policy decides. Nothing is shared between
workspaces: the scope is a part of every key.
"""

from __future__ import annotations

from typing import Final

from policies.decide import ALLOWED, Verdict
from policies.effective import EffectivePolicy
from policies.facts import Classifier, TextFacts
from policies.length import too_long
from protocols.statements import Kind, Statement, Via

VERDICT_BYTES: Final = 16 * 1024 * 1024
"""All that is remembered of verdicts, in both generations together."""
ENTRY_COST: Final = 300
"""Bytes of an entry besides its text: key, verdict, and their place in a dictionary."""
RECENT: Final = 64
"""Texts whose verdicts a session keeps for itself: what it repeats is then one look-up, where
finding a text's shape again costs 5 us in PostgreSQL's SQL and 50 us in MySQL's."""
RECENT_LENGTH: Final = 1024
"""Bytes of the longest of them: 64 KiB for a session at the most."""

# Statements whose facts do not depend on their constants, unless they say so.
_BY_SHAPE: Final = frozenset({Kind.SELECT, Kind.INSERT, Kind.UPDATE, Kind.DELETE, Kind.MERGE})
_FUNCTION = Via.FUNCTION

Key = tuple[str, bytes]


class Verdicts:
    """Verdicts by scope and text, bounded in bytes: two generations, the older one dropped.

    An entry that is asked for moves to the younger one, so what is in use stays.
    """

    def __init__(self, limit: int = VERDICT_BYTES) -> None:
        self._half = limit // 2
        self._young: dict[Key, Verdict] = {}
        self._old: dict[Key, Verdict] = {}
        self.young_bytes = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: Key) -> Verdict | None:
        """What was found before, or None."""
        found = self._young.get(key)
        if found is None:
            found = self._old.pop(key, None)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: Key, verdict: Verdict) -> None:
        """Remember a verdict."""
        cost = len(key[1]) + len(verdict.message) + ENTRY_COST
        if self.young_bytes + cost > self._half:
            self._old, self._young, self.young_bytes = self._young, {}, 0
            if cost > self._half:
                return
        self._young[key] = verdict
        self.young_bytes += cost


class Judge:
    """One session's. ``scope`` names workspace and engine; ``schema`` is where names without
    one are looked up; ``longest`` is how many bytes a statement may have.
    """

    def __init__(
        self,
        policy: EffectivePolicy,
        classifier: Classifier,
        schema: str,
        verdicts: Verdicts,
        scope: str,
        longest: int | None = None,
    ) -> None:
        self._policy = policy
        self._classifier = classifier
        self._schema = schema
        self._verdicts = verdicts
        self._texts = f"{scope} {policy.digest} {schema} text"
        self._shapes = f"{scope} {policy.digest} {schema} shape"
        self._longest = longest
        self._recent: dict[bytes, Verdict] = {}

    def verdict(self, statement: Statement) -> Verdict:
        """May it run? The same text is asked about once."""
        text = statement.text
        if statement.via is _FUNCTION:
            return self._decide(self._classifier.classify_command(statement.kind, text))
        if self._longest is not None and statement.text_length > self._longest:
            return too_long(self._longest)
        if statement.text_length != len(text):
            # Cut, redacted, or prepared where nobody saw it.
            return Verdict(
                is_allowed=False,
                rule="access",
                message="the statement's whole text is not known to the proxy",
            )
        verdict = self._recent.get(text)
        if verdict is not None:
            return verdict
        key = (self._texts, text)
        return self._verdicts.get(key) or self._find(key, text)

    def _find(self, key: Key, text: bytes) -> Verdict:
        shape = self._classifier.fingerprint(text)
        if shape:
            verdict = self._verdicts.get((self._shapes, shape))
            # Not put by its text too: texts that differ in a constant would push out the rest.
            # But a session may repeat this one.
            if verdict is not None:
                self._keep(text, verdict)
                return verdict
        facts = self._classifier.classify(text)
        verdict = self._decide(facts)
        if shape and _is_by_shape(facts):
            self._verdicts.put((self._shapes, shape), verdict)
            self._keep(text, verdict)
        else:
            self._verdicts.put(key, verdict)
        return verdict

    def _keep(self, text: bytes, verdict: Verdict) -> None:
        if len(text) <= RECENT_LENGTH:
            if len(self._recent) >= RECENT:
                self._recent.clear()
            self._recent[text] = verdict

    def _decide(self, facts: TextFacts) -> Verdict:
        return self._policy.decide(facts, self._schema)


def _is_by_shape(facts: TextFacts) -> bool:
    return not facts.problem and all(
        statement.kind in _BY_SHAPE and not statement.depends_on_constants
        for statement in facts.statements
    )


class Ruler:
    """For a policy that bounds the length of statements and says nothing else of them."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._too_long = too_long(longest)

    def verdict(self, statement: Statement) -> Verdict:
        """May it run? Its length was counted, however little of its text is here."""
        if statement.text_length > self._longest and statement.via is not _FUNCTION:
            return self._too_long
        return ALLOWED
