"""A statement's kind by its first word, also in texts made to be read for ever."""

from __future__ import annotations

import pytest

from protocols.statements import Kind, kind_of_text

LIMIT = 64 * 1024


@pytest.mark.parametrize(
    "front", [b" ", b"\n(;", b"-- a\n", b"--", b"/* a */", b"/***/ /**//* * / */"]
)
def test_the_first_word_stands_behind_blanks_and_comments(front: bytes):
    expected = Kind.OTHER if front == b"--" else kind_of_text(b"DELETE FROM t")
    assert kind_of_text(front + b"delete FROM t") is expected


# Read in two ways each, 64 KiB of these took a time that doubled with every one of them.
@pytest.mark.parametrize(
    "unit", [b" ", b"(", b";", b"/**/", b"/***", b"/* */ ", b"--\n", b"-- ", b"/*", b"*/", b"-"]
)
@pytest.mark.parametrize("end", [b"", b"1", b"'"])
def test_a_text_without_a_word_is_read_once(unit: bytes, end: bytes):
    assert kind_of_text(unit * (LIMIT // len(unit)) + end) is Kind.OTHER
