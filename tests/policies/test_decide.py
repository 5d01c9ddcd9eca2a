from __future__ import annotations

from collections.abc import Iterator

from policies.decide import decide
from policies.document import Columns, Policy
from policies.facts import Name, StatementFacts, TextFacts
from protocols.statements import Kind


class Counted(frozenset[str]):
    """Names that know how often they were gone through."""

    rounds = 0

    def __iter__(self) -> Iterator[str]:
        self.rounds += 1
        return super().__iter__()


def denied(*patterns: str) -> Columns:
    return Columns.model_validate({"deny": patterns})


def test_a_statements_columns_are_looked_at_once_for_each_pattern_however_many_tables_it_has():
    policy = Policy(version=1, columns=denied("public.*.secret", "public.*.hidden"))
    columns = Counted(f"c{number}" for number in range(100))
    tables = frozenset(Name("", f"t{number}") for number in range(100))
    facts = StatementFacts(Kind.SELECT, reads=tables, columns=columns)
    assert decide(policy, TextFacts((facts,)), "public").is_allowed
    assert columns.rounds <= 2


def test_the_first_table_by_name_that_a_pattern_denies_is_told_with_its_column():
    policy = Policy(version=1, columns=denied("public.b.secret", "public.*.hidden"))
    tables = frozenset({Name("", "b"), Name("", "a"), Name("other", "a")})
    facts = StatementFacts(Kind.SELECT, reads=tables, columns=frozenset({"secret", "hidden", "x"}))
    verdict = decide(policy, TextFacts((facts,)), "public")
    assert (verdict.rule, verdict.object) == ("columns.deny", "public.a.hidden")
    rows = StatementFacts(Kind.SELECT, reads=tables, reads_whole_rows=True)
    assert decide(policy, TextFacts((rows,)), "public").object == "public.a"
