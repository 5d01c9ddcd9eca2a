"""The servers' own databases: what a restricted policy never reads there, and never writes."""

from __future__ import annotations

import dataclasses
from typing import Final

from policies.facts import Name, StatementFacts
from protocols.statements import Kind

SYSTEM: Final = frozenset({"mysql", "performance_schema", "sys", "information_schema"})
"""Rows in these are rights, settings, plug-ins."""

# Password hashes, the passwords of other servers, and what other sessions have sent.
_SECRET: Final = frozenset(
    """
user global_priv servers slave_master_info password_history general_log slow_log
""".split()
)
# Frequent values of every column: of MySQL, of MariaDB.
_STATISTICS: Final = frozenset({"column_statistics", "column_stats"})


def guard(facts: StatementFacts) -> StatementFacts:
    """The facts, with what is forbidden in these databases.

    A name without a database is ``guarded``: forbidden if the session's own is one of them.
    """
    forbidden = ""
    guarded = set[Name]()
    reads = frozenset[Name]() if facts.kind is Kind.SHOW else facts.reads
    for name in sorted(reads):
        if name.name.lower() in _SECRET:
            if name.schema.lower() == "mysql":
                forbidden = forbidden or f"reading {name}"
            elif not name.schema:
                guarded.add(Name("mysql", name.name))
    for name in sorted(facts.writes):
        if name.schema.lower() in SYSTEM:
            forbidden = forbidden or f"writing {name}"
        elif not name.schema:
            guarded.update(Name(schema, name.name) for schema in SYSTEM)
    if any(name.name.lower() in _STATISTICS for name in reads):
        facts = dataclasses.replace(facts, reads_every_column=True)
    if not forbidden and not guarded:
        return facts
    return dataclasses.replace(
        facts, forbidden=facts.forbidden or forbidden, guarded=facts.guarded | guarded
    )


def choose(database: str) -> StatementFacts:
    """USE and COM_INIT_DB: names without a database are looked up there from now on."""
    name = database.lower()
    is_open = name not in SYSTEM or name == "information_schema"
    return StatementFacts(
        Kind.SET, moves_lookup=True, forbidden="" if is_open else f"choosing the database {name}"
    )
