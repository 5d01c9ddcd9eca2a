from __future__ import annotations

import pytest

from policies.decide import decide
from policies.document import policy_from
from policies.facts import Feature, Name, StatementFacts
from policies.mysql import MySqlClassifier
from protocols.statements import Kind

CLASSIFIER = MySqlClassifier()

UNDERSTOOD = [
    "CREATE TABLE t (id INT)",
    "CREATE TABLE IF NOT EXISTS shop.t (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,"
    " name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',"
    " price DECIMAL(10, 2) DEFAULT -1.5, made DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6)"
    " ON UPDATE CURRENT_TIMESTAMP(6), kind ENUM('a', 'b') COMMENT 'x', note TEXT,"
    " customer_id INT REFERENCES customers (id) ON DELETE SET NULL ON UPDATE NO ACTION,"
    " CONSTRAINT c FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE,"
    " UNIQUE KEY u (name(20) ASC, kind DESC), KEY (made) USING BTREE, FULLTEXT INDEX f (note),"
    " CHECK (price >= 0 AND price < 100)) ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT CHARSET=utf8mb4"
    " COLLATE=utf8mb4_bin COMMENT='x' ROW_FORMAT=DYNAMIC",
    "CREATE TABLE t (a INT, b INT GENERATED ALWAYS AS (a + 1) STORED, c INT AS (ABS(a)) VIRTUAL,"
    " d CHAR(36) DEFAULT (UUID()))",
    "CREATE OR REPLACE TABLE t (a INT)",
    "CREATE TEMPORARY TABLE t (a INT) ENGINE MEMORY",
    "CREATE TABLE t LIKE shop.customers",
    "CREATE TABLE t AS SELECT id, name FROM customers WHERE id IN (1, 2)",
    "CREATE TABLE t (a INT) SELECT 1 AS a",
    "CREATE UNIQUE INDEX i ON customers (name(10), id DESC)",
    "CREATE INDEX i USING BTREE ON shop.customers (name)",
    "CREATE OR REPLACE VIEW v (a) AS SELECT id FROM customers",
    "CREATE DATABASE IF NOT EXISTS d CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "CREATE SEQUENCE s2",
    "ALTER TABLE customers ADD COLUMN x INT NOT NULL AFTER name, DROP COLUMN y, DROP INDEX i,"
    " ADD INDEX j (x), ADD CONSTRAINT c UNIQUE (x), DROP PRIMARY KEY, DROP FOREIGN KEY k",
    "ALTER TABLE customers ADD (x INT, y INT), MODIFY name TEXT FIRST, CHANGE a b BIGINT",
    "ALTER TABLE customers ALTER COLUMN x SET DEFAULT 5, ALTER y DROP DEFAULT",
    "ALTER TABLE customers RENAME COLUMN a TO b, RENAME INDEX i TO j, RENAME TO c",
    "ALTER TABLE customers ENGINE=InnoDB, ADD x INT, ALGORITHM=INPLACE, LOCK=NONE",
    "ALTER TABLE customers CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "ALTER TABLE customers DISABLE KEYS",
    "RENAME TABLE customers TO c, orders TO shop.o",
]
REFUSED = [
    "CREATE TABLE t (a INT) ENGINE=FEDERATED CONNECTION='mysql://u:p@h/d/t'",
    "CREATE TABLE t (a INT) ENGINE=CONNECT",
    "CREATE TABLE t (a INT) ENGINE=CSV",
    "CREATE TABLE t (a INT) ENGINE=SPIDER COMMENT='x'",
    "CREATE TABLE t (a INT) DATA DIRECTORY='/tmp'",
    "CREATE TABLE t (a INT) TABLESPACE x",
    "CREATE TABLE t (a INT) ENGINE=MERGE UNION=(customers)",
    "CREATE TABLE t (a INT) PARTITION BY HASH (a)",
    "CREATE TABLE t (a mytype)",
    "CREATE TABLE t (a INT DEFAULT NEXT VALUE FOR s)",
    "CREATE TABLE t (a INT, b INT AS ((SELECT 1 INTO @a)))",
    "CREATE TABLE t (a INT CHECK (a > 0) INTO)",
    "CREATE TABLE t SELECT * FROM customers FOR UPDATE",
    "CREATE TABLE t SELECT 1 INTO OUTFILE '/tmp/x'",
    "CREATE DEFINER=root@localhost VIEW v AS SELECT 1",
    "CREATE SQL SECURITY DEFINER VIEW v AS SELECT 1",
    "CREATE VIEW v AS DELETE FROM customers",
    "CREATE FUNCTION f() RETURNS INT RETURN 1",
    "CREATE FUNCTION sys_exec RETURNS INT SONAME 'x.so'",
    "CREATE PROCEDURE p() SELECT 1",
    "CREATE TRIGGER t BEFORE INSERT ON customers FOR EACH ROW SET NEW.name = 'x'",
    "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM customers",
    "CREATE USER eve",
    "CREATE ROLE r",
    "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'x')",
    "CREATE TEMPORARY VIEW v AS SELECT 1",
    "CREATE SEQUENCE s START WITH 5",
    "ALTER TABLE customers ENGINE=FEDERATED",
    "ALTER TABLE customers DISCARD TABLESPACE",
    "ALTER TABLE customers IMPORT TABLESPACE",
    "ALTER TABLE customers ADD PARTITION (PARTITION p VALUES IN (1))",
    "ALTER TABLE customers EXCHANGE PARTITION p WITH TABLE orders",
    "ALTER TABLE customers ORDER BY name",
    "ALTER TABLE customers UNION=(orders)",
    "ALTER USER root IDENTIFIED BY 'x'",
    "ALTER DATABASE shop CHARACTER SET latin1",
    "ALTER INSTANCE ROTATE INNODB MASTER KEY",
    "ALTER VIEW v AS SELECT 1",
    "RENAME USER a TO b",
]


def facts_of(sql: str) -> StatementFacts:
    (facts,) = CLASSIFIER.classify(sql.encode()).statements
    return facts


@pytest.mark.parametrize("sql", UNDERSTOOD)
def test_a_definition_that_is_understood_is_allowed_by_name_alone(sql: str) -> None:
    facts = CLASSIFIER.classify(sql.encode())
    assert facts.problem == ""
    named = policy_from({"version": 1, "access": "read-write", "features": ["ddl", "temporary"]})
    assert decide(named, facts, "shop").message == ""
    unnamed = policy_from({"version": 1, "access": "read-write"})
    assert decide(unnamed, facts, "shop").rule in ("features.ddl", "features.temporary")
    reading = policy_from({"version": 1, "features": list(Feature)})
    assert decide(reading, facts, "shop").rule == "access"


@pytest.mark.parametrize("sql", REFUSED)
def test_a_definition_with_anything_else_is_refused(sql: str) -> None:
    assert CLASSIFIER.classify(sql.encode()).problem


@pytest.mark.parametrize(
    ("sql", "writes", "reads"),
    [
        ("CREATE TABLE t LIKE other.c", {"t"}, {"other.c"}),
        ("CREATE TABLE s.t SELECT a FROM b, c.d", {"s.t"}, {"b", "c.d"}),
        ("CREATE TABLE t (a INT REFERENCES b (c))", {"t"}, {"b"}),
        ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES s.b (c)", {"t"}, {"s.b"}),
        ("ALTER TABLE t RENAME TO s.u", {"t", "s.u"}, {"t", "s.u"}),
        ("RENAME TABLE a TO b, c TO d", {"a", "b", "c", "d"}, {"a", "b", "c", "d"}),
        ("CREATE INDEX i ON t (a)", {"t"}, set()),
        ("DROP INDEX i ON s.t", {"s.t"}, set()),
        ("CREATE VIEW v AS SELECT a FROM b WHERE c IN (SELECT d FROM e)", {"v"}, {"b", "e"}),
        ("CREATE DATABASE d", {"d.*"}, set()),
        ("DROP DATABASE d", {"d.*"}, set()),
    ],
)
def test_what_it_names_is_found(sql: str, writes: set[str], reads: set[str]) -> None:
    facts = facts_of(sql)
    assert {str(name) for name in facts.writes} == writes
    assert {str(name) for name in facts.reads} == reads


def test_functions_and_columns_within_a_definition_are_found() -> None:
    for sql in (
        "CREATE TABLE t (a INT CHECK (f(a) > 0))",
        "CREATE TABLE t (a INT, b INT AS (f(a)))",
        "CREATE TABLE t (a INT DEFAULT (f(1)))",
        "ALTER TABLE t ADD CHECK (f(a))",
        "CREATE VIEW v AS SELECT f(a) FROM t",
        "CREATE TABLE u AS SELECT f(a) FROM t",
    ):
        facts = facts_of(sql)
        assert facts.functions == {Name("", "f")}, sql
        assert "a" in facts.columns, sql
    assert facts_of("CREATE VIEW v AS SELECT * FROM t").reads_whole_rows


def test_no_other_name_makes_a_denied_column_readable() -> None:
    found = policy_from(
        {
            "version": 1,
            "access": "read-write",
            "features": ["ddl"],
            "columns": {"deny": ["shop.users.password"]},
        }
    )
    for sql in (
        "ALTER TABLE users RENAME TO others",
        "RENAME TABLE users TO others",
        "ALTER TABLE users RENAME COLUMN password TO p",
        "ALTER TABLE users CHANGE password p TEXT",
        "CREATE VIEW v AS SELECT password FROM users",
        "ALTER TABLE users ADD COLUMN p TEXT AS (password)",
    ):
        assert decide(found, CLASSIFIER.classify(sql.encode()), "shop").rule == "columns.deny", sql
    for sql in ("ALTER TABLE users ADD COLUMN p TEXT", "ALTER TABLE orders RENAME TO o"):
        assert decide(found, CLASSIFIER.classify(sql.encode()), "shop").rule == "", sql


def test_a_system_database_is_not_defined() -> None:
    named = policy_from({"version": 1, "access": "read-write", "features": ["ddl"]})
    for sql in ("DROP TABLE mysql.user", "ALTER TABLE mysql.user ADD x INT", "DROP DATABASE mysql"):
        assert "is not allowed" in decide(named, CLASSIFIER.classify(sql.encode()), "shop").message


def test_the_kinds_are_told_apart() -> None:
    assert facts_of("CREATE TABLE t (a INT)").kind is Kind.CREATE
    assert facts_of("ALTER TABLE t ADD a INT").kind is Kind.ALTER
    assert facts_of("RENAME TABLE a TO b").kind is Kind.ALTER
