from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks.bench import Audience, Bench, Sizes, Subject
from benchmarks.processes import BenchmarkError
from benchmarks.schedule import (
    Failure,
    Forecast,
    in_turn,
    minutes_words,
    plan,
    progress_words,
    run_rounds,
)
from benchmarks.summary import Metrics
from tests.benchmarks.fakes import FakeServer, FakeSubject


@dataclass
class FakeCase:
    """Measures nothing; through the subject ``broken`` it fails."""

    name: str
    rounds: int | None = None
    broken: str = ""
    audience: Audience = Audience.ALL
    title: str = "a case"
    group: str = "queries"
    tls: bool = False
    measured: list[str] = field(default_factory=list)

    def expected_seconds(self, sizes: Sizes) -> float:
        """Always the same."""
        return 10.0

    def measure(self, bench: Bench, subject: Subject) -> Metrics:
        """Take note of who came."""
        self.measured.append(subject.name)
        if subject.name == self.broken:
            raise BenchmarkError("it broke.")
        return {"tps": 1.0}


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


def test_a_case_may_have_fewer_rounds_than_the_run():
    cases = [FakeCase("long", rounds=1), FakeCase("short")]
    turns = plan(cases, [FakeSubject("direct")], 3)
    assert [(turn.number, turn.case.name) for turn in turns] == [
        (0, "long"), (0, "short"), (1, "short"), (2, "short"),
    ]  # fmt: skip


def test_the_rest_is_foretold_by_what_a_case_took_so_far():
    turns = plan([FakeCase("one"), FakeCase("other")], [FakeSubject("direct")], 3)
    forecast = Forecast(turns, Sizes())
    assert forecast.seconds() == 60.0
    forecast.note("one", 4.0)
    assert forecast.seconds() == pytest.approx(2 * 4.0 + 3 * 10.0)
    forecast.note("one", 6.0)
    assert forecast.seconds() == pytest.approx(1 * 5.0 + 3 * 10.0)


def test_minutes_are_said_with_seconds():
    assert [minutes_words(seconds) for seconds in (0, 9.9, 61, 1500)] == [
        "0:00", "0:09", "1:01", "25:00",
    ]  # fmt: skip


def test_a_failure_is_kept_and_the_subject_started_afresh():
    case = FakeCase("simple-1", broken="accode")
    subjects = [FakeSubject("direct"), FakeSubject("accode", 1)]
    said: list[str] = []
    bench = Bench(FakeServer(), Sizes(rounds=2), Path())
    rounds, failures = run_rounds(bench, [case], subjects, said.append)
    assert [entry.subject for entry in rounds] == ["direct", "direct"]
    assert failures == [Failure("simple-1", "accode", number, "it broke.") for number in range(2)]
    assert [subject.starts for subject in subjects] == [0, 2]
    assert "0:40 minutes" in said[0]
    assert "FAILED: it broke." in said[2]
    assert "0:00 left" in said[-1]
