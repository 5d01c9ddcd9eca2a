"""Three accounts of the same statements, held against each other: exactly once, as it ended.

What clients sent and saw answered, what the servers logged, what the audit log has. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.soak.marks import UNMARKED, Key, key_of
from tests.soak.statement_logs import ServerSide

NEVER_SENT = frozenset({"refused", "skipped"})
"""Outcomes that say the server was not asked, or did not read it."""
_ANSWERED = frozenset({"succeeded", "suspended"})
# The proxy's word for what a data source that was ended while asked has told it: PostgreSQL's
# admin_shutdown, MySQL's server shutdown and "connection was killed".
_SERVER_ENDED = frozenset({"57P01", "1053", "1927"})
_EXACT = 10  # of each kind of mistake, how many are told in full

# What has no counterpart: the proxy's own resets of pooled connections, what it sets for a
# read-only policy, and MySQL's KILL, which it answers itself, by one of its own on another
# connection.
_PROXYS_OWN = (
    "DISCARD ALL",
    "RESET ROLE",
    "SET SEED TO",
    "SELECT PG_CATALOG.CURRENT_SETTING(",
    "ROLLBACK",
    "SELECT DATABASE(), @@CHARACTER_SET_CLIENT",
    "SET CHARACTER_SET_CLIENT = ",
    "SET SESSION SQL_MODE = TRIM(BOTH",
    "SET SESSION TRANSACTION READ ONLY",
    "SET SESSION CHARACTER_SET_CLIENT = ",
    "KILL ",
)


@dataclass(slots=True)
class Sent:
    """How often a client sent what has this key, and how often it had its result."""

    times: int = 0
    answered: int = 0


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record of a statement in the audit log."""

    key: Key
    via: str
    outcome: str
    code: str


@dataclass(slots=True)
class Comparison:
    """``figures``: what was compared. ``mistakes``: one sentence each, the first of each kind."""

    figures: dict[str, int] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)


def recorded(records: Iterable[dict[str, Any]], accounts: set[str]) -> Iterator[Recorded]:
    """The statements among the records of an audit log, of sources with these accounts."""
    for record in records:
        extra = record.get("unmapped", {})
        if "query_info" not in record or "outcome" not in extra:
            continue
        if extra.get("upstream_user") not in accounts:
            continue
        yield Recorded(
            key_of(record["query_info"].get("query_string", ""), _values(extra)),
            extra["via"],
            extra["outcome"],
            record.get("status_code", ""),
        )


def _values(extra: dict[str, Any]) -> list[str]:
    """Bound values as text; a driver that binds in binary has text as its bytes."""
    found = []
    for value in extra.get("parameters", ()):
        if isinstance(value, dict):
            value = bytes.fromhex(value.get("hex", "")).decode("latin-1")
        found.append(str(value))
    return found


def compare(sent: dict[Key, Sent], server: ServerSide, audit: Iterable[Recorded]) -> Comparison:
    """Whether the three agree; see the mistakes for where they do not."""
    by_key: dict[Key, list[Recorded]] = defaultdict(list)
    texts: set[Key] = set()
    records = 0
    for record in audit:
        records += 1
        texts.add(record.key)
        if record.via != "prepare":
            by_key[record.key].append(record)
    kinds: Counter[str] = Counter()
    found = Comparison()
    for key in {*by_key, *server.run, *sent}:
        if _is_proxys_own(key):
            continue
        for kind, sentence in _mistakes_of(
            key, sent.get(key), server.run[key], by_key.get(key, []), server.refused
        ):
            kinds[kind] += 1
            if kinds[kind] <= _EXACT:
                found.mistakes.append(sentence)
    heads = {key[:length] for key in texts for length in range(1, len(key) + 1)}
    for key in server.refused:
        if key[0] != UNMARKED and key not in heads:
            kinds["unrecorded refusal"] += 1
            found.mistakes.append(f"{_shown(key)}: the server refused it, and no record has it")
    found.figures = {
        "sent": sum(entry.times for entry in sent.values()),
        "answered": sum(entry.answered for entry in sent.values()),
        "logged by the servers": server.run.total(),
        "recorded": records,
        "mistakes": kinds.total(),
    }
    return found


def _mistakes_of(
    key: Key, sent: Sent | None, ran: int, records: list[Recorded], refused: set[Key]
) -> Iterator[tuple[str, str]]:
    outcomes = Counter(record.outcome for record in records)
    said = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items())) or "nothing"
    told = f"{_shown(key)}: the server logged it {ran} times, the audit log has {said}"
    reached = [record for record in records if record.outcome not in NEVER_SENT]
    answered = sum(outcomes[outcome] for outcome in _ANSWERED)
    if len(reached) < ran:
        yield "unrecorded", f"{told}: it ran unrecorded"
    if answered > ran:
        yield "invented", f"{told}: it is told to have succeeded and never ran"
    elif len(reached) - ran > sum(_says_so(record, refused) for record in reached):
        yield "unexplained", f"{told}: it never ran, and no outcome says so"
    if sent is not None and key[0] != UNMARKED:
        if len(records) > sent.times:
            yield "twice", f"{told}; it was sent {sent.times} times"
        if answered < sent.answered or ran < sent.answered:
            yield "denied", f"{told}; its client had {sent.answered} results"
    elif key[0] != UNMARKED:
        yield "foreign", f"{told}; nobody sent it"


def _says_so(record: Recorded, refused: set[Key]) -> bool:
    """Whether the outcome leaves open, or says, that it did not run."""
    if record.outcome == "failed":
        heads = (record.key[:length] for length in range(1, len(record.key) + 1))
        return record.code in _SERVER_ENDED or any(head in refused for head in heads)
    return record.outcome == "interrupted"


def _is_proxys_own(key: Key) -> bool:
    return key[0] == UNMARKED and key[1].upper().startswith(_PROXYS_OWN)


def _shown(key: Key) -> str:
    return key[1][:120] if key[0] == UNMARKED else " ".join(key)
