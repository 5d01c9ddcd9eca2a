from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.audit.read import Filters, search
from proxy.audit.tables import LONGEST_READ, Table
from tests.audit.rig import context, opened, run_statement, statement


def told(text: str, engine: str = "postgresql", **extra: Any) -> dict[str, Any]:
    return {
        "query_info": {"query_string": text},
        "database": {"type": engine},
        "unmapped": {"text_length": len(text.encode())} | extra,
    }


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM orders",
        "SELECT * FROM public.ORDERS",
        "INSERT INTO a SELECT * FROM (SELECT 1 FROM orders) x",
        "UPDATE orders SET a = 1",
        "DROP TABLE a, orders",
        "TRUNCATE orders",
        "COPY orders TO STDOUT",
        "WITH x AS (DELETE FROM orders RETURNING *) SELECT * FROM x",
        'SELECT 1 FROM U&"\\006frders"',
        "PREPARE p AS SELECT * FROM orders",
        # Not read to their ends: then the name is enough.
        "GRANT SELECT ON orders TO x",
        "DO $$ BEGIN DELETE FROM orders; END $$",
        "SELECT * FROM a; DO $$ BEGIN DELETE FROM orders; END $$",
        "SELECT query_to_xml('select * from orders', true, true, '') FROM a",
        "SELECT my_own('orders') FROM a",
        "this is no SQL about orders",
    ],
)
def test_a_statement_about_a_table_is_found(text: str):
    assert Table.parse("orders").is_in(told(text))
    assert Table.parse("Public.Orders").is_in(told(text))
    assert not Table.parse("customers").is_in(told(text))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'orders' FROM a",
        "SELECT orders FROM a",
        "SELECT * FROM a /* not orders */",
        "SELECT * FROM orders_old",
        "UPDATE a SET note = 'DELETE FROM orders'",
    ],
)
def test_a_word_that_names_no_table_is_not(text: str):
    assert not Table.parse("orders").is_in(told(text))


def test_a_schema_tells_tables_of_one_name_apart():
    assert not Table.parse("sales.orders").is_in(told("SELECT * FROM public.orders"))
    assert Table.parse("sales.orders").is_in(told("SELECT * FROM sales.orders"))
    # Where names without one are looked up, the record does not say.
    assert Table.parse("sales.orders").is_in(told("SELECT * FROM orders"))


def test_mysqls_statements_are_read_as_mysqls():
    assert Table.parse("shop.orders").is_in(told("SELECT * FROM `Shop`.`Orders`", "mysql"))
    assert not Table.parse("orders").is_in(told("SELECT 'a' AS `orders` FROM t", "mysql"))


def test_what_is_not_read_is_found_by_the_word():
    long = told("SELECT 'orders' FROM a WHERE b = '" + "x" * LONGEST_READ + "'")
    cut = told("SELECT * FROM orders WHERE a = 'x", text_length=100_000)
    other = told("SELECT * FROM orders", "oracle")
    for record in (long, cut, other):
        assert Table.parse("orders").is_in(record)
        assert not Table.parse("order").is_in(record)


@pytest.mark.parametrize("record", [{}, {"query_info": 1}, told(""), {"query_info": {}}])
def test_a_record_that_is_no_statement_is_not_found(record: dict[str, Any]):
    assert not Table.parse("orders").is_in(record)


@pytest.mark.parametrize("changed", [{"unmapped": 1}, {"database": None}, {"unmapped": {}}])
def test_a_record_that_was_changed_is_found_by_the_word(changed: dict[str, Any]):
    assert Table.parse("orders").is_in(told("SELECT * FROM orders") | changed)


async def test_a_search_finds_by_table(tmp_path: Path):
    async with opened(tmp_path) as log:
        recorder = log.recorder(context())
        for text in (b"SELECT * FROM orders", b"SELECT 'orders' FROM a", b"DROP TABLE a"):
            run_statement(recorder, text)
        cut = statement(b"DELETE FROM orders WHERE")
        cut.text_length = 70_000
        recorder.begin(cut)
        recorder.end(cut)
        recorder.close("client_left", duration=1.0)
    found = [r["query_info"]["query_string"] for r in search(tmp_path, Filters(table="orders"))]
    assert found == ["SELECT * FROM orders", "DELETE FROM orders WHERE"]
