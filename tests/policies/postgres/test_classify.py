from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.decide import decide
from policies.document import Policy, policy_from
from policies.facts import Feature, Name
from policies.postgres import PostgresClassifier
from policies.postgres.walk import MAX_SCOPE
from protocols.statements import Kind
from tests.policies.postgres.corpus import HARMLESS, HOSTILE

READ_ONLY = Policy(version=1)
CLASSIFIER = PostgresClassifier()


def is_allowed(sql: str) -> bool:
    return decide(READ_ONLY, CLASSIFIER.classify(sql.encode()), "public").is_allowed


def facts_of(sql: str):
    (facts,) = CLASSIFIER.classify(sql.encode()).statements
    return facts


def test_there_are_as_many_as_were_asked_for() -> None:
    assert len(set(HOSTILE)) >= 300
    assert len(set(HARMLESS)) >= 200


@pytest.mark.parametrize("sql", HOSTILE)
def test_a_hostile_statement_is_refused(sql: str) -> None:
    assert not is_allowed(sql)


@pytest.mark.parametrize("sql", HARMLESS)
def test_a_harmless_statement_is_allowed(sql: str) -> None:
    verdict = decide(READ_ONLY, CLASSIFIER.classify(sql.encode()), "public")
    assert verdict.message == ""


_AROUND = st.sampled_from(
    [
        ("", ""),
        ("/* c */ ", " /* d */"),
        ("-- c\n", "\n-- d"),
        ("\t\n\r ", " \f"),
        ("SELECT 1; ", ""),
        ("", "; SELECT 1"),
        ("/*/**/*/", ";"),
        ("BEGIN; ", "; COMMIT"),
        (";;", ";;"),
    ]
)


@given(
    st.sampled_from(HOSTILE),
    _AROUND,
    st.sampled_from([" ", "\t", "\n", " /* c */ ", " --\n"]),
)
def test_no_comment_or_company_lets_a_hostile_one_pass(
    sql: str, around: tuple[str, str], blank: str
) -> None:
    changed = sql if any(mark in sql for mark in "'\"$-/") else sql.replace(" ", blank)
    assert not is_allowed(around[0] + changed + around[1])


@given(st.sampled_from([sql for sql in HOSTILE if not set(sql) & set("'\"$\\")]), st.data())
def test_no_case_lets_a_hostile_one_pass(sql: str, data: st.DataObject) -> None:
    upper = data.draw(st.lists(st.booleans(), min_size=len(sql), max_size=len(sql)))
    changed = "".join(
        letter.upper() if up else letter.lower() for letter, up in zip(sql, upper, strict=True)
    )
    assert not is_allowed(changed)


@given(st.binary(max_size=200))
def test_any_bytes_are_classified_without_an_error(text: bytes) -> None:
    CLASSIFIER.classify(text)
    CLASSIFIER.fingerprint(text)


@pytest.mark.parametrize("text", [b"SELECT 1\0; DROP TABLE x", b"SELECT '\xff'", b"\xfe\xff"])
def test_what_is_no_text_of_utf8_is_not_understood(text: bytes) -> None:
    assert CLASSIFIER.classify(text).problem
    assert CLASSIFIER.fingerprint(text) == b""


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
        "SELECT " + "-(1+" * 500 + "1" + ")" * 500,
        "SELECT " + " || ".join(["'a'"] * 5_000),
        "SELECT 1 " + "UNION SELECT 1 " * 2_000,
        "SELECT " + "(SELECT " * 500 + "1" + ")" * 500,
        "SELECT 1;" * 2_000,
        "SELECT '" + "x" * 300_000 + "'",
    ],
)
def test_what_is_too_deep_or_long_is_refused_or_understood_and_never_raises(sql: str) -> None:
    facts = CLASSIFIER.classify(sql.encode())
    assert facts.problem or facts.statements


def test_a_chain_of_sixty_operators_is_understood() -> None:
    assert is_allowed("SELECT " + " || ".join(["note"] * 60) + " FROM policy_orders")


def test_every_name_is_found() -> None:
    facts = facts_of(
        "SELECT a.x, f(b.y) FROM s.a JOIN b USING (z) WHERE EXISTS (SELECT FROM c WHERE w = 1)"
    )
    assert facts.kind is Kind.SELECT
    assert facts.reads == {Name("s", "a"), Name("", "b"), Name("", "c")}
    assert {"x", "y", "z", "w"} <= facts.columns
    assert facts.functions == {Name("", "f")}
    assert not facts.reads_whole_rows


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("WITH x AS (SELECT 1) SELECT * FROM x", set()),
        ("WITH x AS (SELECT * FROM x) SELECT * FROM x", {"x"}),
        ("WITH RECURSIVE x AS (SELECT * FROM x) SELECT * FROM x", set()),
        ("WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM b", {"b"}),
        ("SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) q, x", {"x"}),
        ("WITH x AS (SELECT 1) SELECT * FROM s.x", {"s.x"}),
        ("WITH x AS (SELECT 1) SELECT (SELECT count(*) FROM x)", set()),
        ("WITH x AS (SELECT 1) SELECT 1 UNION SELECT * FROM x", set()),
    ],
)
def test_a_common_table_expression_hides_a_table_only_where_it_can_be_seen(
    sql: str, reads: set[str]
) -> None:
    assert {str(name) for name in facts_of(sql).reads} == reads


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t",
        "SELECT t.* FROM t",
        "SELECT t FROM t",
        "SELECT u FROM t AS u",
        "SELECT row_to_json(t) FROM t",
        "SELECT t.row_to_json FROM t",
        "SELECT (t).to_jsonb FROM t",
        "SELECT (t.*)::text FROM t",
        "SELECT a FROM t AS u(a)",
        "SELECT 1 FROM t NATURAL JOIN v",
        "SELECT a FROM (t JOIN v ON true) AS j(a)",
        "TABLE t",
        "COPY t TO STDOUT",
        "INSERT INTO t SELECT 1 RETURNING *",
        "DELETE FROM t RETURNING old",
        "SELECT EXISTS (SELECT * FROM t)",
        "SELECT t FROM s.t",
        "SELECT coalesce(t) FROM t",
    ],
)
def test_a_whole_row_is_seen(sql: str) -> None:
    assert facts_of(sql).reads_whole_rows


@pytest.mark.parametrize(
    "sql", ["SELECT count(*) FROM t", "SELECT a FROM t AS u", "SELECT t.a, b FROM t"]
)
def test_what_names_its_columns_reads_no_whole_row(sql: str) -> None:
    assert not facts_of(sql).reads_whole_rows


def test_what_depends_on_constants_says_so() -> None:
    assert facts_of("SELECT set_config('application_name', 'x', false)").depends_on_constants
    assert facts_of("SET work_mem = '1MB'").depends_on_constants
    assert not facts_of("SELECT a FROM t WHERE b = 'x'").depends_on_constants


def test_texts_that_differ_in_constants_have_one_fingerprint() -> None:
    one = CLASSIFIER.fingerprint(b"SELECT a FROM t WHERE b = 'x' AND c IN (1, 2)")
    other = CLASSIFIER.fingerprint(b"SELECT a FROM t WHERE b = $$it's$$ AND c IN (3, 4)")
    assert one == other != b""
    assert CLASSIFIER.fingerprint(b"SELECT a FROM u WHERE b = 'x' AND c IN (1, 2)") != one


@pytest.mark.parametrize(
    ("sql", "kind", "features", "writes"),
    [
        ("CREATE TABLE a.b (x int DEFAULT now())", Kind.CREATE, {Feature.DDL}, {"a.b"}),
        ("CREATE TEMP TABLE b (x int)", Kind.CREATE, {Feature.TEMPORARY}, {"b"}),
        ("CREATE TABLE b AS SELECT * FROM c", Kind.CREATE, {Feature.DDL}, {"b"}),
        ("CREATE VIEW v AS SELECT 1", Kind.CREATE, {Feature.DDL}, {"v"}),
        ("CREATE INDEX ON b (lower(x))", Kind.CREATE, {Feature.DDL}, {"b"}),
        ("ALTER TABLE b ADD COLUMN c int", Kind.ALTER, {Feature.DDL}, {"b"}),
        ("ALTER TABLE b RENAME TO c", Kind.ALTER, {Feature.DDL}, {"b", "c"}),
        ("DROP TABLE a.b, c", Kind.DROP, {Feature.DDL}, {"a.b", "c"}),
        ("DROP SCHEMA s", Kind.DROP, {Feature.DDL}, {"s.*"}),
        ("TRUNCATE b, c", Kind.TRUNCATE, {Feature.DDL}, {"b", "c"}),
        ("COPY b (x) FROM STDIN", Kind.COPY, {Feature.COPY}, {"b"}),
        ("LOCK TABLE b", Kind.MAINTENANCE, {Feature.LOCKS}, set()),
        ("VACUUM b", Kind.MAINTENANCE, {Feature.MAINTENANCE}, set()),
        ("CALL p(1)", Kind.CALL, {Feature.PROCEDURES}, set()),
        ("PREPARE q AS UPDATE b SET x = 1", Kind.PREPARED, {Feature.PREPARED}, {"b"}),
    ],
)
def test_what_needs_a_feature_names_it(
    sql: str, kind: Kind, features: set[Feature], writes: set[str]
) -> None:
    facts = facts_of(sql)
    assert facts.kind is kind
    assert facts.features == features
    assert {str(name) for name in facts.writes} == writes
    assert facts.forbidden == ""


def test_a_check_constraint_may_not_call_what_is_not_allowed() -> None:
    facts = facts_of("CREATE TABLE b (x int CHECK (evil(x)), y int DEFAULT other())")
    assert facts.functions == {Name("", "evil"), Name("", "other")}


def test_a_foreign_key_reads_its_table() -> None:
    assert Name("", "c") in facts_of("CREATE TABLE b (x int REFERENCES c (y))").reads


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT (item).price FROM policy_orders",
        "SELECT ($1).price",
        "SELECT r.price FROM policy_report() r",
        "SELECT policy_report.price FROM policy_report()",
        "SELECT nowhere.price FROM policy_orders",
    ],
)
def test_a_name_that_may_be_a_functions_is_one(sql: str) -> None:
    assert Name("", "price") in facts_of(sql).functions


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT o.price, public.policy_orders.price FROM policy_orders o, policy_orders",
        "SELECT q.price, c.price, v.price FROM (SELECT 1 price) q, (VALUES (1)) v(price), c",
        "WITH c AS (SELECT 1 AS price) SELECT c.price FROM c",
        "SELECT j.price FROM (policy_orders o JOIN policy_orders p ON o.id = p.id) j",
        "SELECT r.price FROM policy_report() AS r(price)",
        "SELECT r.price FROM policy_report() AS r(price int)",
        "SELECT r.price FROM ROWS FROM (policy_report(), lower('a')) r",
        "SELECT r.price FROM policy_report() WITH ORDINALITY r",
        "INSERT INTO o (price) VALUES (1) ON CONFLICT (id) DO UPDATE SET price = excluded.price",
        "UPDATE o SET price = old.price RETURNING new.price, o.price",
    ],
)
def test_a_column_of_a_row_is_no_function(sql: str) -> None:
    assert not {name for name in facts_of(sql).functions if name.name == "price"}


def test_a_constant_that_its_type_cuts_is_none() -> None:
    sql = "SELECT set_config('role'::varchar(4), 'x', false)"
    assert facts_of(sql).forbidden
    assert facts_of("SELECT set_config('timezone'::text, 'UTC', false)").forbidden == ""


@pytest.mark.parametrize(
    ("sql", "written"),
    [
        ("CREATE TABLE a PARTITION OF b FOR VALUES IN (1)", Name("", "b")),
        ("CREATE TABLE a () INHERITS (s.b)", Name("s", "b")),
        ("ALTER TABLE a ATTACH PARTITION b DEFAULT", Name("", "b")),
        ("TRUNCATE a CASCADE", Name("*", "*")),
        ("DROP TABLE a CASCADE", Name("*", "*")),
        ("ALTER TABLE a DROP COLUMN x CASCADE", Name("*", "*")),
    ],
)
def test_what_ddl_changes_besides_what_it_names_first_is_written(sql: str, written: Name) -> None:
    assert facts_of(sql).writes == {Name("", "a"), written}


def test_an_operator_of_a_schema_is_a_function() -> None:
    for sql in (
        "SELECT 1 OPERATOR(s.===) 1",
        "SELECT 1 OPERATOR(s.===) ANY (SELECT 1)",
        "SELECT 1 OPERATOR(s.===) ALL (ARRAY[1])",
        "SELECT a FROM t ORDER BY a USING OPERATOR(s.===)",
    ):
        assert facts_of(sql).functions == {Name("s", "operator ===")}, sql


def test_a_table_of_somebodys_that_is_named_like_a_catalog_is_a_table() -> None:
    assert facts_of("SELECT query FROM pg_stat_statements").reads == {
        Name("", "pg_stat_statements")
    }
    assert facts_of("SELECT relname FROM pg_class").reads == frozenset()


def test_statistics_do_not_show_a_denied_column() -> None:
    policy = policy_from({"version": 1, "columns": {"deny": ["public.users.password"]}})
    for sql in (
        "SELECT most_common_vals FROM pg_stats",
        "EXPLAIN SELECT most_common_vals FROM pg_catalog.pg_stats_ext",
    ):
        verdict = decide(policy, CLASSIFIER.classify(sql.encode()), "public")
        assert verdict.rule == "columns.deny", sql


def test_a_materialized_view_is_written_by_its_refresh() -> None:
    assert facts_of("REFRESH MATERIALIZED VIEW CONCURRENTLY s.v").writes == {Name("s", "v")}


RUN = 2_000


@pytest.mark.parametrize(
    "text",
    [
        b"/*" * RUN,
        b"/*" * RUN + b"*/" * RUN,
        b"SELECT 1" + b"/**/" * RUN,
        b"SELECT 1 " + b"+" * 2 * RUN,
        b"SELECT 1 " + b"+-" * RUN,
        b"SELECT '" + b"-" * 2 * RUN + b"'",
    ],
    ids=lambda text: text[:14].decode(),
)
def test_what_the_lexer_would_read_again_and_again_is_not_given_to_it(text: bytes):
    # PostgreSQL's takes an operator's longest form, and gives all but one letter back: a text
    # of 60 KB held the event loop for ten seconds.
    assert CLASSIFIER.classify(text).problem == "its operators or comments stand too close together"
    assert CLASSIFIER.fingerprint(text) == b""


@pytest.mark.parametrize(
    "text",
    [
        b"/" + b"*" * 5_000 + b"/ SELECT 1",
        b"-- " + b"=" * 5_000 + b"\nSELECT 1",
        b"-" * 500 + b"\nSELECT 1",
        b"/* " + b"-" * 500 + b" */ SELECT 1",
        b"/* a */ " * 2_000 + b"SELECT 1",
        b"SELECT 1" + b" + - 1" * 50,
        b"SELECT '" + b"+" * 500 + b"'",
    ],
    ids=lambda text: text[:14].decode(),
)
def test_banners_and_long_sums_are_read(text: bytes):
    assert CLASSIFIER.classify(text).problem == ""


def with_so_many(count: int) -> bytes:
    return b"WITH " + b", ".join(b"a%d AS (SELECT 1)" % n for n in range(count)) + b" SELECT 1"


def test_each_common_table_expression_costs_no_more_than_a_few_hundred_do():
    # Each has the names of those before it in its scope.
    assert CLASSIFIER.classify(with_so_many(MAX_SCOPE)).problem == ""
    many = CLASSIFIER.classify(with_so_many(MAX_SCOPE + 1)).problem
    assert many == "it has too many common table expressions"
    assert CLASSIFIER.classify(b"SELECT (" + with_so_many(MAX_SCOPE + 1) + b")").problem == many


def test_which_sequence_is_set_back_is_not_known() -> None:
    assert facts_of("SELECT setval('s', 1)").writes == {Name("*", "*")}
    assert facts_of("SELECT nextval('s')").writes == frozenset()


def test_no_other_name_makes_a_denied_column_readable() -> None:
    found = policy_from(
        {
            "version": 1,
            "access": "read-write",
            "features": ["ddl"],
            "columns": {"deny": ["public.users.password"]},
        }
    )
    for sql in (
        "ALTER TABLE users RENAME TO others",
        "ALTER TABLE users RENAME COLUMN password TO p",
        "ALTER TABLE parted ATTACH PARTITION users DEFAULT",
        "CREATE TABLE child () INHERITS (users)",
        "ALTER TABLE users ADD COLUMN p text GENERATED ALWAYS AS (password) STORED",
        "CREATE VIEW v AS SELECT password FROM users",
    ):
        verdict = decide(found, CLASSIFIER.classify(sql.encode()), "public")
        assert verdict.rule == "columns.deny", sql
    for sql in ("ALTER TABLE users ADD COLUMN p text", "ALTER TABLE orders RENAME TO o"):
        assert decide(found, CLASSIFIER.classify(sql.encode()), "public").rule == "", sql


def test_what_a_copy_runs_is_of_its_kind() -> None:
    facts = facts_of("COPY (DELETE FROM t RETURNING a) TO STDOUT")
    assert facts.nested == {Kind.DELETE}
    assert facts_of("COPY (SELECT a FROM t) TO STDOUT").nested == frozenset()
    assert facts_of("COPY t TO STDOUT").nested == frozenset()


def test_a_table_that_another_is_made_like_is_read() -> None:
    facts = facts_of("CREATE TABLE a (LIKE s.b INCLUDING ALL, c int)")
    assert facts.reads == {Name("s", "b")}
    assert facts.writes == {Name("", "a")}
