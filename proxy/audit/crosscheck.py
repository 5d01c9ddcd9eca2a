"""Checks all chains of an audit folder against each other's word.

Each worker records where the others' chains are (``events.chains_seen``), so a chain that is
missing, or was put back to an earlier state, is told by those that are left. Changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from proxy.audit.chains import chain_folders, seat_of
from proxy.audit.events import CHAINS_SEEN
from proxy.audit.files import audit_files, lines_of
from proxy.audit.read import checkpoint
from proxy.audit.report import Damage, Fault, Report, Seen
from proxy.audit.verify import verify

_MARK = f'"message":"{CHAINS_SEEN}"'.encode()


def checkpoints(folder: Path) -> dict[str, tuple[int, str]]:
    """The newest checkpoint of every chain that has one. Raises OSError."""
    found = {name: checkpoint(path) for name, path in chain_folders(folder).items()}
    return {name: point for name, point in found.items() if point is not None}


def verify_all(
    folder: Path,
    public_key: bytes,
    expect: Mapping[str, tuple[int, str]],
    *,
    may_start_late: bool = False,
) -> dict[str, Report]:
    """Check every chain, and that each still holds what another says that it saw of it.

    A chain that another has seen, or that ``expect`` names, and that is not there has a
    report with that fault. Raises OSError.
    """
    folders = chain_folders(folder)
    seen = _seen_in(folders)
    reports = {
        name: verify(
            path,
            public_key,
            expect.get(name),
            may_start_late=may_start_late,
            seen=tuple(seen.pop(name, ())),
        )
        for name, path in folders.items()
    }
    for name, wanted in expect.items():
        if name not in reports:
            seen.setdefault(name, []).append(Seen(*wanted))
    for name, missing in seen.items():
        newest = max(missing, key=lambda one: one.sequence)
        detail = f"the whole chain is missing; {newest.why(newest.sequence)}"
        reports[name] = Report(fault=Fault(Damage.REMOVED, newest.sequence, "", 0, detail))
    return reports


def _seen_in(folders: Mapping[str, Path]) -> dict[str, list[Seen]]:
    """What every chain says of the others, by the name of the one that was seen."""
    seen: dict[str, list[Seen]] = {}
    for name, path in folders.items():
        for line in _marked(path):
            for other, sequence, line_hash in _points(line):
                if other != name and seat_of(other) is not None:
                    seen.setdefault(other, []).append(Seen(sequence, line_hash, by=name))
    return seen


def _marked(folder: Path) -> Iterator[bytes]:
    for path in audit_files(folder):
        for line in lines_of(path):
            if _MARK in line:
                yield line


def _points(line: bytes) -> Iterator[tuple[str, int, str]]:
    """What a line says was seen; nothing where it only holds the words, as a statement may."""
    try:
        record = json.loads(line)
        chains = record["unmapped"]["chains"] if record["message"] == CHAINS_SEEN else {}
        for name, point in chains.items():
            sequence, line_hash = point["sequence"], point["hash"]
            if isinstance(sequence, int) and isinstance(line_hash, str):
                yield name, sequence, line_hash
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
