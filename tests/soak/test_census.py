from __future__ import annotations

import pytest

from tests.soak.census import Sample, growth

MEBIBYTE = 2**20


def sample(at: float, memory: float = 0, **more: int) -> Sample:
    counts = dict.fromkeys(("descriptors", "tasks", "sessions", "pooled", "server_connections"), 5)
    return Sample(at=at, memory=int(memory), **(counts | more))


def test_what_there_is_more_of_is_named_and_memory_is_not():
    before = sample(0, 100)
    assert before.more_than(before) == []
    after = sample(9, 900, descriptors=6, server_connections=7, tasks=4)
    assert after.more_than(before) == [
        "6 descriptors, before 5",
        "7 server connections, before 5",
    ]


def test_growth_is_the_slope_in_a_minute():
    rising = [sample(second, second * MEBIBYTE) for second in range(100)]
    assert growth(rising) == pytest.approx(60 * MEBIBYTE)


def test_noise_around_a_level_has_no_slope():
    level = [sample(second, 10 * MEBIBYTE + (-1) ** second * 1000) for second in range(1000)]
    assert abs(growth(level)) < 100


def test_too_few_samples_have_none():
    assert growth([]) == growth([sample(1, 7)]) == 0.0
