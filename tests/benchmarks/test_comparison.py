from __future__ import annotations

from benchmarks.comparison import compare, rows
from benchmarks.summary import Results, Round


def results_of(*pairs: tuple[float, float], metric: str = "cpu_us") -> Results:
    return Results(
        Round("simple-8", subject, number, 0, {metric: figure})
        for number, pair in enumerate(pairs)
        for subject, figure in zip(("accode", "against"), pair, strict=True)
    )


def test_two_builds_are_compared_within_each_round():
    results = results_of((9.0, 10.0), (16.0, 20.0), (35.0, 50.0))
    assert rows(compare(results, ["simple-8", "idle"])) == [
        ("simple-8", "CPU", "0.80x (0.70..0.90)", "better")
    ]


def test_a_higher_rate_is_better_and_a_lower_one_worse():
    faster = results_of((11.0, 10.0), (12.0, 10.0), (13.0, 10.0), metric="tps")
    slower = results_of((9.0, 10.0), (8.0, 10.0), (7.0, 10.0), metric="tps")
    assert [line[-1] for line in compare(faster, ["simple-8"])] == ["better"]
    assert [line[-1] for line in compare(slower, ["simple-8"])] == ["worse"]


def test_rounds_that_disagree_say_nothing():
    results = results_of((9.0, 10.0), (8.0, 10.0), (10.5, 10.0))
    assert [line[-1] for line in compare(results, ["simple-8"])] == ["within the spread"]


def test_one_round_says_nothing():
    assert [line[-1] for line in compare(results_of((1.0, 10.0)), ["simple-8"])] == [
        "too few rounds"
    ]


def test_without_another_build_there_is_nothing_to_compare():
    alone = Results([Round("simple-8", "accode", 0, 0, {"cpu_us": 1.0})])
    assert compare(alone, ["simple-8"]) == []
