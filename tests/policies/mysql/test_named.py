from __future__ import annotations

import pytest

from policies.decide import decide
from policies.document import Policy, policy_from
from policies.facts import Feature
from policies.mysql import MySqlClassifier

CLASSIFIER = MySqlClassifier()
NAMED = [
    ("LOCK TABLES customers READ, shop.orders AS o WRITE", "locks"),
    ("lock table customers low_priority write, orders read local", "locks"),
    ("UNLOCK TABLES", "locks"),
    ("ANALYZE TABLE customers", "maintenance"),
    ("OPTIMIZE LOCAL TABLE customers, `orders`", "maintenance"),
    ("CHECK TABLE customers EXTENDED", "maintenance"),
    ("CHECKSUM TABLE customers", "maintenance"),
    ("REPAIR TABLE customers QUICK", "maintenance"),
    ("TRUNCATE customers", "ddl"),
    ("TRUNCATE TABLE `shop`.`customers`", "ddl"),
    ("DROP TABLE IF EXISTS customers, orders CASCADE", "ddl"),
    ("DROP VIEW v", "ddl"),
    ("DROP DATABASE IF EXISTS shop", "ddl"),
    ("DROP INDEX i ON customers", "ddl"),
    ("DROP SEQUENCE shop.s", "ddl"),
    ("DROP TEMPORARY TABLE customers", "temporary"),
    ("PREPARE s FROM 'SELECT 1'", "prepared"),
    ("PREPARE s FROM \"UPDATE customers SET name = 'x' WHERE id = ?\"", "prepared"),
    ("PREPARE s FROM 'DELETE FROM customers WHERE name = ''x'' AND 1'", "prepared"),
    ("EXECUTE IMMEDIATE 'DELETE FROM customers'", "prepared"),
    ("EXECUTE s", "prepared"),
    ("EXECUTE s USING @a, @b", "prepared"),
    ("DEALLOCATE PREPARE s", "prepared"),
    ("DROP PREPARE s", "prepared"),
    ("CALL p()", "procedures"),
    ("CALL p", "procedures"),
    ("CALL p(1, -2.5, 'x', NULL, ?)", "procedures"),
    ("LOAD DATA LOCAL INFILE 'f' INTO TABLE customers", "load_data_local"),
    (
        "LOAD DATA LOW_PRIORITY LOCAL INFILE 'f' REPLACE INTO TABLE shop.customers CHARACTER SET"
        " utf8mb4 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '\\\\'"
        " LINES TERMINATED BY '\\n' IGNORE 1 LINES (id, name)",
        "load_data_local",
    ),
]


def policy(*features: str, access: str = "read-write", **rules: object) -> Policy:
    return policy_from({"version": 1, "access": access, "features": list(features), **rules})


def rule(found: Policy, sql: str) -> str:
    return decide(found, CLASSIFIER.classify(sql.encode()), "shop").rule


@pytest.mark.parametrize(("sql", "feature"), NAMED)
def test_it_is_allowed_by_its_name_and_not_without(sql: str, feature: str) -> None:
    functions = {"allow": ["p"]}
    assert rule(policy(feature, functions=functions), sql) == ""
    assert rule(policy(functions=functions), sql) == f"features.{feature}"


@pytest.mark.parametrize(("sql", "feature"), NAMED)
def test_read_only_allows_none_that_changes_anything_whatever_is_named(
    sql: str, feature: str
) -> None:
    if feature == "prepared" and "customers" not in sql:
        return
    everything = policy(*Feature, access="read-only", functions={"allow": ["p"]})
    assert rule(everything, sql) == "access"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("TRUNCATE orders", "tables.write"),
        ("DROP TABLE customers, orders", "tables.write"),
        ("LOCK TABLES customers WRITE, orders WRITE", "tables.write"),
        ("LOCK TABLES other.customers READ", "tables.read"),
        ("OPTIMIZE TABLE orders", "tables.write"),
        ("LOAD DATA LOCAL INFILE 'f' INTO TABLE other.customers", "tables.write"),
        ("CALL q()", "functions.allow"),
        ("CALL other.p()", "functions.allow"),
    ],
)
def test_what_it_names_is_judged(sql: str, expected: str) -> None:
    tables = {"read": ["shop.*"], "write": ["shop.customers"]}
    assert rule(policy(*Feature, tables=tables, functions={"allow": ["p"]}), sql) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "LOCK TABLES",
        "LOCK TABLES customers",
        "LOCK TABLES customers WRITE CONCURRENT",
        "LOCK INSTANCE FOR BACKUP",
        "DROP TABLE",
        "DROP TABLE a b",
        "DROP TEMPORARY VIEW customers",
        "DROP PROCEDURE p",
        "DROP USER eve",
        "PREPARE s FROM @a",
        "PREPARE s FROM CONCAT('DELETE FROM ', 'customers')",
        "PREPARE s FROM 'DELETE FROM ' 'customers'",
        r"PREPARE s FROM 'DELETE FROM customers WHERE name = \'x\''",
        "PREPARE s FROM 'SELECT 1; DELETE FROM customers'",
        "PREPARE s FROM ''",
        "PREPARE s FROM 'SET sql_mode = ANSI_QUOTES'",
        "PREPARE s FROM 'PREPARE t FROM ''SELECT 1'' '",
        "PREPARE s FROM 'SELECT 1 /*!50000 INTO OUTFILE ''/tmp/x'' */'",
        "EXECUTE IMMEDIATE @a",
        "EXECUTE IMMEDIATE CONCAT('a', 'b')",
        "EXECUTE s USING 1",
        "TRUNCATE customers, orders",
        "ANALYZE SELECT 1",
        "ANALYZE TABLE customers PERSISTENT FOR ALL",
        "REPAIR TABLE customers USE_FRM",
        "CALL p((SELECT 1))",
        "CALL p(SLEEP(1))",
        "CALL p(@a)",
        "CALL p(1",
        "CALL p() INTO OUTFILE 'x'",
        "LOAD DATA INFILE 'f' INTO TABLE customers",
        "LOAD DATA LOCAL INFILE 'f' INTO TABLE customers SET name = SLEEP(1)",
        "LOAD DATA LOCAL INFILE 'f' INTO TABLE customers (@a) SET name = @a",
        "LOAD DATA LOCAL INFILE 'f' INTO TABLE customers PARTITION (p)",
        "LOAD XML LOCAL INFILE 'f' INTO TABLE customers",
    ],
)
def test_any_other_form_is_not_understood(sql: str) -> None:
    assert CLASSIFIER.classify(sql.encode()).problem


def test_a_prepared_text_is_judged_by_what_it_does() -> None:
    tables = {"read": ["shop.*"], "write": ["shop.customers"]}
    found = policy("prepared", tables=tables)
    for inner, expected in (
        ("DELETE FROM customers", ""),
        ("DELETE FROM orders", "tables.write"),
        ("SELECT * FROM other.t", "tables.read"),
        ("SELECT SLEEP(9)", "functions.allow"),
        ("SELECT 1 INTO @a", "access"),
        ("SELECT authentication_string FROM mysql.user", "access"),
    ):
        assert rule(found, f"PREPARE s FROM '{inner}'") == expected, inner
    assert rule(policy("prepared", access="read-only"), "PREPARE s FROM 'SELECT 1'") == ""
    denied = policy("prepared", statements={"deny": ["delete"]})
    assert rule(denied, "PREPARE s FROM 'DELETE FROM customers'") == "statements.deny"


def test_several_statements_in_one_text_are_allowed_by_name() -> None:
    text = "INSERT INTO customers (name) VALUES ('x'); DELETE FROM customers"
    assert rule(policy(), text) == "features.multi_statements"
    assert rule(policy("multi_statements"), text) == ""
    assert rule(policy("multi_statements"), f"{text}; DROP TABLE customers") == "features.ddl"
