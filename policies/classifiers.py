"""Which classifier reads which engine's SQL."""

from __future__ import annotations

from functools import cache

from policies.facts import Classifier
from protocols.remains import Remains


@cache
def classifier_for(engine: str) -> Classifier | None:
    """The engine's classifier, or None where its SQL cannot be judged.

    Imported when it is first needed: a proxy without policies needs none of the grammars.
    """
    if engine == "postgresql":
        from policies.postgres import PostgresClassifier

        return PostgresClassifier()
    if engine == "mysql":
        from policies.mysql import MySqlClassifier

        return MySqlClassifier()
    return None


@cache
def remains_for(engine: str) -> Remains | None:
    """What tells what an engine's statements leave behind, or None where nobody can."""
    if engine == "postgresql":
        from policies.postgres.remains import remains

        return remains
    return None
