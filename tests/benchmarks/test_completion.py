from __future__ import annotations

import subprocess

import pytest

from benchmarks.completion import bash_script


def completed(*words: str) -> list[str]:
    """What bash offers behind these words, the last of which is being typed."""
    quoted = " ".join(f"'{word}'" for word in words)
    script = (
        f"{bash_script()}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
        '_accode_proxy_bench; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-uc", script], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["bench", "--cases", "simple-t"], ["simple-tls-8"]),
        (["bench", "--cases", "idle,sto"], ["idle,store-scale"]),
        (["bench", "--cases", "select-text"], []),
        (["bench", "mysql", "--cases", "select-text-t"], ["select-text-tls-8"]),
        (["bench", "mysql", "--subjects", "direct,r"], ["direct,router"]),
        (["bench", "--aga"], ["--against"]),
        (["bench", "mysql", "--qu"], ["--quick"]),
        (["bench", "my"], ["mysql"]),
        (["bench", "--rounds", ""], []),
        (["test", "--cas"], []),
    ],
)
def test_bash_completes_options_cases_and_subjects(words: list[str], offered: list[str]):
    assert completed("./run", *words) == offered
