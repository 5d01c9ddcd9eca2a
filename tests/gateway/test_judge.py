from __future__ import annotations

from policies.document import Policy, policy_from
from policies.effective import EffectivePolicy
from policies.facts import StatementFacts, TextFacts
from policies.length import longest_statement
from policies.postgres import PostgresClassifier
from protocols.statements import Kind, Statement, Via
from proxy.gateway.judge import ENTRY_COST, RECENT, Judge, Ruler, Verdicts

READ_ONLY = Policy(version=1)


class Counting(PostgresClassifier):
    """Counts what it has to classify."""

    def __init__(self) -> None:
        self.classified = 0
        self.shaped = 0

    def fingerprint(self, text: bytes) -> bytes:
        self.shaped += 1
        return super().fingerprint(text)

    def classify(self, text: bytes) -> TextFacts:
        self.classified += 1
        return super().classify(text)


def judge(
    policy: Policy = READ_ONLY,
    classifier: PostgresClassifier | None = None,
    verdicts: Verdicts | None = None,
    scope: str = "w1 postgresql",
) -> Judge:
    return Judge(
        EffectivePolicy.of(policy),
        classifier or PostgresClassifier(),
        "public",
        Verdicts() if verdicts is None else verdicts,
        scope,
        longest_statement(policy.limits, "postgresql"),
    )


def statement(text: bytes, via: Via = Via.SIMPLE, length: int | None = None) -> Statement:
    return Statement(via, text, len(text) if length is None else length, 0.0)


def test_the_same_text_is_classified_once() -> None:
    counting = Counting()
    one = judge(classifier=counting)
    for _ in range(3):
        assert one.verdict(statement(b"SELECT a FROM t WHERE b = 1")).is_allowed
        assert not one.verdict(statement(b"SET ROLE x")).is_allowed
    assert counting.classified == 2


def test_texts_that_differ_in_constants_are_classified_once() -> None:
    counting = Counting()
    one = judge(classifier=counting)
    for number in range(10):
        assert one.verdict(statement(b"SELECT a FROM t WHERE b = %d" % number)).is_allowed
    assert counting.classified == 1


def test_a_session_finds_the_shape_of_what_it_repeats_once() -> None:
    counting = Counting()
    one = judge(classifier=counting)
    texts = [b"SELECT a FROM t WHERE b = %d" % number for number in range(RECENT)]
    for _ in range(3):
        for text in texts:
            assert one.verdict(statement(text)).is_allowed
    assert (counting.shaped, counting.classified) == (RECENT, 1)
    assert one.verdict(statement(b"SELECT a FROM t WHERE b = 1000")).is_allowed
    assert one.verdict(statement(texts[0])).is_allowed
    assert counting.shaped == RECENT + 2


def test_constants_that_decide_are_each_looked_at() -> None:
    one = judge()
    for name, is_allowed in ((b"bytea_output", True), (b"role", False), (b"work_mem", True)):
        text = b"SELECT set_config('%s', 'x', false)" % name
        assert one.verdict(statement(text)).is_allowed is is_allowed
    assert one.verdict(statement(b"SET client_encoding = 'UTF8'")).is_allowed
    assert not one.verdict(statement(b"SET client_encoding = 'SJIS'")).is_allowed


def test_a_verdict_is_of_its_policy_and_its_workspace() -> None:
    verdicts = Verdicts()
    text = statement(b"DELETE FROM t")
    writing = policy_from({"version": 1, "access": "read-write"})
    assert not judge(verdicts=verdicts).verdict(text).is_allowed
    assert judge(writing, verdicts=verdicts).verdict(text).is_allowed
    counting = Counting()
    assert not judge(classifier=counting, verdicts=verdicts, scope="w2").verdict(text).is_allowed
    assert counting.classified == 1


def test_what_is_not_wholly_known_is_refused() -> None:
    one = judge()
    assert not one.verdict(statement(b"SELECT 1", length=100)).is_allowed
    assert not one.verdict(statement(b"(prepared in SQL)", Via.EXECUTE, 0)).is_allowed
    assert not one.verdict(statement(b"function call of oid 1", Via.FUNCTION)).is_allowed


def test_a_longer_statement_than_allowed_is_refused_by_that_rule() -> None:
    one = judge(policy_from({"version": 1, "limits": {"statement_bytes": 8}}))
    assert one.verdict(statement(b"SELECT 1")).is_allowed
    assert one.verdict(statement(b"SELECT 10")).rule == "limits.statement_bytes"


def test_a_text_that_is_not_wholly_kept_is_measured_all_the_same() -> None:
    one = judge(policy_from({"version": 1, "limits": {"statement_bytes": 8}}))
    assert one.verdict(statement(b"SELECT", length=9)).rule == "limits.statement_bytes"
    assert one.verdict(statement(b"SELECT", length=8)).rule == "access"


def test_a_ruler_asks_for_the_length_and_for_nothing_else() -> None:
    ruler = Ruler(8)
    for text in (b"DROP x", b"", b"\xff\0"):
        assert ruler.verdict(statement(text)).is_allowed
    assert ruler.verdict(statement(b"SELECT", length=8)).is_allowed
    said = ruler.verdict(statement(b"SELECT", length=9))
    assert (said.rule, said.message) == (
        "limits.statement_bytes",
        "a statement may have at most 8 bytes",
    )
    # Its text is our own word for a command.
    assert ruler.verdict(statement(b"function call of oid 1", Via.FUNCTION)).is_allowed


def test_what_is_remembered_is_bounded_and_what_is_asked_for_stays() -> None:
    limit = 100 * (ENTRY_COST + 20)
    verdicts = Verdicts(limit)
    counting = Counting()
    one = judge(classifier=counting, verdicts=verdicts)
    often = statement(b"SHOW server_version")
    for number in range(1_000):
        one.verdict(statement(b"SET work_mem = %d" % number))
        one.verdict(often)
        assert len(verdicts) <= 100
    assert counting.classified == 1_001


def test_a_text_larger_than_all_is_not_remembered() -> None:
    verdicts = Verdicts(1_000)
    one = judge(verdicts=verdicts)
    assert one.verdict(statement(b"SHOW work_mem -- " + b"x" * 2_000)).is_allowed
    assert len(verdicts) == 0


def test_facts_that_depend_on_constants_are_not_kept_by_shape() -> None:
    class Fixed(Counting):
        def classify(self, text: bytes) -> TextFacts:
            self.classified += 1
            return TextFacts((StatementFacts(Kind.SELECT, depends_on_constants=True),))

    fixed = Fixed()
    one = judge(classifier=fixed)
    one.verdict(statement(b"SELECT 1"))
    one.verdict(statement(b"SELECT 2"))
    assert fixed.classified == 2
