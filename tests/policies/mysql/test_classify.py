from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.decide import decide
from policies.document import Policy
from policies.facts import Name, TextFacts
from policies.mysql import MySqlClassifier
from protocols.statements import Kind
from tests.policies.mysql.harmless import HARMLESS
from tests.policies.mysql.hostile import HOSTILE

READ_ONLY = Policy(version=1)
CLASSIFIER = MySqlClassifier()


def is_allowed(sql: bytes) -> bool:
    return decide(READ_ONLY, CLASSIFIER.classify(sql), "shop").is_allowed


def test_there_are_as_many_as_were_asked_for() -> None:
    assert len({sql for _, sql in HOSTILE}) >= 300
    assert len({sql for _, sql in HARMLESS}) >= 200


def test_the_parser_writes_no_statement_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    CLASSIFIER.classify(b"REPLACE INTO customers SELECT secret FROM customers")
    assert caplog.text == ""


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in HOSTILE])
def test_a_hostile_statement_is_refused(sql: str) -> None:
    assert not is_allowed(sql.encode())


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in HARMLESS])
def test_a_harmless_statement_is_allowed(sql: str) -> None:
    facts = CLASSIFIER.classify(sql.encode())
    assert decide(READ_ONLY, facts, "shop").message == ""


@pytest.mark.parametrize(
    "text", [b"", b" ", b";;", b"-- only", b"#", b"/* c */", b"/*! */", b"/**/;"]
)
def test_a_text_of_blanks_and_comments_has_no_statement(text: bytes) -> None:
    assert CLASSIFIER.classify(text).statements == ()


@given(st.binary(max_size=60))
def test_any_bytes_are_classified_without_an_error(text: bytes) -> None:
    CLASSIFIER.classify(text)
    CLASSIFIER.fingerprint(text)


@given(
    st.sampled_from([sql for _, sql in HOSTILE]),
    st.sampled_from(["\t", "\n", "  ", "\r\n", " /* c */ ", " -- c\n", " # c\n", "\v"]),
    st.sampled_from([str, str.lower, str.upper, str.swapcase]),
)
def test_no_change_of_blanks_and_case_lets_a_hostile_one_pass(
    sql: str, blank: str, case: type[str]
) -> None:
    if sql.startswith(("SELECT 'a", "SELECT 'not", 'SELECT "not', "SELECT `not")):
        blank = "\t"
    assert not is_allowed(blank.join(case(sql).split(" ")).encode())


def test_tables_columns_and_functions_are_all_named() -> None:
    (facts,) = CLASSIFIER.classify(
        b"WITH c AS (SELECT A FROM secret) SELECT f(b) FROM c, s.t WHERE x IN (SELECT y FROM c)"
    ).statements
    assert facts.reads == {Name("", "secret"), Name("s", "t")}
    assert facts.functions == {Name("", "f")}
    assert {"a", "b", "x", "y"} <= facts.columns
    assert not facts.reads_whole_rows


def test_a_with_does_not_hide_the_table_of_its_own_name() -> None:
    (facts,) = CLASSIFIER.classify(
        b"WITH secret AS (SELECT a FROM secret) SELECT a FROM secret"
    ).statements
    assert facts.reads == {Name("", "secret")}


def test_texts_that_differ_in_constants_have_one_fingerprint() -> None:
    one = CLASSIFIER.fingerprint(b"SELECT a FROM t WHERE b = 'x' AND c = 1")
    other = CLASSIFIER.fingerprint(b"SELECT a /* c */ FROM t WHERE b='it''s' AND c=0x22")
    assert one == other != b""
    assert CLASSIFIER.fingerprint(b"SET autocommit = 1") == b""


def test_a_letter_that_is_a_blank_to_latin1_joins_no_words() -> None:
    # In UTF-8 one letter before the keyword; in latin1 two, of which the second is a blank.
    for letter in "\u00a0\u00e0\u0160\u2020":
        sql = f"SELECT name FROM customers c{letter}FOR UPDATE".encode()
        assert "a letter that may be a blank" in CLASSIFIER.classify(sql).problem
        assert not CLASSIFIER.classify(f"SELECT `citt{letter}`, '{letter}'".encode()).problem


def test_depth_and_length_are_bounded() -> None:
    assert CLASSIFIER.classify(b"SELECT " + b"(" * 100_000).problem
    assert CLASSIFIER.classify(b"SELECT " + b"1+" * 600_000 + b"1").problem


def test_one_fingerprint_has_the_same_facts_with_and_without_an_introducer() -> None:
    one, other = b"SELECT a FROM t WHERE b = 'x'", b"SELECT a FROM t WHERE b = _utf8mb4'x'"
    assert CLASSIFIER.fingerprint(one) == CLASSIFIER.fingerprint(other)
    assert CLASSIFIER.classify(one) == CLASSIFIER.classify(other)


def test_texts_of_one_fingerprint_have_the_same_facts() -> None:
    seen: dict[bytes, TextFacts] = {}
    for _, sql in HARMLESS + HOSTILE:
        for text in (sql, sql.replace("1", "22"), sql.replace("'x'", '"y z"'), f"/**/{sql} "):
            fingerprint = CLASSIFIER.fingerprint(text.encode())
            if fingerprint:
                facts = CLASSIFIER.classify(text.encode())
                assert seen.setdefault(fingerprint, facts) == facts


@pytest.mark.parametrize(
    "lock",
    ["FOR UPDATE", "FOR SHARE SKIP LOCKED", "LOCK IN SHARE MODE", "FOR UPDATE OF s NOWAIT"],
)
def test_a_lock_hides_neither_tables_nor_columns(lock: str) -> None:
    (facts,) = CLASSIFIER.classify(f"SELECT password FROM secret s {lock}".encode()).statements
    assert facts.changes == "locks of rows"
    assert facts.reads == {Name("", "secret")}
    assert "password" in facts.columns
    (facts,) = CLASSIFIER.classify(f"SELECT * FROM secret s {lock}".encode()).statements
    assert facts.reads_whole_rows


def test_the_next_value_of_a_sequence_is_not_understood() -> None:
    for sql in ("SELECT NEXT VALUE FOR s", "INSERT INTO t (id) VALUES (NEXT VALUE FOR s)"):
        assert CLASSIFIER.classify(sql.encode()).problem


def test_a_with_does_not_hide_what_is_written() -> None:
    for sql in (
        "WITH secret AS (SELECT 1 AS a) DELETE FROM secret",
        "WITH Secret AS (SELECT 1 AS a) UPDATE secret SET a = 1",
        "WITH c AS (SELECT 1 AS a) DELETE c FROM t JOIN c ON t.a = c.a",
    ):
        assert CLASSIFIER.classify(sql.encode()).problem, sql
    sql = "WITH c AS (SELECT 1 AS a) UPDATE t JOIN c ON t.a = c.a SET t.b = 2"
    (facts,) = CLASSIFIER.classify(sql.encode()).statements
    assert facts.writes == {Name("", "t")}


def test_what_explain_runs_is_of_its_kind() -> None:
    (facts,) = CLASSIFIER.classify(b"EXPLAIN ANALYZE DELETE a FROM a JOIN b").statements
    assert facts.nested == {Kind.DELETE}
    (facts,) = CLASSIFIER.classify(b"EXPLAIN DELETE FROM a").statements
    assert facts.nested == frozenset()
