from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from proxy.content.values import Condition, Known, Reference, Unknown, plain

ROWS: tuple[list[dict[str, Any]], int] = ([{"id": 1, "note": "a"}, {"id": 2, "note": None}], 2)
KNOWN = Known(
    parameters={"a": 5, "none": None},
    steps={"read": ROWS},
    item={"id": 9},
    run={"id": "r1"},
)


def reference(**fields: Any) -> Reference:
    return Reference.model_validate(fields)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (7, 7),
        (None, None),
        (reference(parameter="a"), 5),
        (reference(item="id"), 9),
        (reference(run="id"), "r1"),
        (reference(step="read", column="note"), "a"),
        (reference(step="read", column="id", row=1), 2),
        (reference(step="read", column="id", row=5), None),
        (reference(step="read", count=True), 2),
        (reference(step="read", rows=True), ROWS[0]),
        (reference(step="left_out", count=True), 0),
        (reference(step="left_out", column="x"), None),
    ],
)
def test_a_reference_is_followed(value: Any, found: Any):
    assert KNOWN.value(value) == found


def test_what_is_not_there_is_said():
    with pytest.raises(Unknown, match="no column named 'zip'"):
        KNOWN.value(reference(step="read", column="zip"))
    with pytest.raises(Unknown, match="item belongs into a for-each"):
        Known().value(reference(item="id"))


@pytest.mark.parametrize(
    ("left", "op", "right", "holds"),
    [
        (1, "=", 1, True),
        (1, "=", 1.0, True),
        (1, "=", "1", False),
        (1, "!=", 2, True),
        (2, "<", 10, True),
        ("2", "<", "10", False),
        (None, "<", 1, False),
        (None, ">=", None, False),
        (None, "=", None, True),
        (1, "in", [1, 2], True),
        (3, "not in", [1, 2], True),
        (None, "is null", None, True),
        (0, "is not null", None, True),
    ],
)
def test_a_condition_compares(left: Any, op: str, right: Any, holds: bool):
    fields = {"left": left, "op": op} | ({} if op.startswith("is ") else {"right": right})
    assert KNOWN.holds(Condition.model_validate(fields)) is holds


@pytest.mark.parametrize(
    ("value", "op", "right"),
    [
        (Decimal("0.1"), "=", 0.1),
        (Decimal("10.50"), ">", 10.4),
        (date(2026, 5, 4), "=", "2026-05-04"),
        (datetime(2026, 5, 4, 12, tzinfo=UTC), "<", "2026-05-04T12:00:01+00:00"),
        (time(9, 30), ">=", "09:30"),
    ],
)
def test_a_databases_value_is_compared_with_what_json_can_write(value: Any, op: str, right: Any):
    known = Known(steps={"read": ([{"x": value}], 1)})
    left = {"step": "read", "column": "x"}
    assert known.holds(Condition.model_validate({"left": left, "op": op, "right": right}))


def test_conditions_are_joined():
    true, false = {"left": 1, "op": "=", "right": 1}, {"left": 1, "op": "=", "right": 2}
    for fields, holds in (
        ({"all": [true, false]}, False),
        ({"any": [false, true]}, True),
        ({"not": false}, True),
        ({"all": []}, True),
        ({"any": []}, False),
    ):
        assert KNOWN.holds(Condition.model_validate(fields)) is holds


def test_what_has_no_order_is_said():
    condition = Condition.model_validate({"left": 1, "op": "<", "right": "a"})
    with pytest.raises(Unknown, match="int and str have no order"):
        KNOWN.holds(condition)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (2**53, 2**53),
        (2**53 + 1, str(2**53 + 1)),
        (Decimal("1.50"), 1.5),
        (Decimal("NaN"), "NaN"),
        (float("inf"), "inf"),
        (b"\x00\xff", "00ff"),
        (datetime(2026, 5, 4, 12, tzinfo=UTC), "2026-05-04T12:00:00+00:00"),
        (timedelta(hours=30), "1 day, 6:00:00"),
        ([Decimal(1), None], [1.0, None]),
        ({"a": date(2026, 5, 4)}, {"a": "2026-05-04"}),
    ],
)
def test_a_databases_value_is_written_as_json_has_it(value: Any, written: Any):
    assert plain(value) == written
