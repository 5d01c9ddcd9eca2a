from __future__ import annotations

from benchmarks.schedule import in_turn, progress_words


def test_each_subject_comes_first_in_its_turn():
    order = ["a", "b", "c", "d"]
    rounds = [in_turn(order, number) for number in range(4)]
    assert [names[0] for names in rounds] == order
    assert all(sorted(names) == order for names in rounds)
    assert in_turn([], 5) == []


def test_two_subjects_come_before_each_other_equally_often():
    order = ["direct", "pgbouncer", "accode", "against"]
    rounds = [in_turn(order, number) for number in range(4)]
    assert sum(names.index("accode") < names.index("against") for names in rounds) == 2
    assert [in_turn(["a", "b"], number) for number in range(2)] == [["a", "b"], ["b", "a"]]


def test_a_progress_line_shows_the_figures_that_a_round_has():
    assert progress_words({"tps": 1234.4, "cpu_us": 15.04}) == "1,234/s, CPU 15.0 us"
    assert progress_words({"unknown": 1.0}) == ""
