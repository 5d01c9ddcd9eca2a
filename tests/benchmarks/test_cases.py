from __future__ import annotations

import pytest

from benchmarks.accode import POLICY_SUFFIX
from benchmarks.bench import QUICK, Audience, Sizes
from benchmarks.engines import MYSQL, POSTGRES, Engine
from benchmarks.requirements import JUDGED, judge
from benchmarks.rows import copy_chunk
from benchmarks.schedule import Forecast, plan
from benchmarks.subjects import SHARED_SUFFIX
from benchmarks.summary import Results, Round
from tests.benchmarks.fakes import FakeSubject

ENGINES = pytest.mark.parametrize("engine", [POSTGRES, MYSQL], ids=lambda engine: engine.protocol)
FIGURES = {
    "tps", "cpu_us", "p50_us", "rows_per_s", "cpu_s", "growth_stalled_kb", "rss_per_session_kb",
    "p99_to_p50", "p99_to_alone",
}  # fmt: skip


def subjects_of(engine: Engine) -> list[FakeSubject]:
    """As in a run of everything."""
    return [
        *(
            FakeSubject(name, None if name == "direct" else 1, False if name == "accode" else None)
            for name in engine.subjects
        ),
        FakeSubject(JUDGED, 1, has_policy=True),
        *(
            FakeSubject(name + SHARED_SUFFIX, 1, is_shared=True)
            for name in (
                ("pgbouncer", "odyssey", "accode", "accode-workers") if engine is POSTGRES else ()
            )
        ),
    ]


@ENGINES
def test_no_two_cases_have_the_same_name(engine: Engine):
    assert len({case.name for case in engine.cases}) == len(engine.cases)


@ENGINES
def test_every_requirement_has_a_case_that_answers_it(engine: Engine):
    rounds = [
        Round(turn.case.name, turn.subject.name, 0, 0, dict.fromkeys(FIGURES, 1.0))
        for turn in plan(engine.cases, subjects_of(engine), 1)
    ]
    verdicts = judge(Results(rounds), engine.requirements)
    assert [verdict.text for verdict in verdicts if verdict.is_reached is None] == []


@ENGINES
def test_a_full_run_takes_about_half_an_hour_and_a_quick_one_under_3(engine: Engine):
    for sizes, minutes in ((Sizes(), 30), (QUICK, 3)):
        turns = plan(engine.cases, subjects_of(engine), sizes.rounds)
        assert Forecast(turns, sizes).seconds() < minutes * 60


@ENGINES
def test_connections_are_shared_in_cases_about_that_alone(engine: Engine):
    for turn in plan(engine.cases, subjects_of(engine), 1):
        is_about_that = turn.case.audience is Audience.SHARING
        assert turn.subject.name.endswith(SHARED_SUFFIX) == is_about_that


@ENGINES
def test_policies_are_compared_by_accode_proxy_alone(engine: Engine):
    for turn in plan(engine.cases, subjects_of(engine), 1):
        is_ours = turn.subject.name in ("accode", JUDGED)
        assert turn.case.audience is not Audience.POLICIES or is_ours
        assert turn.subject.name != JUDGED or turn.case.audience is Audience.POLICIES
    assert JUDGED == "accode" + POLICY_SUFFIX


@ENGINES
def test_memory_is_not_measured_where_there_is_no_proxy(engine: Engine):
    turns = plan(engine.cases, subjects_of(engine), 1)
    idle = [turn.subject.name for turn in turns if turn.case.name == "idle"]
    assert sorted(idle) == sorted(set(engine.subjects) - {"direct"})


def test_a_copy_chunk_is_whole_rows_of_four_columns():
    lines = copy_chunk().splitlines()
    assert len(lines) == 500
    assert {line.count(b"\t") for line in lines} == {3}
