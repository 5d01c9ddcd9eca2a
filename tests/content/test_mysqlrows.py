from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysql.constants import FIELD_TYPE
from pymysql.err import MySQLError

from proxy.content.csvtext import CsvReader, written
from proxy.content.mysqlbinary import encoded, encoded_texts
from proxy.content.mysqlrows import BrokenRows, LineWriter, RowReader, values

EOF = b"\xfe\0\0\2\0"
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=300)


@dataclass
class Field:
    type_code: int = FIELD_TYPE.VAR_STRING
    charsetnr: int = 45
    flags: int = 0


def length(size: int) -> bytes:
    if size < 251:
        return bytes([size])
    return (
        b"\xfc" + struct.pack("<H", size) if size < 65_536 else b"\xfd" + size.to_bytes(3, "little")
    )


def row(*fields: bytes | None) -> bytes:
    return b"".join(b"\xfb" if one is None else length(len(one)) + one for one in fields)


def packets(*payloads: bytes, number: int = 3) -> bytes:
    return b"".join(
        len(payload).to_bytes(3, "little") + bytes([(number + n) % 256]) + payload
        for n, payload in enumerate(payloads)
    )


def read(data: bytes, size: int, number: int = 3) -> tuple[list[bytes], bool]:
    reader = RowReader(number)
    found: list[bytes] = []
    for at in range(0, len(data), size):
        found += reader.feed(data[at : at + size])
    return found, reader.has_ended


@given(st.lists(st.lists(st.none() | st.binary(max_size=400), min_size=2, max_size=2), max_size=5))
def test_rows_are_the_same_however_they_are_cut(rows: list[list[bytes | None]]):
    data = packets(*(row(*one) for one in rows), EOF)
    for size in (1, 7, len(data)):
        found, has_ended = read(data, size)
        assert has_ended
        assert [values(one, 2) for one in found] == rows
    for at in range(len(data) - 1):
        assert not read(data[:at], max(at, 1))[1]


def test_numbers_go_round_and_a_row_goes_on_in_the_next_packet():
    large = b"x" * (0xFFFFFF - 4)
    first = b"\xfd" + (len(large)).to_bytes(3, "little") + large
    assert len(first) == 0xFFFFFF
    data = packets(first, b"\x01y", b"\x01a\x01b", EOF, number=254)
    found, has_ended = read(data, 1 << 20, number=254)
    assert has_ended
    assert values(found[0], 2) == [large, b"y"]
    assert values(found[1], 2) == [b"a", b"b"]


@pytest.mark.parametrize(
    "data",
    [
        packets(b"\x01a", number=9),
        packets(EOF, EOF),
        packets(EOF, b"\x01a"),
    ],
)
def test_packets_out_of_order_are_refused(data: bytes):
    with pytest.raises(BrokenRows):
        read(data, len(data))


def test_the_servers_error_is_told():
    data = packets(row(b"1"), b"\xff" + struct.pack("<H", 1317) + b"#70100Query was interrupted")
    with pytest.raises(MySQLError, match="interrupted"):
        read(data, 5)


@pytest.mark.parametrize("broken", [b"\x05ab", b"\xfc\x05", b"\x01a\x01b", b"", b"\xffab"])
def test_a_row_of_another_shape_is_refused(broken: bytes):
    with pytest.raises(BrokenRows):
        values(broken, 1)


@given(st.lists(st.none() | TEXT, min_size=1, max_size=4), st.booleans())
def test_texts_are_read_as_they_would_be_when_written_one_by_one(
    texts: list[str | None], neutralise: bool
):
    writer = LineWriter([Field()] * len(texts), neutralise=neutralise)
    line = writer.line(row(*(None if one is None else one.encode() for one in texts)))
    one_by_one = written(texts, neutralise=neutralise)
    # Both quote what must be; white space of Unicode's at an edge needs none.
    assert list(CsvReader().feed(line)) == list(CsvReader().feed(one_by_one))
    assert line.count(b"\n") == one_by_one.count(b"\n")


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        (Field(FIELD_TYPE.LONG), b"-5", b"-5"),
        (Field(FIELD_TYPE.LONG, flags=64), b"0042", b"42"),
        (Field(FIELD_TYPE.LONG, flags=64), b"0000", b"0"),
        (Field(FIELD_TYPE.DOUBLE, flags=64), b"001.5", b"001.5"),
        (Field(FIELD_TYPE.BIT, charsetnr=63), b"\x01\x02", b"258"),
        (Field(FIELD_TYPE.BLOB, charsetnr=63), b"\0\xff,", b"\\x00ff2c"),
        (Field(FIELD_TYPE.JSON, charsetnr=63), b'{"a": 1}', b'"{""a"": 1}"'),
        (Field(FIELD_TYPE.DATETIME), b"2026-05-04 12:30:00", b"2026-05-04 12:30:00"),
        (Field(), b"", b'""'),
        (Field(), b"\\.", b'"\\."'),
    ],
)
def test_a_value_is_written_by_its_type(field: Field, value: bytes, line: bytes):
    for neutralise in (False, True):
        assert LineWriter([field], neutralise=neutralise).line(row(value)) == line + b"\r\n"


@given(st.lists(st.none() | TEXT, min_size=1, max_size=20))
def test_texts_are_bound_as_other_values_are(texts: list[str | None]):
    bitmap = (len(texts) + 7) // 8
    one, other = encoded_texts(texts), encoded(texts)
    # But for the type of a NULL.
    types = slice(bitmap + 1, bitmap + 1 + 2 * len(texts))
    assert (one[: types.start], one[types.stop :]) == (other[: types.start], other[types.stop :])
    assert one[types] == struct.pack("<H", FIELD_TYPE.VAR_STRING) * len(texts)
