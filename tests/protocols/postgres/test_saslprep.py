from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.postgres.saslprep import saslprep


@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        # RFC 4013 section 3.
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        # Spaces that are not ASCII become one that is, U+200B (in both tables) included.
        ("a\u00a0b", "a b"),
        ("a\u200bb", "a b"),
        ("p\u00e4ssw\u00f6rd", "p\u00e4ssw\u00f6rd"),
        ("pa\u0308ss", "p\u00e4ss"),
        ("\u0627\u0628", "\u0627\u0628"),
    ],
)
def test_a_password_is_prepared(password: str, prepared: str):
    assert saslprep(password.encode()) == prepared.encode()


@pytest.mark.parametrize(
    "password",
    [
        "\u00e4\u0007".encode(),  # a control character
        "\u0627\u0031".encode(),  # right-to-left text that ends otherwise
        "\u0627a\u0628".encode(),  # mixed directions
        "\u00ad".encode(),  # nothing would be left
        "\U0001f600".encode(),  # unassigned in Unicode 3.2
        "\ue000".encode(),  # private use
        b"\xff\xfe",  # not UTF-8
        b"plain\x07ascii",  # plain ASCII is never looked at
    ],
)
def test_what_cannot_be_prepared_is_taken_raw_as_in_postgresql(password: bytes):
    assert saslprep(password) == password


@given(st.binary(max_size=40))
def test_any_password_is_prepared_to_something(password: bytes):
    prepared = saslprep(password)
    assert prepared or not password
