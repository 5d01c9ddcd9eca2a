"""Which classifier reads which engine's SQL."""

from __future__ import annotations

from functools import cache

from policies.facts import Classifier


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
