from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.bench import QUICK
from benchmarks.engines import MYSQL, POSTGRES
from benchmarks.options import RESULTS, UNRECORDED, chosen_cases, parse


def test_patterns_choose_cases_in_their_own_order():
    names = [case.name for case in chosen_cases(POSTGRES, ["idle*", "simple-1"])]
    assert names == ["simple-1", "idle", "idle-tls"]


def test_everything_is_measured_unless_something_is_named():
    options = parse([])
    assert options.cases == POSTGRES.cases
    assert options.has_store_scale
    assert options.subjects == POSTGRES.subjects
    assert parse(["mysql"]).cases == MYSQL.cases
    assert not parse(["mysql"]).has_store_scale
    assert not parse(["--cases", "simple-1"]).has_store_scale


def test_a_tiny_run_and_a_comparison_of_builds_are_nobodys_record():
    assert parse([]).output == RESULTS
    assert parse(["mysql", "--rounds", "2"]).output == RESULTS
    assert parse(["--quick"]).output == UNRECORDED
    assert parse(["--against", "/elsewhere"]).output == UNRECORDED
    assert parse(["--quick", "--output", "/tmp/x"]).output == Path("/tmp/x")


def test_sizes_may_be_named_one_by_one():
    sizes = parse(["--quick", "--rounds", "3", "--seconds", "2"]).sizes
    assert (sizes.rounds, sizes.seconds, sizes.rows) == (3, 2.0, QUICK.rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cases", "nothing"], "no case is named 'nothing'"),
        (["--cases", "simple-1,select-text-1"], "no case is named 'select-text-1'"),
        (["mysql", "--cases", "simple-1"], "no case is named 'simple-1'"),
        (["--subjects", "direct,odyssey"], "there is no subject 'odyssey'"),
        (["mysql", "--subjects", "pgbouncer"], "there is no subject 'pgbouncer'"),
        (["--subjects", "direct", "--against", "x"], "which --subjects leaves out"),
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--list"], "simple-tls-8"),
        (["mysql", "--list"], "select-text-32"),
        (["--completion"], "complete -o default"),
    ],
)
def test_what_only_prints_starts_nothing(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
):
    assert main(arguments) == 0
    assert words in capsys.readouterr().out


def test_help_has_examples(capsys: pytest.CaptureFixture[str]):
    for arguments in (["--help"], ["mysql", "--help"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 0
        assert "examples:\n  ./run bench" in capsys.readouterr().out
