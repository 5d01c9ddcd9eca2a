"""May this statement run? The one place that holds facts against a policy.

Knows no SQL and no protocol. Every refusal names the rule and the object, so that its
reader knows which line of the policy to change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from policies.document import Access, Policy
from policies.facts import Feature, Name, StatementFacts, TextFacts
from policies.patterns import Pattern
from protocols.errors import Reason
from protocols.statements import Kind

_READING: Final = frozenset(
    {Kind.SELECT, Kind.EXPLAIN, Kind.SHOW, Kind.FETCH, Kind.TRANSACTION, Kind.SET}
)
_WRITING: Final = frozenset({Kind.INSERT, Kind.UPDATE, Kind.DELETE, Kind.MERGE})
_BY_FEATURE: Final = {
    Feature.COPY: frozenset({Kind.COPY}),
    Feature.LOAD_DATA_LOCAL: frozenset({Kind.INSERT}),
    Feature.LISTEN: frozenset({Kind.LISTEN}),
    Feature.PREPARED: frozenset({Kind.PREPARED}),
    Feature.DDL: frozenset({Kind.CREATE, Kind.ALTER, Kind.DROP, Kind.TRUNCATE}),
    Feature.MAINTENANCE: frozenset({Kind.MAINTENANCE}),
    Feature.LOCKS: frozenset({Kind.MAINTENANCE}),
    Feature.TEMPORARY: frozenset({Kind.CREATE, Kind.DROP}),
    Feature.PROCEDURES: frozenset({Kind.CALL}),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Yes, or no with the ``rule`` (its place in the policy), the ``object`` and a sentence.

    ``reason`` decides the code that a client is told.
    """

    is_allowed: bool
    rule: str = ""
    object: str = ""
    message: str = ""
    reason: Reason = Reason.NOT_PERMITTED


ALLOWED: Final = Verdict(is_allowed=True)


def decide(policy: Policy, facts: TextFacts, default_schema: str) -> Verdict:
    """Judge a whole text: the first rule that says no decides.

    ``default_schema`` is where the server looks for a table without a schema.
    """
    if not policy.is_restricted:
        return ALLOWED
    if facts.problem:
        return _no("access", "", f"the statement is not fully understood: {facts.problem}")
    if (
        Feature.MULTI_STATEMENTS not in policy.allowed_features
        and len(facts.statements) > 1
        # What resets a session comes in one text from some drivers (asyncpg's pool).
        and not all(_touches_nothing(statement) for statement in facts.statements)
    ):
        return _no(
            "features.multi_statements", "", "several statements in one text are not allowed"
        )
    for statement in facts.statements:
        verdict = _decide(policy, statement, default_schema)
        if not verdict.is_allowed:
            return verdict
    return ALLOWED


def _decide(policy: Policy, facts: StatementFacts, default_schema: str) -> Verdict:
    if facts.forbidden:
        return _no("access", "", f"{facts.forbidden} is not allowed")
    for name in sorted(facts.guarded):
        if name.schema == default_schema.lower():
            return _no("access", str(name), f"{name} is the server's own")
    if policy.access is Access.READ_ONLY and facts.changes:
        return _no("access", "", f"read-only access does not allow to change {facts.changes}")
    for feature in sorted(facts.features - policy.allowed_features):
        return _no(f"features.{feature}", "", f"{_words(feature)} is not allowed")
    return (
        _decide_kind(policy, facts)
        or _decide_tables(policy, facts, default_schema)
        or _decide_columns(policy, facts, default_schema)
        or _decide_functions(policy, facts)
        or _decide_settings(policy, facts)
        or ALLOWED
    )


def _touches_nothing(facts: StatementFacts) -> bool:
    return not (facts.reads or facts.writes or facts.changes or facts.features)


def _decide_kind(policy: Policy, facts: StatementFacts) -> Verdict | None:
    for kind in sorted({facts.kind} | facts.nested):
        verdict = _decide_one_kind(policy, facts, kind)
        if verdict is not None:
            return verdict
    return None


def _decide_one_kind(policy: Policy, facts: StatementFacts, kind: Kind) -> Verdict | None:
    if kind in policy.statements.deny:
        return _no("statements.deny", kind, f"{kind} statements are denied")
    if policy.statements.allow is not None:
        if kind not in policy.statements.allow:
            return _no("statements.allow", kind, f"{kind} statements are not among the allowed")
    if policy.access is Access.FULL or kind in _READING:
        return None
    if kind in _WRITING and policy.access is Access.READ_WRITE:
        return None
    # A feature that is allowed, and that this statement is an instance of, allows its kind.
    if any(kind in _BY_FEATURE.get(feature, ()) for feature in facts.features):
        return None
    return _no("access", kind, f"{policy.access} access does not allow {kind} statements")


def _decide_tables(policy: Policy, facts: StatementFacts, default_schema: str) -> Verdict | None:
    tables = policy.tables
    for rule, patterns, names in (
        ("tables.write", tables.write, facts.writes),
        ("tables.read", tables.read, facts.reads),
    ):
        if patterns is None:
            continue
        for name in sorted(names):
            placed = _placed(name, default_schema)
            if not placed.schema or not _any_matches(patterns, placed):
                verb = "written" if rule == "tables.write" else "read"
                return _no(rule, str(placed), f"{placed} may not be {verb}")
    return None


def _decide_columns(policy: Policy, facts: StatementFacts, default_schema: str) -> Verdict | None:
    if not policy.columns.deny:
        return None
    if facts.reads_every_column:
        return _no("columns.deny", "", "statistics show values of the denied columns too")
    columns = sorted(facts.columns)
    # The columns once, not for each table: a text may name thousands of both.
    denied = [
        (Pattern(pattern.written, pattern.parts[:2]), _first_match(pattern, columns))
        for pattern in policy.columns.deny
    ]
    for name in sorted(facts.reads | facts.writes):
        placed = _placed(name, default_schema)
        for table, named in denied:
            if placed.schema and not table.matches(placed.schema, placed.name, fold=True):
                continue
            if facts.reads_whole_rows:
                return _no(
                    "columns.deny",
                    str(placed),
                    f"whole rows of {placed} may not be read; name the columns",
                )
            if named is not None:
                return _no("columns.deny", f"{placed}.{named}", f"{placed}.{named} may not be read")
    return None


def _first_match(pattern: Pattern, columns: Iterable[str]) -> str | None:
    """The first of these columns that the pattern's last part names."""
    column = Pattern(pattern.written, pattern.parts[2:])
    return next((named for named in columns if column.matches(named, fold=True)), None)


def _decide_functions(policy: Policy, facts: StatementFacts) -> Verdict | None:
    if policy.functions.allow is None and policy.access is Access.FULL:
        return None
    for name in sorted(facts.functions):
        if not _any_matches(policy.functions.allow or (), name):
            return _no(
                "functions.allow", str(name), f"the function {name} is not among the allowed"
            )
    return None


def _decide_settings(policy: Policy, facts: StatementFacts) -> Verdict | None:
    if facts.moves_lookup and policy.names_tables:
        return _no(
            "tables.schema", "", "where names without a schema are looked up may not be changed"
        )
    for name in sorted(facts.settings):
        if name not in policy.settings.allow and policy.access is not Access.FULL:
            return _no("settings.allow", name, f"the setting {name} may not be changed")
    return None


def _placed(name: Name, default_schema: str) -> Name:
    return name if name.schema else Name(default_schema, name.name)


def _any_matches(patterns: Iterable[Pattern], name: Name) -> bool:
    return any(
        pattern.matches(name.name)
        if len(pattern.parts) == 1 and not name.schema
        else pattern.matches(name.schema, name.name)
        for pattern in patterns
    )


def _words(feature: Feature) -> str:
    return _FEATURE_WORDS.get(feature, str(feature))


_FEATURE_WORDS: Final = {
    Feature.COPY: "COPY",
    Feature.LOAD_DATA_LOCAL: "LOAD DATA LOCAL",
    Feature.LISTEN: "LISTEN and NOTIFY",
    Feature.PREPARED: "PREPARE and EXECUTE in SQL",
    Feature.DDL: "changing the schema",
    Feature.MAINTENANCE: "maintenance",
    Feature.MULTI_STATEMENTS: "several statements in one text",
    Feature.TEMPORARY: "a temporary table",
    Feature.LOCKS: "taking locks",
    Feature.PROCEDURES: "calling procedures",
}


def _no(rule: str, about: str, sentence: str) -> Verdict:
    return Verdict(is_allowed=False, rule=rule, object=about, message=sentence)
