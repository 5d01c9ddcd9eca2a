from __future__ import annotations

import pytest

from benchmarks.__main__ import chosen_cases, main
from benchmarks.cases import CASES
from benchmarks.requirements import judge
from benchmarks.rows import copy_chunk
from benchmarks.summary import Results, Round


def test_no_two_cases_have_the_same_name():
    assert len({case.name for case in CASES}) == len(CASES)


def test_patterns_choose_cases_in_their_own_order():
    names = [case.name for case in chosen_cases(["idle*", "simple-1"])]
    assert names == ["simple-1", "idle", "idle-tls"]


def test_every_requirement_has_a_case_that_answers_it():
    figures = {"cpu_us", "p50_us", "rows_per_s", "cpu_s", "growth_stalled_kb", "rss_per_session_kb"}
    rounds = [
        Round(case.name, subject, 0, 0, dict.fromkeys(figures, 1.0))
        for case in CASES
        for subject in ("direct", "pgbouncer", "accode")
    ]
    assert None not in {verdict.is_reached for verdict in judge(Results(rounds))}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cases", "nothing"], "no case is named 'nothing'"),
        (["--subjects", "direct,odyssey"], "there is no subject 'odyssey'"),
        (["--rounds", "0"], "--rounds must be from 1 to 100"),
        (["--seconds", "0.1"], "--seconds must be from 0.5 to 300"),
    ],
)
def test_a_wrong_option_is_refused_in_one_sentence(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_the_cases_can_be_listed(capsys: pytest.CaptureFixture[str]):
    assert main(["--list"]) == 0
    assert "simple-tls-8" in capsys.readouterr().out


def test_a_copy_chunk_is_whole_rows_of_four_columns():
    lines = copy_chunk().splitlines()
    assert len(lines) == 500
    assert {line.count(b"\t") for line in lines} == {3}
