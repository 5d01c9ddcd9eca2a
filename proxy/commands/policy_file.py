"""A policy's document as a file or standard input has it, for every command that takes one."""

from __future__ import annotations

import sys
from pathlib import Path

from policies.document import MAX_DOCUMENT, Policy, PolicyError, read_policy
from proxy.commands.frame import CommandError


def read_policy_file(file: Path) -> Policy:
    """Read it, TOML or JSON; ``-`` is standard input. Raises CommandError."""
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(MAX_DOCUMENT + 1)
        else:
            with file.open("rb") as stream:
                data = stream.read(MAX_DOCUMENT + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not UTF-8") from None
    is_json = file.suffix == ".json" or text.lstrip().startswith("{")
    try:
        return read_policy(text, "json" if is_json else "toml")
    except PolicyError as error:
        raise CommandError(f"the policy was not set: {error}") from None
