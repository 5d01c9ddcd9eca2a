from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.mysql.bound import count_limit, values_in
from protocols.values import VALUE_COST, VALUE_LIMIT, BoundValue, BoundValues

LIMIT = 16 * 1024
TINY, SHORT, LONG, FLOAT, DOUBLE, NULL, TIMESTAMP, LONGLONG, INT24 = range(1, 10)
DATE, TIME, DATETIME, YEAR, VARCHAR, BIT = 10, 11, 12, 13, 15, 16
NEWDECIMAL, BLOB, VAR_STRING, GEOMETRY = 246, 252, 253, 255
UNSIGNED = 0x80


@dataclass(frozen=True)
class Bound:
    """A value as a driver binds it; ``data`` None: NULL."""

    kind: int
    data: bytes | None = None
    flags: int = 0
    is_long: bool = False


def lenenc(data: bytes) -> bytes:
    size = len(data)
    if size < 0xFB:
        return bytes((size,)) + data
    if size < 1 << 16:
        return b"\xfc" + size.to_bytes(2, "little") + data
    return b"\xfd" + size.to_bytes(3, "little") + data


def body(values: list[Bound], *, has_types: bool = True) -> bytes:
    """From the bitmap of NULLs on."""
    nulls = 0
    for number, value in enumerate(values):
        if value.data is None and not value.is_long:
            nulls |= 1 << number
    stream = nulls.to_bytes((len(values) + 7) // 8, "little") + bytes((has_types,))
    if has_types:
        stream += b"".join(bytes((value.kind, value.flags)) for value in values)
    return stream + b"".join(value.data or b"" for value in values if not value.is_long)


def read(
    stream: bytes, count: int, *, types: bytes = b"", long: int = 0, limit: int = LIMIT
) -> BoundValues:
    return values_in(stream, 0, len(stream), count, types, long, limit)[0]


def shown(*values: Bound) -> list[bytes | None]:
    found = read(body(list(values)), len(values))
    assert found.count == len(values)
    return [each.data for each in found.shown]


def moment(*parts: int) -> bytes:
    packed = struct.pack("<HBBBBBI", *parts, *[0] * (7 - len(parts)))
    return packed[: {0: 0, 3: 4, 6: 7, 7: 11}[len(parts)]]


def told(data: bytes) -> bytes:
    """With its length before it."""
    return bytes((len(data),)) + data


@pytest.mark.parametrize(("kind", "size"), [(TINY, 1), (SHORT, 2), (LONG, 4), (LONGLONG, 8)])
def test_integers_are_told_as_numbers(kind: int, size: int):
    most = b"\xff" * size
    assert shown(Bound(kind, most), Bound(kind, most, UNSIGNED)) == [
        b"-1",
        b"%d" % (256**size - 1),
    ]


@given(st.floats(width=64))
def test_a_double_is_told_as_it_is(value: float):
    (text,) = shown(Bound(DOUBLE, struct.pack("<d", value)))
    assert text is not None
    assert struct.pack("<d", float(text)) == struct.pack("<d", value) or value != value


@given(st.floats(width=32))
def test_a_float_is_told_as_shortly_as_it_can_be(value: float):
    (text,) = shown(Bound(FLOAT, struct.pack("<f", value)))
    assert text is not None
    assert struct.pack("<f", float(text)) == struct.pack("<f", value) or value != value
    assert len(text) < 16


def test_a_float_has_no_more_digits_than_it_needs():
    values = (0.1, 1.5, -2.0, 16777216.0, 3.4028234663852886e38)
    assert shown(*(Bound(FLOAT, struct.pack("<f", value)) for value in values)) == [
        b"0.1",
        b"1.5",
        b"-2",
        b"16777216",
        b"3.4028235e+38",
    ]


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        (DATE, moment(2026, 1, 2), b"2026-01-02"),
        (DATE, moment(), b"0000-00-00"),
        (DATETIME, moment(), b"0000-00-00 00:00:00"),
        (DATETIME, moment(2026, 1, 2), b"2026-01-02 00:00:00"),
        (DATETIME, moment(2026, 1, 2, 3, 4, 5), b"2026-01-02 03:04:05"),
        (TIMESTAMP, moment(2026, 12, 31, 23, 59, 59, 7), b"2026-12-31 23:59:59.000007"),
        (TIME, b"", b"00:00:00"),
        (TIME, struct.pack("<BIBBB", 0, 0, 1, 2, 3), b"01:02:03"),
        (TIME, struct.pack("<BIBBB", 1, 34, 22, 59, 59), b"-838:59:59"),
        (TIME, struct.pack("<BIBBBI", 0, 1, 0, 0, 0, 250_000), b"24:00:00.250000"),
    ],
)
def test_times_are_told_as_sql_would_write_them(kind: int, data: bytes, text: bytes):
    assert shown(Bound(kind, told(data)), Bound(TINY, b"\7")) == [text, b"7"]


def test_text_is_text_and_bytes_are_bytes():
    values = [
        Bound(VAR_STRING, lenenc("é".encode())),
        Bound(NEWDECIMAL, lenenc(b"1.50")),
        Bound(BLOB, lenenc(b"\0\xff")),
    ]
    found = read(body(values), 3)
    assert found.shown == (
        BoundValue("é".encode(), 2, False, VAR_STRING),
        BoundValue(b"1.50", 4, False, NEWDECIMAL),
        BoundValue(b"\0\xff", 2, True, BLOB),
    )


def test_nulls_have_no_bytes():
    values = [Bound(LONG)] * 9 + [Bound(TINY, b"\1"), Bound(VARCHAR), Bound(NULL, b"")]
    assert shown(*values) == [None] * 9 + [b"1", None, None]


def test_what_was_sent_separately_has_no_bytes_here():
    values = [Bound(BLOB, is_long=True), Bound(TINY, b"\1"), Bound(VAR_STRING, is_long=True)]
    found = read(body(values), 3, long=0b101)
    assert [each.is_separate for each in found.shown] == [True, False, True]
    assert [each.data for each in found.shown] == [None, b"1", None]


def test_types_of_the_last_execution_hold_until_others_come():
    first = body([Bound(TINY, b"\1"), Bound(VAR_STRING, b"\1a")])
    found, types = values_in(first, 0, len(first), 2, b"", 0, LIMIT)
    again = body([Bound(TINY, b"\2"), Bound(VAR_STRING, b"\1b")], has_types=False)
    found, kept = values_in(again, 0, len(again), 2, types, 0, LIMIT)
    assert ([each.data for each in found.shown], kept) == ([b"2", b"b"], types)
    other = body([Bound(LONG, b"\3\0\0\0"), Bound(VAR_STRING, b"\1c")])
    found, kept = values_in(other, 0, len(other), 2, types, 0, LIMIT)
    assert ([each.data for each in found.shown], kept[0]) == ([b"3", b"c"], LONG)
    # Without any nothing is known, which is told.
    found, kept = values_in(again, 0, len(again), 2, b"", 0, LIMIT)
    assert (found, kept) == (BoundValues((), 2), b"")


def test_a_long_value_is_cut_and_its_length_told():
    found = read(body([Bound(BLOB, lenenc(b"x" * 70_000)), Bound(TINY, b"\1")]), 2)
    assert found.shown[0] == BoundValue(b"x" * VALUE_LIMIT, 70_000, True, BLOB)
    assert found.shown[1].data == b"1"


def test_what_is_not_here_shows_no_value():
    stream = body([Bound(VAR_STRING, lenenc(b"x" * 5000)), Bound(TINY, b"\1")])
    found, _ = values_in(stream, 0, 100, 2, b"", 0, LIMIT)
    assert [(len(each.data or b""), each.length) for each in found.shown] == [(91, 5000)]
    for stop in range(5):
        found, _ = values_in(stream, 0, stop, 2, b"", 0, LIMIT)
        assert found == BoundValues((), 2)


def test_all_together_are_bounded_and_counted():
    values = [Bound(VAR_STRING, lenenc(b"x" * 100))] * 1000
    found, types = values_in(stream := body(values), 0, len(stream), 1000, b"", 0, LIMIT)
    assert (len(found.shown), found.count) == (LIMIT // (100 + VALUE_COST), 1000)
    assert found.cost <= LIMIT + VALUE_COST
    # No more types are kept than values can be shown.
    assert len(types) == 2 * count_limit(LIMIT)
    nulls = read(body([Bound(NULL)] * 65_535), 65_535)
    assert (len(nulls.shown), nulls.count) == (count_limit(LIMIT), 65_535)


@pytest.mark.parametrize(
    "value",
    [
        Bound(INT24, bytes(4)),
        Bound(YEAR, bytes(2)),
        Bound(BIT, lenenc(b"\5")),
        Bound(GEOMETRY, lenenc(b"\5")),
        Bound(243, b"\0"),
        Bound(17, b"\0"),
        Bound(DATETIME, told(bytes(5))),
        Bound(TIME, told(bytes(4))),
        Bound(BLOB, b"\xfb"),
        Bound(BLOB, b"\xff\0"),
        Bound(BLOB, b"\xfe\0"),
        Bound(LONGLONG, b"\0\0"),
    ],
)
def test_behind_what_cannot_be_read_nothing_is_shown(value: Bound):
    stream = body([Bound(TINY, b"\1"), value])
    assert [each.data for each in read(stream, 2).shown] == [b"1"]


# --- as drivers encode them ---------------------------------------------------------------

INTEGERS = st.integers(-(2**63), 2**63 - 1).map(
    lambda n: (Bound(LONGLONG, n.to_bytes(8, "little", signed=True)), str(n).encode())
)
TEXTS = st.binary(max_size=300).map(lambda text: (Bound(VAR_STRING, lenenc(text)), text))
BLOBS = st.binary(max_size=300).map(lambda text: (Bound(BLOB, lenenc(text)), text))
NULLS = st.sampled_from([TINY, BLOB, DATETIME]).map(lambda kind: (Bound(kind), None))
MOMENTS = st.datetimes().map(
    lambda at: (
        Bound(DATETIME, told(moment(*at.timetuple()[:6], at.microsecond))),
        at.isoformat(" ", "microseconds").encode(),
    )
)


@given(st.lists(st.one_of(INTEGERS, TEXTS, BLOBS, NULLS, MOMENTS), max_size=30))
def test_what_was_bound_is_what_is_told(values: list[tuple[Bound, bytes | None]]):
    stream = body([bound for bound, _ in values])
    found = read(stream, len(values), limit=1 << 20)
    assert [each.data for each in found.shown] == [text for _, text in values]


@given(
    st.binary(max_size=300),
    st.integers(0, 70),
    st.binary(max_size=20),
    st.integers(0, 1 << 20),
    st.integers(0, 2000),
)
def test_no_bytes_raise_and_no_bound_is_passed(
    data: bytes, count: int, types: bytes, long: int, limit: int
):
    found, kept = values_in(data, 0, len(data), count, types, long, limit)
    assert found.cost <= limit + VALUE_COST
    assert found.count == count
    assert len(found.shown) <= count
    assert len(kept) <= max(len(types), 2 * count_limit(limit))


@given(st.lists(st.one_of(INTEGERS, TEXTS, MOMENTS), min_size=1, max_size=10))
def test_cut_anywhere_it_is_a_beginning_of_the_same(values: list[tuple[Bound, bytes]]):
    stream = body([bound for bound, _ in values])
    texts = [text for _, text in values]
    for stop in range(len(stream)):
        found, _ = values_in(stream, 0, stop, len(values), b"", 0, 1 << 20)
        for each, text in zip(found.shown, texts, strict=False):
            assert text.startswith(each.data or b"")
            assert each.length == len(text)
