"""What a policy would have refused: its draft held against the newest statements of the log.

Each text is read as the data path reads it, from what its record says. Where a record does not
say enough, that is counted with its reason: nothing is guessed, dialled or run. Blocks, for as
long as so many texts take to be read: see ``trying_apart``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from policies.classifiers import classifier_for
from policies.decide import ALLOWED, Verdict, decide
from policies.document import Policy
from policies.effective import EffectivePolicy
from policies.facts import TextFacts
from policies.length import longest_statement, too_long
from policies.redaction import is_fingerprint
from protocols.statements import Kind, Outcome, Via
from proxy.administration.audit_log import SearchTooLong, place_of
from proxy.audit.files import AuditFolderError
from proxy.audit.latest import Stretch, Whose, is_statement, latest
from proxy.audit.read import Filters, Record, search

EXAMPLES_EACH: Final = 5
"""For each rule, and for each reason why nothing could be said."""
EXAMPLES: Final = 60
EXAMPLE_TEXT: Final = 300
"""Characters of an example's text; the record has the rest."""
_KNOWN: Final = 4_096
_KNOWN_LENGTH: Final = 1_024
"""Texts, and bytes of the longest, whose verdict is kept: 4 MiB at the most."""
_VIAS: Final = frozenset(Via)
_KINDS: Final = frozenset(Kind)


class Unjudged(StrEnum):
    """Why nothing is said of a statement; its sentence."""

    CUT = "the log keeps only the beginning of its text (audit.text_limit)"
    REDACTED = "the log keeps no text that may hold a secret"
    UNKNOWN = "the text that it ran was not known to the proxy"
    LOSSY = "its text has bytes that are not UTF-8, which the log does not keep"
    RECOVERED = "it was recovered after a crash, without how it was sent"
    DATABASE = "its record does not say in which database names without one were looked up"
    ENGINE = "statements of its engine cannot be judged"
    DAMAGED = "its record cannot be read"


@dataclass(frozen=True, slots=True)
class Draft:
    """The policy to be tried, in the place of the workspace's or, by its id, of a source's.

    ``workspace`` and ``sources`` (by id) are the stored ones: of the other layer it is taken
    where names without a schema are looked up, and whether statements are judged at all. Its
    refusals are its own, and not told.
    """

    policy: Policy
    source: str
    workspace: Policy | None
    sources: Mapping[str, Policy]

    def effective(self, source: str) -> EffectivePolicy:
        """What would hold for a session of that source."""
        if self.source:
            return EffectivePolicy.of(self.workspace, self.policy)
        return EffectivePolicy.of(self.policy, self.sources.get(source))

    def not_asked(self) -> list[str]:
        """The rules that the draft has and that no record of a statement can be held against."""
        limits = self.policy.limits.model_dump(exclude_none=True)
        rules = [f"limits.{name}" for name in limits if name != "statement_bytes"]
        for name in ("client", "upstream"):
            rules += [f"{name}.{key}" for key in self.policy.to_value().get(name, {})]
        return sorted(rules)


@dataclass(frozen=True, slots=True)
class Example:
    """One statement. ``chain`` and ``sequence`` are the place of its record in the log."""

    rule: str
    object: str
    message: str
    chain: str
    sequence: int
    statement: str
    session: str
    source: str
    time: int
    kind: str
    outcome: str
    text: str


@dataclass(slots=True)
class Tally:
    """``refused`` by one rule, or unjudged for one reason; ``newly``: not refused then."""

    refused: int = 0
    newly: int = 0


@dataclass(slots=True)
class Tried:
    """What would have been said. ``is_complete`` False: the time was up before the last one.

    ``newly_refused`` had passed then; ``newly_allowed`` had been refused by a policy then.
    """

    asked: int
    found: int = 0
    allowed: int = 0
    refused: int = 0
    newly_refused: int = 0
    newly_allowed: int = 0
    unjudged: int = 0
    is_complete: bool = True
    is_restricted: bool = True
    not_asked: list[str] = field(default_factory=list)
    rules: dict[str, Tally] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)

    @property
    def judged(self) -> int:
        """Those of which something is said."""
        return self.allowed + self.refused


def try_policy(
    folder: Path,
    draft: Draft,
    tenant: str,
    count: int,
    seconds: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Tried:
    """Hold the draft against the newest ``count`` statements of the workspace ``tenant``, or of
    the draft's source. Raises SearchTooLong, AuditFolderError, OSError.

    ``seconds``: the longest that it may take; None: as long as it takes. Where the statements
    are not even found by then, that is an error; where they are not all judged, it is told.
    """
    ends = None if seconds is None else clock() + seconds

    def pulse() -> None:
        if ends is not None and clock() > ends:
            raise SearchTooLong(
                f"the statements were not found within {seconds:g} seconds; ask about fewer"
            )

    if not folder.is_dir():
        raise AuditFolderError("there is no audit log yet")
    stretch = latest(folder, Whose(tenant, draft.source), count, pulse)
    trial = _Trial(draft, count)
    try:
        _judge_all(folder, Filters(tenant=tenant, source=draft.source), stretch, trial, pulse)
    except SearchTooLong:
        trial.tried.is_complete = False
    else:
        trial.damaged(stretch.count - trial.tried.found)
    return trial.tried


def _judge_all(
    folder: Path, filters: Filters, stretch: Stretch, trial: _Trial, pulse: Callable[[], None]
) -> None:
    whose = Whose(filters.tenant, filters.source)
    for record in search(folder, filters, after=stretch.after, pulse=pulse):
        if not is_statement(record) or not whose.made(record):
            continue
        if stretch.holds(*place_of(record)):
            trial.take(record)
            if trial.tried.found == stretch.count:
                return


class _Trial:
    """The draft, and what was found of it so far."""

    def __init__(self, draft: Draft, asked: int) -> None:
        self._draft = draft
        self._layers: dict[str, EffectivePolicy] = {}
        self._known: dict[tuple[str, str, str], Verdict | Unjudged] = {}
        self._shown: Counter[str] = Counter()
        self.tried = Tried(
            asked,
            is_restricted=draft.policy.is_restricted,
            not_asked=draft.not_asked(),
        )

    def take(self, record: Record) -> None:
        """One statement's record."""
        tried, extra = self.tried, record["unmapped"]
        tried.found += 1
        said = self._verdict(record)
        was_refused = extra.get("outcome") == Outcome.REFUSED and bool(extra.get("rule"))
        if isinstance(said, Unjudged):
            tried.unjudged += 1
            tried.reasons[said.name.lower()] = tried.reasons.get(said.name.lower(), 0) + 1
            self._show(record, Verdict(False, "", "", said.value), said.name)
        elif said.is_allowed:
            tried.allowed += 1
            tried.newly_allowed += was_refused
        else:
            tally = tried.rules.setdefault(said.rule, Tally())
            tally.refused += 1
            tally.newly += not was_refused
            tried.refused += 1
            tried.newly_refused += not was_refused
            self._show(record, said, said.rule)

    def damaged(self, count: int) -> None:
        """So many lines stand for statements, and are no records."""
        if count > 0:
            self.tried.found += count
            self.tried.unjudged += count
            self.tried.reasons[Unjudged.DAMAGED.name.lower()] = count

    def _verdict(self, record: Record) -> Verdict | Unjudged:
        effective = self._effective(_text(record, "database", "uid"))
        policy = self._draft.policy
        engine = _text(record, "database", "type")
        longest = longest_statement(policy.limits, engine)
        if longest is None and not policy.is_restricted:
            return ALLOWED
        extra = record["unmapped"]
        text = record["query_info"].get("query_string")
        if not isinstance(text, str) or extra.get("via") not in _VIAS:
            return Unjudged.RECOVERED if extra.get("is_recovered") else Unjudged.DAMAGED
        if longest is not None and extra["via"] != Via.FUNCTION:
            length = extra.get("text_length")
            if not isinstance(length, int):
                return Unjudged.DAMAGED
            if length > longest:
                return too_long(longest)
        if not policy.is_restricted:
            return ALLOWED
        unjudged = _why_unknown(text, extra)
        if unjudged is not None:
            return unjudged
        database = "public" if engine == "postgresql" else extra.get("default_database", "")
        key = (engine, f"{effective.digest} {database} {extra['via']} {extra.get('kind')}", text)
        said = self._known.get(key)
        if said is None:
            said = self._judge(effective, engine, str(database), text, extra)
            if len(text) <= _KNOWN_LENGTH:
                if len(self._known) >= _KNOWN:
                    self._known.clear()
                self._known[key] = said
        return said

    def _judge(
        self, effective: EffectivePolicy, engine: str, database: str, shown: str, extra: Record
    ) -> Verdict | Unjudged:
        classifier = classifier_for(engine)
        if classifier is None:
            return Unjudged.ENGINE
        text, policy = shown.encode(), self._draft.policy
        if extra["via"] == Via.FUNCTION:
            kind = extra.get("kind")
            known = Kind(kind) if kind in _KINDS else Kind.OTHER
            facts = classifier.classify_command(known, text)
        else:
            facts = classifier.classify(text)
        schema = effective.schema(database)
        if not schema and _looks_up(facts):
            return Unjudged.DATABASE
        return decide(policy, facts, schema)

    def _effective(self, source: str) -> EffectivePolicy:
        found = self._layers.get(source)
        if found is None:
            found = self._layers[source] = self._draft.effective(source)
        return found

    def _show(self, record: Record, said: Verdict, about: str) -> None:
        shown = self.tried.examples
        if self._shown[about] >= EXAMPLES_EACH or len(shown) >= EXAMPLES:
            return
        self._shown[about] += 1
        extra = record["unmapped"]
        chain, sequence = place_of(record)
        shown.append(
            Example(
                rule=said.rule,
                object=said.object[:EXAMPLE_TEXT],
                message=said.message[:EXAMPLE_TEXT],
                chain=chain,
                sequence=sequence,
                statement=str(extra.get("statement", "")),
                session=_text(record, "metadata", "correlation_uid"),
                source=_text(record, "dst_endpoint", "name"),
                time=_moment(record.get("time")),
                kind=str(extra.get("kind", "")),
                outcome=str(extra.get("outcome", "")),
                text=str(record["query_info"].get("query_string", ""))[:EXAMPLE_TEXT],
            )
        )


def _why_unknown(text: str, extra: Record) -> Unjudged | None:
    """Why the record's text is not the text that was sent; None: it is."""
    if extra.get("is_text_lossy"):
        return Unjudged.LOSSY
    if is_fingerprint(text):
        return Unjudged.REDACTED
    length = extra.get("text_length")
    if length == len(text.encode()):
        return None
    return Unjudged.UNKNOWN if length == 0 else Unjudged.CUT


def _looks_up(facts: TextFacts) -> bool:
    """Whether the verdict may depend on where names without a schema are looked up."""
    return any(
        one.guarded or any(not name.schema for name in one.reads | one.writes)
        for one in facts.statements
    )


def _moment(value: object) -> int:
    """Milliseconds, as far as a record that was tampered with has any: a thousand years' worth."""
    return value if isinstance(value, int) and 0 <= value < 2**45 else 0


def _text(record: Record, name: str, key: str) -> str:
    value: Any = record.get(name)
    return str(value.get(key, "")) if isinstance(value, dict) else ""
