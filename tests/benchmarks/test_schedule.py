from __future__ import annotations

from benchmarks.schedule import progress_words, rotated


def test_each_subject_comes_first_in_its_turn():
    order = ["a", "b", "c"]
    assert [rotated(order, number)[0] for number in range(4)] == ["a", "b", "c", "a"]
    assert rotated(order, 1) == ["b", "c", "a"]
    assert rotated([], 5) == []


def test_a_progress_line_shows_the_figures_that_a_round_has():
    assert progress_words({"tps": 1234.4, "cpu_us": 15.04}) == "1,234/s, CPU 15.0 us"
    assert progress_words({"unknown": 1.0}) == ""
