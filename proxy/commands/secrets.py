"""How a secret comes in: from standard input or a file, never from an argument.

Arguments are in the process list and in the shell's history. Knows files and their
modes; hands out ``Secret`` only.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import click

from proxy.commands.frame import CommandError
from vault import Secret

# Longer than any password a database takes, shorter than a mistaken file.
_LIMIT = 16 * 1024


def read_password(*, from_stdin: bool, file: Path | None) -> Secret | None:
    """The password, or None where neither way was chosen.

    On a terminal ``--password-stdin`` asks without showing what is typed. One line break
    at the end is not part of the password. Raises CommandError.
    """
    raw = _read(from_stdin=from_stdin, file=file, name="password")
    return None if raw is None else Secret(raw)


def read_client_secret(*, from_stdin: bool, file: Path | None) -> str | None:
    """A client's secret, in the same way (``--secret-stdin``). Raises CommandError."""
    raw = _read(from_stdin=from_stdin, file=file, name="secret")
    try:
        return None if raw is None else raw.decode("ascii")
    except UnicodeDecodeError:
        raise CommandError("The secret holds what is not ASCII") from None


def _read(*, from_stdin: bool, file: Path | None, name: str) -> bytes | None:
    if from_stdin and file is not None:
        raise click.UsageError(f"Use --{name}-stdin or --{name}-file, not both.")
    if file is not None:
        return _checked(read_private_file(file, f"{name} file"), name)
    if not from_stdin:
        return None
    stream = sys.stdin.buffer
    if stream.isatty():
        typed: str = click.prompt(name.capitalize(), hide_input=True, err=True)
        return _checked(typed.encode(), name)
    return _checked(stream.read(_LIMIT + 1), name)


def read_private_file(path: Path, purpose: str) -> bytes:
    """A file that holds a secret: ours, and not open to others. Raises CommandError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise CommandError(f"The {purpose} {path} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise CommandError(f"The {purpose} {path} is not a regular file")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise CommandError(f"The {purpose} {path} is open to other users: run chmod 600")
        return opened.read(_LIMIT + 1)


def read_public_file(path: Path, purpose: str, limit: int) -> str:
    """A text file that holds no secret, such as certificates. Raises CommandError."""
    try:
        with path.open("rb") as opened:
            raw = opened.read(limit + 1)
        if len(raw) > limit:
            raise CommandError(f"The {purpose} {path} has more than {limit} bytes")
        return raw.decode("ascii")
    except OSError as error:
        raise CommandError(f"The {purpose} {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"The {purpose} {path} is not PEM text") from None


def _checked(raw: bytes, name: str) -> bytes:
    if len(raw) > _LIMIT:
        raise CommandError(f"The {name} has more than {_LIMIT} bytes")
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    if not raw:
        raise CommandError(f"The {name} is empty")
    if b"\0" in raw or b"\n" in raw:
        raise CommandError(f"The {name} holds a line break or a NUL")
    return raw
