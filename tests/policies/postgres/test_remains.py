"""What a statement leaves in its session: nothing is said of what is not known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.postgres.remains import remains
from protocols.remains import CAUSES, Remainder

NOTHING = [
    "",
    ";;",
    "-- SET x = 1",
    "SELECT abalance FROM pgbench_accounts WHERE aid = 12;",
    "(SELECT 1) UNION (SELECT 2)",
    "SELECT count(*) FILTER (WHERE a > 1) OVER (PARTITION BY b) FROM t",
    "WITH x (a) AS MATERIALIZED (VALUES (1)) SELECT coalesce(a, 2) FROM x",
    "SELECT * FROM json_to_recordset($1) AS x(a int), json_to_recordset($2) y(b int)",
    "SELECT pg_catalog.lower('A'), \"lower\"('B'), EXTRACT(year FROM now())",
    "SELECT temp, hold FROM weather WHERE set = 1",
    "SELECT 'SET x = 1; LISTEN y', $$ DO $$, $a$ set_config('a') $a$, e'\\'; SET x'",
    'SELECT "a""; SET x" FROM t /* ; /* SET x */ LISTEN y */',
    "SELECT 1.5e3, $1, .5, 0x1F, b'01', n'x'",
    "INSERT INTO s.t (a, b) VALUES (1, 'it''s') ON CONFLICT (a) DO UPDATE SET b = excluded.b",
    "INSERT INTO t AS x (a) SELECT nextval('q') RETURNING (a)",
    "UPDATE t SET (a, b) = (1, 2) WHERE c IN (1, 2)",
    "MERGE INTO t USING u ON (t.a = u.a) WHEN MATCHED THEN UPDATE SET b = 1",
    "COPY t (a, b) FROM STDIN (FORMAT csv)",
    "BEGIN ISOLATION LEVEL SERIALIZABLE",
    "SET LOCAL work_mem = '1MB'",
    "SET TRANSACTION READ ONLY",
    "SET CONSTRAINTS ALL DEFERRED",
    "SELECT set_config('a', $1, true)",
    "SELECT pg_catalog.set_config('a', concat('x', 'y'), 'on')",
    "SELECT pg_advisory_xact_lock(1), pg_advisory_unlock_all()",
    "CREATE TABLE t (a varchar(10) PRIMARY KEY, b numeric(10, 2) CHECK (b > 0), UNIQUE (a))",
    "CREATE INDEX i ON t USING gin (a)",
    "CREATE TEMP TABLE t (a int) ON COMMIT DROP",
    "DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1",
    "PREPARE TRANSACTION 'x'",
    "RESET work_mem; UNLISTEN *; CLOSE ALL",
    "GRANT SELECT (a), UPDATE (b) ON t TO r",
    "ANALYZE t (a)",
]


@pytest.mark.parametrize("text", NOTHING)
def test_what_leaves_nothing_is_known(text: str):
    assert remains(text.encode()) is None


CAUSED = {
    "SET work_mem = '1MB'": "setting",
    "set session characteristics as transaction read only": "setting",
    "SET ROLE r": "setting",
    "SELECT 1;\n/* x */ SET -- y\n a = 1": "setting",
    "SELECT set_config('a', 'b', false)": "setting",
    "SELECT set_config('a', 'b', $1)": "setting",
    "SELECT set_config('a', 'b', true AND false)": "setting",
    "SELECT set_config('a', set_config('b', 'c', false), true)": "setting",
    "SELECT set_config('a', 'b', is_local => false)": "setting",
    "SELECT SeT_CoNfIg ('a', 'b', false)": "setting",
    "SELECT \"set_config\"('a', 'b', false)": "setting",
    "SELECT set_config/**/('a', 'b', false)": "setting",
    "SELECT setseed(0.5)": "setting",
    "SELECT pg_advisory_lock(1)": "lock",
    "SELECT (pg_try_advisory_lock(1))": "lock",
    "LISTEN a": "listen",
    "PREPARE a AS SELECT 1": "prepared",
    "EXECUTE a": "prepared",
    "EXPLAIN ANALYZE EXECUTE a": "prepared",
    "CREATE TABLE t AS EXECUTE a": "prepared",
    "SELECT * FROM pg_prepared_statements": "prepared",
    "DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT 1": "cursor",
    "CREATE TEMP TABLE t (a int)": "temporary",
    "CREATE OR REPLACE TEMPORARY VIEW v AS SELECT 1": "temporary",
    'CREATE TEMP TABLE t AS SELECT 1 AS "on", 2 AS "commit", 3 AS "drop"': "temporary",
    "SELECT 1 INTO LOCAL TEMP t": "temporary",
    "CREATE TABLE pg_temp.t (a int)": "temporary",
    "INSERT INTO pg_temp_3.t VALUES (1)": "temporary",
    'CREATE FUNCTION "pg_temp".f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$': "temporary",
    "LOAD 'auto_explain'": "library",
    "DO $$ BEGIN END $$": "code",
    "CALL p()": "function",
    "SELECT lastval()": "sequence",
    "SELECT currval('q')": "sequence",
    "SELECT f(1)": "function",
    "SELECT (4711::bigint).f": "function",
    "SELECT x.pg_advisory_lock FROM (SELECT 1::bigint AS x) t": "lock",
    'SELECT x."setseed" FROM (SELECT 0.5 AS x) t': "setting",
    "SELECT public.lower('A')": "function",
    "SELECT * FROM t JOIN LATERAL f(t.a) ON f(t.b)": "function",
    "SELECT a FROM t WHERE b = any (SELECT g(1))": "function",
    "INSERT INTO t VALUES (f(1))": "function",
    "SELECT query_to_xml('SET x = 1', true, true, '')": "function",
    "SELECT dblink_connect('a', 'b')": "function",
    "SELECT U&\"set\\005fconfig\"('a', 'b', false)": "unknown",
    "SELCT 1": "unknown",
    "USE other": "unknown",
    "SELECT 'no end": "unknown",
    'SELECT "no end': "unknown",
    "SELECT /* no end": "unknown",
    "SELECT $a$ no end $b$": "unknown",
    "SELECT set_config('a', 'b', true": "unknown",
}


@pytest.mark.parametrize("text", CAUSED)
def test_what_is_left_is_told_with_its_cause(text: str):
    found = remains(text.encode())
    assert found is not None
    assert found.cause == CAUSED[text]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("DEALLOCATE a", b"a"),
        ("deallocate PREPARE Ab ;", b"ab"),
        ('DEALLOCATE "A""b"', b'A"b'),
        ("DEALLOCATE prepare", b"prepare"),
        ("DEALLOCATE ALL", None),
        ("DEALLOCATE a; SELECT 1", None),
        ("DISCARD ALL", None),
    ],
)
def test_what_removes_statements_is_told_with_the_one_it_names(text: str, name: bytes | None):
    assert remains(text.encode()) == Remainder("", is_deallocating=True, deallocates=name)


@given(st.lists(st.sampled_from(NOTHING[3:]), max_size=3), st.sampled_from(sorted(CAUSED)))
def test_nothing_in_front_of_it_hides_a_statement(before: list[str], text: str):
    found = remains(";".join([*before, text]).encode())
    assert found is not None
    assert found.cause in CAUSES


@given(st.binary(max_size=60))
def test_every_text_has_an_end(text: bytes):
    found = remains(text)
    assert found is None or found.cause in ("", *CAUSES)
