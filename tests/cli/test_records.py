from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.commands.records import describe_record

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["metadata", "unmapped", "actor", "user", "time", "query_info", "entity", "message", "status"]
)


def test_a_statement_is_one_line_with_who_where_what_and_how_it_ended():
    record = {
        "metadata": {"sequence": 7},
        "time": 1_700_000_000_123,
        "dst_endpoint": {"name": "orders"},
        "query_info": {"query_string": "SELECT 1\n  FROM t\x1b[2J"},
        "unmapped": {
            "workspace": "finance", "kind": "select", "outcome": "failed", "rows": 0,
            "duration_us": 1500,
        },
        "status_code": "42P01",
    }  # fmt: skip
    assert describe_record(record) == (
        "2023-11-14T22:13:20.123Z  #7  finance/orders  select  SELECT 1 FROM t\\x1b[2J"
        "  [failed, 42P01, 0 rows, 1.500 ms]"
    )


@given(st.dictionaries(NAMES, JSON))
def test_whatever_a_record_holds_is_one_printable_line(record: dict[str, object]):
    line = describe_record(record)
    assert line.isprintable()


def test_line_breaks_in_any_part_stay_in_the_line():
    assert "\n" not in describe_record({"message": "two\nlines", "status": "a\nb"})
