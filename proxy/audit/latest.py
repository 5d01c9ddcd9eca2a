"""Where the newest statements of a workspace, or of one of its sources, stand in the log.

From the newest file backwards, each read once: places alone are kept, so that memory grows
with how many are asked for, and not with their texts. Verifies nothing and changes nothing.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from proxy.audit.chains import chain_folders
from proxy.audit.expand import FileLines, Line, Record, record_of
from proxy.audit.files import audit_files, lines_of

_SESSIONS_KNOWN = 4_096
"""Sessions whose line was read already; each file has a line of each of its sessions."""
_BEHIND_ALL = 2**63
"""Of a chain that has none of them: it is not read."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The newest statements: of each chain those behind ``after`` and up to ``last``."""

    count: int
    after: dict[str, int]
    last: dict[str, int]

    def holds(self, chain: str, sequence: int) -> bool:
        """Whether a record of this place is among them."""
        return self.after.get(chain, _BEHIND_ALL) < sequence <= self.last.get(chain, -1)


@dataclass(frozen=True, slots=True)
class Whose:
    """``source`` is a source's id; "": every source of the workspace, which ``tenant`` is."""

    tenant: str
    source: str = ""

    def made(self, record: Record) -> bool:
        """Whether a record, or what a session's records have in common, is of theirs."""
        tenant = _object(record, "metadata").get("tenant_uid")
        return tenant == self.tenant and (
            not self.source or _object(record, "database").get("uid") == self.source
        )


def is_statement(record: Record) -> bool:
    """Whether a record tells of a statement, with its text."""
    return "query_info" in record and "statement" in _object(record, "unmapped")


def latest(folder: Path, whose: Whose, count: int, pulse: Callable[[], None]) -> Stretch:
    """The newest ``count`` statements. ``pulse`` is called for each line, and may raise.

    Those of several chains by the time at which they began, as ``read.search`` merges them.
    Raises OSError.
    """
    found: list[tuple[int, str, int]] = []
    chains = chain_folders(folder)
    for name, path in chains.items():
        newest = 0
        for time, sequence in _newest_of(path, whose, count, pulse):
            newest = max(newest, time)
            found.append((newest, name, sequence))
    found.sort()
    taken = found[-count:]
    after = dict.fromkeys(chains, _BEHIND_ALL)
    last: dict[str, int] = {}
    for _, name, sequence in taken:
        after[name] = min(after[name], sequence - 1)
        last[name] = max(last.get(name, sequence), sequence)
    return Stretch(len(taken), after, last)


def _newest_of(
    folder: Path, whose: Whose, count: int, pulse: Callable[[], None]
) -> list[tuple[int, int]]:
    """Of one chain: (time, sequence) of its newest statements, in the chain's own order."""
    found: list[tuple[int, int]] = []
    for path in reversed(audit_files(folder)):
        kept = deque(_places_in(path, whose, pulse), maxlen=count - len(found))
        found = [*kept, *found]
        if len(found) == count:
            break
    return found


def _places_in(path: Path, whose: Whose, pulse: Callable[[], None]) -> Iterator[tuple[int, int]]:
    @lru_cache(_SESSIONS_KNOWN)
    def is_theirs(session: bytes) -> bool:
        constants = _object(_read(session), "constants")
        return whose.made(constants)

    reader = FileLines()
    for data in lines_of(path):
        pulse()
        line = reader.take(data)
        if line is None:
            continue
        if line.link is not None:
            # Of nine lines in ten, the session's line says whose they are.
            if is_theirs(line.session):
                yield _number(_read(data), "time"), line.link.sequence
        elif (place := _whole(line, whose)) is not None:
            yield place


def _whole(line: Line, whose: Whose) -> tuple[int, int] | None:
    """Of a statement that is an event: recovered after a crash, or in the log's older form."""
    if b'"query_info":' not in line.data:
        return None
    record = record_of(line)
    if record is None or not is_statement(record) or not whose.made(record):
        return None
    return _number(record, "time"), _number(_object(record, "metadata"), "sequence")


def _read(data: bytes) -> Record:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _object(record: Record, name: str) -> Record:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _number(record: Record, name: str) -> int:
    value = record.get(name)
    return value if isinstance(value, int) else 0
