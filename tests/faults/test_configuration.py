"""A wrong configuration: one clear sentence on stderr, exit code 1, nothing started.

Taken ports, wrong modes, missing files and unknown variables are in tests/cli.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine, line

__all__ = ["line"]  # a fixture, seen by pytest where it is named here

ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith("ACCODE_PROXY_L")
}


def serve(file: Path) -> str:
    """Start a proxy that must not start; the sentence."""
    done = subprocess.run(
        [sys.executable, "-m", "proxy.cli", "serve", "--workers", "1", "--config", str(file)],
        capture_output=True,
        timeout=60,
        check=False,
        env=ENVIRONMENT,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    (sentence,) = [text for text in done.stderr.splitlines() if not text.startswith("{")]
    assert sentence.startswith("Error: ")
    assert sentence.endswith(".")
    return sentence.removeprefix("Error: ")


def write(line: CommandLine, text: str) -> None:
    line.file.write_text(line.file.read_text() + text)


def replace(line: CommandLine, old: str, new: str) -> None:
    text = line.file.read_text()
    assert old in text
    line.file.write_text(text.replace(old, new, 1))


Spoil = Callable[[CommandLine], None]


def limits(setting: str) -> Spoil:
    return lambda line: replace(line, "[limits]\n", f"[limits]\n{setting}\n")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (limits("sesions = 5"), ("sesions", "sessions")),
        (lambda line: write(line, "\n[limit]\nsessions = 5\n"), ("limit", "limits")),
        (limits("sessions = 0"), ("limits.sessions",)),
        (limits("sessions = 'many'"), ("limits.sessions",)),
        (limits("idle_timeout = -1"), ("limits.idle_timeout",)),
        (lambda line: write(line, "\n[limits\n"), ("accode.toml",)),
        (lambda line: line.file.write_bytes(b"\xff\xfe"), ("accode.toml",)),
        (lambda line: line.file.unlink(), ("accode.toml",)),
        (lambda line: replace(line, '"postgres"', '"oracle"'), ("protocol",)),
        (lambda line: (line.folder / "keys/local.key").write_bytes(b"\0" * 99), ("local.key",)),
        (lambda line: (line.folder / "keys/local.key").write_bytes(b""), ("local.key",)),
        (lambda line: (line.folder / "tls/listener.crt").write_text("none"), ("listener.crt",)),
        (lambda line: (line.folder / "tls/listener.key").write_text("none"), ("listener.key",)),
        (lambda line: (line.folder / "data/accode.db").write_bytes(b"none" * 99), ("store",)),
        (lambda line: shutil.rmtree(line.folder / "keys"), ("local.key",)),
    ],
)  # fmt: skip
def test_it_is_one_sentence_that_names_the_place(
    line: CommandLine, spoil: Spoil, words: tuple[str, ...]
):
    spoil(line)
    sentence = serve(line.file)
    for word in words:
        assert word in sentence, sentence


def test_a_key_file_that_was_changed_in_one_digit_is_refused(line: CommandLine):
    file = line.folder / "keys/local.key"
    text = file.read_bytes()
    place = text.index(b"seed ") + 5
    digit = b"0" if text[place : place + 1] != b"0" else b"1"
    file.write_bytes(text[:place] + digit + text[place + 1 :])
    sentence = serve(line.file)
    assert "local.key" in sentence
    # Nothing of what is in it is repeated.
    assert text[place + 1 : place + 17].decode() not in sentence


def test_a_folder_in_the_place_of_a_file_is_refused(line: CommandLine):
    file = line.folder / "keys/local.key"
    file.unlink()
    file.mkdir(mode=0o700)
    assert "local.key" in serve(line.file)


def test_a_proxy_that_did_not_start_leaves_nothing_behind(line: CommandLine):
    before = sorted(path for path in line.folder.rglob("*"))
    (line.folder / "tls/listener.crt").write_text("none")
    serve(line.file)
    assert sorted(path for path in line.folder.rglob("*")) == before
