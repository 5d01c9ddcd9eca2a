from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PeerViolation
from protocols.mysql.encoding import Reader, lenenc_bytes, lenenc_int


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (0xFA, "fa"),
        (0xFB, "fcfb00"),
        (0xFFFF, "fcffff"),
        (0x10000, "fd000001"),
        (0xFFFFFF, "fdffffff"),
        (0x1000000, "fe0000000100000000"),
        (2**64 - 1, "feffffffffffffffff"),
    ],
)
def test_integers_take_their_shortest_form(value: int, encoded: str):
    assert lenenc_int(value).hex() == encoded
    assert Reader(bytes.fromhex(encoded)).lenenc_int() == value


def test_more_than_64_bits_is_no_integer():
    with pytest.raises(ValueError, match="64 bits"):
        lenenc_int(2**64)


@given(st.lists(st.binary(max_size=300)))
def test_strings_come_back(strings: list[bytes]):
    reader = Reader(b"".join(lenenc_bytes(one) for one in strings))
    assert [reader.lenenc_bytes() for _ in strings] == strings
    assert reader.remaining == 0


@pytest.mark.parametrize("head", [0xFB, 0xFF])
def test_null_and_error_are_no_integers(head: int):
    with pytest.raises(PeerViolation, match="first byte"):
        Reader(bytes((head,)) + bytes(8)).lenenc_int()


@pytest.mark.parametrize("data", ["fe" + "ff" * 8, "fdffffff00", "05aabb", "fc"])
def test_a_length_is_not_believed(data: str):
    with pytest.raises(PeerViolation, match="middle of a field"):
        Reader(bytes.fromhex(data)).lenenc_bytes()


def test_a_string_needs_its_terminator():
    with pytest.raises(PeerViolation, match="terminator"):
        Reader(b"abc").terminated()
