"""Whether a statement's record tells of a table: its text is read again when it is looked for.

The log has texts and no tables, so the classifier of the record's engine reads those texts in
which the table's name stands at all. In doubt a record is told: who searches wants to miss none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from policies.classifiers import classifier_for
from policies.facts import Name, StatementFacts, TextFacts

LONGEST_READ: Final = 16 * 1024
"""Characters of the longest text that is read: some tens of milliseconds. In a longer one the
name alone is looked for."""
_READ_AGAIN: Final = 512
_READ_AGAIN_LENGTH: Final = 1_024

# A name may be written in escapes (PostgreSQL manual, 4.1.2.3), and with its quotes doubled.
_ESCAPED: Final = re.compile(r"""[uU]&|""|``""")


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is looked for; ``schema`` "": in any. Both in one case."""

    schema: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Table:
        """``table``, ``schema.table``, and in MySQL ``database.table``."""
        schema, _, name = text.casefold().rpartition(".")
        return cls(schema, name)

    def is_in(self, record: dict[str, Any]) -> bool:
        """Whether the record's statement reads or writes it, or may do so.

        A name that stands there without a schema may be of the one that is looked for.
        """
        text = _member(record, "query_info", "query_string")
        if not self.name or not text:
            return False
        if self.name not in text.casefold() and not _ESCAPED.search(text):
            return False
        extra = record.get("unmapped")
        length = extra.get("text_length") if isinstance(extra, dict) else None
        engine = _member(record, "database", "type")
        if len(text) > LONGEST_READ or length != len(text.encode()):
            return self._stands_in(text)
        facts = _read_once(engine, text) if len(text) <= _READ_AGAIN_LENGTH else _read(engine, text)
        if facts is None or facts.problem:
            return self._stands_in(text)
        names = (name for one in facts.statements for name in one.reads | one.writes)
        return any(map(self._is, names)) or (
            any(map(_is_in_doubt, facts.statements)) and self._stands_in(text)
        )

    def _is(self, name: Name) -> bool:
        if name.name.casefold() != self.name:
            return False
        return not self.schema or not name.schema or name.schema.casefold() == self.schema

    def _stands_in(self, text: str) -> bool:
        return re.search(rf"(?<!\w){re.escape(self.name)}(?!\w)", text.casefold()) is not None


def _is_in_doubt(facts: StatementFacts) -> bool:
    """What is never allowed was not read to its end (GRANT, DO); a function may do anything with
    a name that it is given, and what names no table may mean one (catalogs, LISTEN).
    """
    return bool(facts.forbidden or facts.functions) or not (facts.reads or facts.writes)


@lru_cache(_READ_AGAIN)
def _read_once(engine: str, text: str) -> TextFacts | None:
    return _read(engine, text)


def _read(engine: str, text: str) -> TextFacts | None:
    classifier = classifier_for(engine)
    return None if classifier is None else classifier.classify(text.encode())


def _member(record: dict[str, Any], name: str, key: str) -> str:
    value = record.get(name)
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
