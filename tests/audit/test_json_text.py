import json
from enum import IntEnum, StrEnum
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.audit.json_text import MAXIMUM_STRING, dump

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_VALUES = st.recursive(
    _SCALARS.filter(lambda value: value not in (float("inf"), float("-inf"))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Number(IntEnum):
    SEVEN = 7


class Word(StrEnum):
    YES = "yes"


def _depth(value):
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


@given(_VALUES.filter(lambda value: _depth(value) <= 8))
def test_what_an_event_holds_is_written_as_json_writes_it(value):
    assert dump(value) == json.dumps(value, separators=(",", ":"))


def test_enums_tuples_and_other_mappings_are_written_as_what_they_hold():
    value = MappingProxyType({"a": Number.SEVEN, "b": (Word.YES, True), "c": range(2)})
    assert dump(value) == '{"a":7,"b":["yes",true],"c":[0,1]}'


def test_a_lone_surrogate_is_shown_and_a_long_string_is_cut():
    assert json.loads(dump("\ud800")) == "\\ud800"
    assert json.loads(dump({"\udfff": 1})) == {"\\udfff": 1}
    assert json.loads(dump("x" * (MAXIMUM_STRING + 1))) == "x" * MAXIMUM_STRING


@pytest.mark.parametrize("value", [b"bytes", object(), {1}, float("nan"), float("-inf")])
def test_what_is_not_json_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        dump({"value": [value]})


def test_what_nests_too_deep_is_refused():
    value: list[object] = []
    value.append(value)
    with pytest.raises(TypeError, match="list"):
        dump(value)
