from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.content.problems import ContentRefused, Problem, pointer
from proxy.content.reading import MAX_BYTES, MAX_DEPTH, MAX_VALUES, read_json


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
def test_what_json_writes_is_read(value: object):
    assert read_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (" " * (MAX_BYTES + 1), "bytes"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "levels deep"),
        ('{"a":' * 100_00 + "1" + "}" * 100_00, "levels deep"),
        ("[" + ",".join("1" * (MAX_VALUES + 2)) + "]", "values"),
        ("1" * 41, "digits"),
        ('{"a": 1, "a": 2}', "'a' is given twice"),
        ("[NaN]", "NaN"),
        ("[-Infinity]", "Infinity"),
        ("{,}", "not JSON"),
        ("", "not JSON"),
        ("\ud800", "not UTF-8"),
    ],
)
def test_what_is_out_of_bounds_is_refused(text: str, says: str):
    with pytest.raises(ContentRefused, match=says):
        read_json(text)


def test_brackets_within_a_text_are_no_depth():
    assert read_json(json.dumps("[" * 100 + '"' + "," * 50_000)) is not None


def test_a_pointer_escapes_what_rfc_6901_escapes():
    assert pointer(("a/b", 0, "~c")) == "/a~1b/0/~0c"


def test_many_problems_are_named_in_part_and_kept_whole():
    refused = ContentRefused([Problem(f"/{number}", "is wrong") for number in range(8)])
    assert str(refused).endswith("/4: is wrong; and 3 more")
    assert len(refused.problems) == 8
