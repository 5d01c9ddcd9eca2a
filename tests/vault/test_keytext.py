from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.keytext import KEK_LIMIT, KEY_ID_LENGTH, decode, encode, key_id_of
from vault.record import is_key_id
from vault.secret import Secret

SEED = Secret(bytes(range(32)))
KEKS = [Secret(bytes([number]) * 32) for number in range(KEK_LIMIT + 1)]


def with_check(lines: list[bytes]) -> Secret:
    body = b"\n".join(lines) + b"\n"
    return Secret(body + b"check " + hashlib.sha256(body).hexdigest().encode() + b"\n")


@pytest.mark.parametrize("count", [1, 2, KEK_LIMIT])
def test_what_was_written_is_read_in_its_order(count: int):
    decoded = decode(encode(SEED, KEKS[:count]))
    assert decoded is not None
    seed, keks = decoded
    assert seed == SEED
    assert list(keks) == [key_id_of(kek) for kek in KEKS[:count]]
    assert list(keks.values()) == KEKS[:count]


def test_more_keys_than_the_limit_are_refused():
    assert decode(encode(SEED, KEKS)) is None


def test_a_file_without_a_key_is_refused():
    assert decode(encode(SEED, [])) is None


def test_a_key_twice_is_refused():
    assert decode(encode(SEED, [KEKS[0], KEKS[0]])) is None


def test_an_id_over_another_key_is_refused_though_the_check_fits():
    lines = encode(SEED, KEKS[:2]).reveal().split(b"\n")[:-2]
    assert decode(with_check(lines)) is not None
    first, second = lines[2].split(b" "), lines[3].split(b" ")
    lines[2] = b" ".join([b"kek", second[1], first[2]])
    assert decode(with_check(lines)) is None


@pytest.mark.parametrize("line", [b"", b"# note", b"kek", b"seed " + b"0" * 64, b"kek x y"])
def test_any_other_line_is_refused_though_the_check_fits(line: bytes):
    lines = encode(SEED, KEKS[:1]).reveal().split(b"\n")[:-2]
    for at in range(len(lines) + 1):
        assert decode(with_check([*lines[:at], line, *lines[at:]])) is None


@given(st.binary(max_size=400))
def test_any_other_bytes_are_refused(data: bytes):
    assert decode(Secret(data)) is None


def test_a_key_id_is_one_and_of_its_length():
    assert len(key_id_of(KEKS[0])) == KEY_ID_LENGTH
    assert is_key_id(key_id_of(KEKS[0]).encode())
    assert KEKS[0].reveal().hex()[:8] not in key_id_of(KEKS[0])
