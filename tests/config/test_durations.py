from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("1.5m", 90),
        ("24h", 86_400),
        ("30d", 2_592_000),
        ("2w", 1_209_600),
    ],
)
def test_a_number_with_a_unit_is_seconds(text: str, seconds: float):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "d", "-1s", "1e3s", "1 year", "1s ", "٣s", "1,5h", "9999999999s"]
)
def test_anything_else_is_refused_with_a_sentence(text: str):
    with pytest.raises(ValueError, match="a number with a unit"):
        parse_duration(text)


@given(st.text())
def test_no_text_raises_anything_but_the_sentence(text: str):
    with contextlib.suppress(ValueError):
        assert parse_duration(text) >= 0
