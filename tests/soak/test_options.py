from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.soak.completion import bash_script
from tests.soak.options import RESULTS, Options, parse


def test_ten_minutes_are_meant_unless_something_else_is_said():
    assert parse([]) == Options()
    assert parse([]).seconds == 600
    assert parse([]).output == RESULTS


def test_everything_may_be_chosen():
    words = "--minutes 0.5 --seed 7 --clients 8 --workers 2 --only mysql --output /tmp/x"
    assert parse(words.split()) == Options(30.0, 7, 8, 2, "mysql", Path("/tmp/x"))


@pytest.mark.parametrize(
    "words", ["--minutes 0", "--minutes 1441", "--clients 3", "--workers 0", "--only oracle", "x"]
)
def test_what_cannot_be_done_is_refused_with_a_sentence(
    words: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as raised:
        parse(words.split())
    assert raised.value.code == 2
    assert "./run soak: error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["soak", "--mi"], ["--minutes"]),
        (["soak", "--only", "post"], ["postgresql"]),
        (["soak", "--workers", ""], []),
        (["bench", "--cas"], ["theirs"]),
    ],
)
def test_bash_completes_the_options_and_leaves_others_to_theirs(
    words: list[str], offered: list[str]
):
    quoted = " ".join(f"'{word}'" for word in ["./run", *words])
    script = (
        f"_accode_proxy_bench() {{ COMPREPLY=(theirs); }}\n{bash_script()}\n"
        f"COMP_WORDS=({quoted}); COMP_CWORD={len(words)}\n"
        '_accode_proxy_soak; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-uc", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == offered
