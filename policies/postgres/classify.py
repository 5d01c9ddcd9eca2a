"""A text to its facts: parse, look at each statement, walk all of it."""

from __future__ import annotations

from policies.facts import StatementFacts, TextFacts
from policies.postgres.findings import Findings
from policies.postgres.parse import Node, UnreadableError, normalize, parse
from policies.postgres.statements import kind_of, look_at
from policies.postgres.walk import Walker
from protocols.statements import Kind

MAX_STATEMENTS = 1_000
"""Statements of one text."""


class PostgresClassifier:
    """``policies.facts.Classifier`` for PostgreSQL 10 to 18. Holds no state."""

    def classify(self, text: bytes) -> TextFacts:
        """What a text does. Never raises."""
        try:
            statements = parse(text)
            if len(statements) > MAX_STATEMENTS:
                raise UnreadableError("it has too many statements")
            return TextFacts(tuple(_facts(statement) for statement in statements))
        except UnreadableError as error:
            return TextFacts(problem=str(error))
        except (RecursionError, KeyError, TypeError, ValueError, AttributeError):
            # A tree of another shape than these lists know: another version's.
            return TextFacts(problem="its parts are not known")

    def classify_command(self, kind: Kind, text: bytes) -> TextFacts:
        """FunctionCall names its function by a number that only the server can look up."""
        return TextFacts((StatementFacts(kind, forbidden="a function call without SQL"),))

    def fingerprint(self, text: bytes) -> bytes:
        """The text with its constants replaced: no hash, whose collisions could be made."""
        return normalize(text)


def _facts(statement: Node) -> StatementFacts:
    (kind,) = statement
    found = Findings()
    walker = Walker(found)
    look_at(kind, statement[kind], found, walker)
    walker.finish()
    return StatementFacts(
        kind=kind_of(kind, statement[kind]),
        changes=found.changes,
        forbidden=found.forbidden,
        features=frozenset(found.features),
        reads=frozenset(found.reads),
        writes=frozenset(found.writes),
        columns=frozenset(found.columns),
        reads_whole_rows=found.reads_whole_rows,
        reads_every_column=found.reads_every_column,
        functions=frozenset(found.functions),
        nested=frozenset(found.nested),
        settings=frozenset(found.settings),
        moves_lookup=found.moves_lookup,
        depends_on_constants=found.depends_on_constants,
    )
