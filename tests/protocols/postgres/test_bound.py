from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from protocols.postgres.bound import types_in, values_in
from protocols.values import VALUE_COST, VALUE_LIMIT, BoundValue

LIMIT = 16 * 1024


def body(values: list[bytes | None], codes: list[int]) -> bytes:
    stream = struct.pack(f"!H{len(codes)}H", len(codes), *codes) + struct.pack("!H", len(values))
    for value in values:
        stream += b"\xff" * 4 if value is None else struct.pack("!I", len(value)) + value
    return stream + b"\0\0"


def text(value: bytes | None, type_: int = 0) -> BoundValue:
    return BoundValue(value, len(value or b""), False, type_)


def test_without_format_codes_every_value_is_text():
    found = values_in(data := body([b"a", None, b""], []), 0, len(data), (), LIMIT)
    assert found is not None
    assert (found.shown, found.count) == ((text(b"a"), text(None), text(b"")), 3)


def test_one_format_code_stands_for_all_and_several_for_one_each():
    data = body([b"\0\1", b"b"], [1])
    found = values_in(data, 0, len(data), (21, 25), LIMIT)
    assert found is not None
    assert [(each.is_binary, each.type) for each in found.shown] == [(True, 21), (True, 25)]
    data = body([b"\0\1", b"b"], [1, 0])
    found = values_in(data, 0, len(data), (21,), LIMIT)
    assert found is not None
    assert [(each.is_binary, each.type) for each in found.shown] == [(True, 21), (False, 0)]


def test_a_long_value_is_cut_and_its_length_told():
    data = body([b"x" * (VALUE_LIMIT + 1), b"y"], [])
    found = values_in(data, 0, len(data), (), LIMIT)
    assert found is not None
    assert found.shown[0] == BoundValue(b"x" * VALUE_LIMIT, VALUE_LIMIT + 1, False, 0)
    assert found.shown[1] == text(b"y")


def test_all_together_are_bounded_and_counted():
    data = body([b"x" * 100] * 1000 + [None] * 9000, [])
    found = values_in(data, 0, len(data), (), LIMIT)
    assert found is not None
    assert found.count == 10_000
    assert len(found.shown) == LIMIT // (100 + VALUE_COST)
    assert found.cost <= LIMIT + VALUE_COST


def test_what_is_not_here_shows_no_value():
    data = body([b"x" * 5000, b"y"], [])
    found = values_in(data, 0, 100, (), LIMIT)
    assert found is not None
    assert (len(found.shown), found.count) == (1, 2)
    assert values_in(data, 0, 3, (), LIMIT) is None
    assert values_in(b"\xff\xff\0\1", 0, 4, (), LIMIT) is None


def test_types_are_those_that_are_here():
    data = b"?" + struct.pack("!HIII", 3, 23, 0, 25)
    assert types_in(data, 1, len(data)) == (23, 0, 25)
    assert types_in(data, 1, 8) == (23,)
    assert types_in(data, 1, 1) == types_in(b"", 0, 0) == ()


@given(st.lists(st.none() | st.binary(max_size=40), max_size=20), st.sampled_from([0, 1]))
def test_what_was_bound_is_what_is_told(values: list[bytes | None], code: int):
    data = body(values, [code] * len(values))
    found = values_in(data, 0, len(data), (), 1 << 20)
    assert found is not None
    assert [each.data for each in found.shown] == values
    assert all(each.is_binary == bool(code) for each in found.shown)


@given(st.binary(max_size=200), st.integers(0, 60))
def test_no_bytes_raise_and_no_bound_is_passed(data: bytes, limit: int):
    found = values_in(data, 0, len(data), (), limit)
    assert found is None or found.cost <= limit + VALUE_COST
