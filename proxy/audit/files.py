"""The audit folder: file names, finding the chain's end, keeping torn ends aside.

Knows files. Must never know events or sessions. Everything here blocks: it is called
before the loop serves anybody, or from the writer's thread, or by the command line.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from proxy.audit.chain import (
    FILE_NAME,
    GENESIS,
    HEAD_NAME,
    MAXIMUM_LINE,
    hash_line,
    parse_link,
)

LOCK_NAME = "lock"
TORN = ".torn"
_SCAN_BACK = 32 * 1024 * 1024


class AuditFolderError(Exception):
    """The audit folder cannot be used; the text is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """Where a log ends: its last whole record, and what lay torn behind it."""

    file: str
    sequence: int
    hash: str
    torn: tuple[Torn, ...] = ()


@dataclass(frozen=True, slots=True)
class Torn:
    """Bytes behind the last whole record, kept in a file of their own."""

    kept_as: str
    size: int
    sha256: str


def audit_files(folder: Path) -> list[Path]:
    """The log's files, oldest first."""
    found = []
    for path in folder.iterdir():
        match = FILE_NAME.fullmatch(path.name)
        if match is not None:
            found.append((match[1], int(match[2]), path))
    return [path for _, _, path in sorted(found)]


def next_name(previous: str, time: float) -> str:
    """The name after ``previous``: today's (UTC), or the same day's where the clock ran back."""
    day = datetime.fromtimestamp(time, UTC).strftime("%Y%m%d")
    match = FILE_NAME.fullmatch(previous)
    if match is None or day > match[1]:
        return f"audit-{day}-0001.jsonl"
    return f"audit-{match[1]}-{int(match[2]) + 1:04d}.jsonl"


def day_of(name: str) -> str:
    """The day in a file's name, as YYYYMMDD."""
    return name[6:14]


class FolderLock:
    """One process writes one folder. Released by the kernel when the process dies."""

    def __init__(self, folder: Path) -> None:
        """Take the lock. Raises AuditFolderError where another process holds it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(folder / LOCK_NAME, flags, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise AuditFolderError(
                f"the audit folder {folder} is in use by another process"
            ) from error

    def release(self) -> None:
        """Let another process write."""
        os.close(self._descriptor)


def is_locked(folder: Path) -> bool:
    """Whether a process is writing this folder now."""
    try:
        descriptor = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def sync_folder(folder: Path) -> None:
    """Make created and renamed names durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_head(folder: Path, line: bytes) -> None:
    """Replace the head file, whole or not at all, by a line that has no break yet."""
    line += b"\n"
    temporary = folder / (HEAD_NAME + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if os.write(descriptor, line) != len(line):
            raise OSError("the head file could not be written whole")
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(folder / HEAD_NAME)
    sync_folder(folder)


def resume(folder: Path) -> ChainEnd:
    """Find the end of the chain, moving a torn end aside. Raises AuditFolderError, OSError.

    A file without one whole record (a crash between its creation and its header) is
    moved aside whole and the file before it is asked.
    """
    torn: list[Torn] = []
    end = ChainEnd("", 0, GENESIS)
    for path in reversed(audit_files(folder)):
        line, whole = _last_line(path)
        size = path.stat().st_size
        if size == 0:
            path.unlink()  # made just before a crash or on a full disk: nothing was in it
            continue
        if whole < size:
            torn.append(_keep_aside(path, whole))
        if line is None:
            continue
        link = parse_link(line)
        if link is not None:
            end = ChainEnd(path.name, link.sequence, hash_line(line))
            break
    _compare_head(folder, end)
    return ChainEnd(end.file, end.sequence, end.hash, tuple(torn))


def _compare_head(folder: Path, end: ChainEnd) -> None:
    try:
        head = (folder / HEAD_NAME).read_bytes().rstrip(b"\n")
    except FileNotFoundError:
        return
    link = parse_link(head)
    if link is None:
        raise AuditFolderError(
            f"the file {HEAD_NAME} in the audit folder {folder} is not a checkpoint; "
            "run 'accode-proxy audit verify' and keep the folder as evidence"
        )
    if link.sequence > end.sequence:
        raise AuditFolderError(
            f"the audit log in {folder} ends at record {end.sequence} but its checkpoint is "
            f"record {link.sequence}: records were removed; run 'accode-proxy audit verify', "
            "keep the folder as evidence and configure a new one"
        )


def _last_line(path: Path) -> tuple[bytes | None, int]:
    """The last whole record of a file, and where it ends."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = max(0, size - 2 * MAXIMUM_LINE)
        file.seek(start)
        data = file.read(2 * MAXIMUM_LINE)
    end = data.rfind(b"\n")
    while end >= 0:
        begin = data.rfind(b"\n", 0, end) + 1
        line = data[begin:end]
        if (begin > 0 or start == 0) and parse_link(line) is not None:
            return line, start + end + 1
        end = begin - 1
    if start > 0:
        raise AuditFolderError(
            f"the last {2 * MAXIMUM_LINE} bytes of {path} hold no audit record; "
            "keep the folder as evidence and configure a new one"
        )
    return None, 0


def _keep_aside(path: Path, whole: int) -> Torn:
    """Move what follows byte ``whole`` into a file of its own, durably, then cut it off."""
    data = path.read_bytes() if whole == 0 else _tail(path, whole)
    kept = path.with_name(path.name + TORN)
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}{TORN}{number}")
    torn = Torn(kept.name, len(data), hash_line(data))
    if whole == 0:
        path.rename(kept)
    else:
        descriptor = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.truncate(path, whole)
    sync_folder(path.parent)
    return torn


def _tail(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read()


def recent_statements(folder: Path, wanted: set[str]) -> set[str]:
    """Which of the statements (session/number) have a record in the newest 32 MiB.

    Enough: an unsettled entry's record can only be in the last batch that was written.
    """
    found: set[str] = set()
    scanned = 0
    for path in reversed(audit_files(folder)):
        if not wanted - found or scanned >= _SCAN_BACK:
            break
        for line in lines_of(path):
            link = parse_link(line.rstrip(b"\n"))
            if link is not None and link.statement in wanted:
                found.add(link.statement)
        scanned += path.stat().st_size
    return found


def lines_of(path: Path) -> Iterator[bytes]:
    """A file's lines with their breaks, none longer than MAXIMUM_LINE (then cut there)."""
    with path.open("rb") as file:
        while line := file.readline(MAXIMUM_LINE):
            yield line
