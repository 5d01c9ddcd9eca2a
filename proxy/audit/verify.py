"""Checks an audit folder: the first bad record and what is wrong with it.

Knows the chain's rules and the public key alone; needs no running proxy and changes
nothing. Streams: memory does not grow with the log. What it cannot see is said in
``chain``; ``expect`` closes that gap with a record's hash kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from proxy.audit.chain import (
    GENESIS,
    HEAD_NAME,
    MAXIMUM_LINE,
    MAXIMUM_UNSIGNED,
    Link,
    hash_line,
    is_signed_by,
    names_key,
    parse_link,
    signed_part,
)
from proxy.audit.context import SessionContext
from proxy.audit.encode import text_of
from proxy.audit.files import TORN, audit_files, is_locked, lines_of
from proxy.audit.journal import JournalContents, JournaledStatement, read_journal
from proxy.audit.recovery import attribute, name_of
from proxy.audit.report import Damage, Fault, Report, Seen, Unrecorded

LOOK_AHEAD = 10_000
"""Lines searched for a record that is not in its place: moved, or removed?"""


class _FaultFound(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(slots=True)
class _Place:
    file: str
    line: int
    data: bytes
    link: Link | None


class _Walk:
    """One pass over the files, a line ahead of the check."""

    def __init__(self, files: list[Path]) -> None:
        self._files = files

    def places(self, first: int = 0, skip: int = 0) -> Iterator[_Place]:
        """Every line from file ``first`` on, without its first ``skip`` lines."""
        for index, path in enumerate(self._files[first:]):
            number = 0
            for line in lines_of(path):
                number += 1
                if index == 0 and number <= skip:
                    continue
                whole = line.endswith(b"\n")
                data = line[:-1] if whole else line
                yield _Place(path.name, number, data, parse_link(data) if whole else None)

    def after(self, place: _Place) -> Iterator[_Place]:
        """The lines behind a place: only asked for once a fault was found."""
        names = [path.name for path in self._files]
        return self.places(names.index(place.file), place.line)


class _FileSessions:
    """Each file stands alone: a statement's session is told of before it in the same file.

    Memory: the ids of one file's sessions.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._orphan: tuple[_Place, Link] | None = None

    def take(self, place: _Place, link: Link, begins_file: bool) -> None:
        """The next line."""
        if begins_file:
            self._known.clear()
        if not link.session:
            return
        if not link.statement:
            self._known.add(link.session)
        elif link.session not in self._known:
            self._orphan = place, link

    def raise_orphan(self) -> None:
        """Complain of the line that was taken last.

        Called once the next one was seen to name its hash: if it does not, the line was
        changed, perhaps in the very name of its session.
        """
        if self._orphan is not None:
            place, link = self._orphan
            detail = f"no line before it in this file tells of its session {link.session}"
            _raise(Damage.REMOVED, place, link.sequence, detail)


def verify(
    folder: Path,
    public_key: bytes,
    expect: tuple[int, str] | None = None,
    *,
    may_start_late: bool = False,
    seen: tuple[Seen, ...] = (),
) -> Report:
    """Check every record of one chain's folder against the 32-byte public key.

    ``expect`` is a (sequence, hash) kept elsewhere, ``seen`` are what other chains hold of
    this one. ``may_start_late`` allows the oldest files to have been removed by an operator.
    Raises OSError.
    """
    report = Report()
    is_running = is_locked(folder)
    left = JournalContents({}, [], [])
    if is_running:
        report.notes.append("a proxy is writing here: its newest records may still be under way")
    else:
        left = read_journal(folder)
    contexts = attribute(left)
    missing = {name_of(statement, contexts): statement for statement in left.statements}
    files = audit_files(folder)
    report.files = len(files)
    report.notes += [
        f"{path.name}: an incomplete end that was kept aside"
        for path in sorted(folder.iterdir())
        if TORN in path.name
    ]
    key = Ed25519PublicKey.from_public_bytes(public_key)
    known = (Seen(*expect), *seen) if expect else seen
    try:
        _check(folder, files, key, known, report, missing, is_running, may_start_late)
    except _FaultFound as found:
        report.fault = found.fault
    _tell_unrecorded(report, left, missing, contexts)
    return report


def _tell_unrecorded(
    report: Report,
    left: JournalContents,
    missing: dict[str, JournaledStatement],
    contexts: dict[int, SessionContext],
) -> None:
    for statement in missing.values():
        context = contexts.get(statement.session)
        report.unrecorded.append(
            Unrecorded(
                context.session_id if context else "",
                statement.number,
                statement.time,
                text_of(statement.text)[0],
                statement.text_length,
                context.workspace if context else "",
            )
        )
    report.open_sessions = [
        contexts[session].session_id for session in left.open_sessions if session in contexts
    ]


def _check(
    folder: Path,
    files: list[Path],
    key: Ed25519PublicKey,
    known: tuple[Seen, ...],
    report: Report,
    missing: dict[str, JournaledStatement],
    is_running: bool,
    may_start_late: bool,
) -> None:
    walk = _Walk(files)
    head = _read_head(folder, key, bool(files))
    sequence, prev = 0, GENESIS
    previous: _Place | None = None
    signed = 0
    sessions = _FileSessions()
    wanted: dict[int, list[Seen]] = {}
    for one in known:
        wanted.setdefault(one.sequence, []).append(one)
    for place in walk.places():
        link = place.link
        if link is None:
            if is_running and next(walk.after(place), None) is None:
                break
            _raise_unreadable(walk, place, sequence)
            continue
        begins_file = previous is None or previous.file != place.file
        if previous is None and may_start_late and begins_file:
            sequence, prev = link.sequence - 1, link.prev
            signed = sequence
        if link.sequence != sequence + 1 or link.prev != prev:
            _raise_unlinked(walk, place, link, previous, sequence, prev)
        sessions.raise_orphan()
        part = _check_signature(place, link, key, begins_file)
        sessions.take(place, link, begins_file)
        line_hash = hash_line(place.data)
        sequence, prev = link.sequence, line_hash
        if part:
            signed = sequence
        elif sequence - signed > MAXIMUM_UNSIGNED:
            _raise(Damage.REPLACED, place, sequence, "too many records without a signed one")
        _check_known(place, sequence, line_hash, head, wanted)
        missing.pop(link.statement, None)
        report.records += 1
        report.first_sequence = report.first_sequence or sequence
        report.last_sequence, report.last_hash = sequence, line_hash
        report.signed, report.unsigned_tail = signed, sequence - signed
        previous = place
    sessions.raise_orphan()
    end = previous or _Place("", 0, b"", None)
    if head and head[0] > sequence:
        _raise(
            Damage.TRUNCATED,
            end,
            sequence + 1,
            f"the log ends at record {sequence}, its newest checkpoint is record {head[0]}",
        )
    newest = max(known, key=lambda one: one.sequence, default=None)
    if newest and newest.sequence > sequence:
        _raise(
            Damage.TRUNCATED,
            end,
            sequence + 1,
            f"the log ends at record {sequence}, {newest.why(newest.sequence)}",
        )


def _read_head(folder: Path, key: Ed25519PublicKey, has_files: bool) -> tuple[int, str] | None:
    nowhere = _Place("", 0, b"", None)
    try:
        with (folder / HEAD_NAME).open("rb") as file:
            line = file.read(MAXIMUM_LINE).rstrip(b"\n")
    except FileNotFoundError:
        if has_files:
            _raise(Damage.TRUNCATED, nowhere, 0, f"the file {HEAD_NAME} is missing")
        return None
    link = parse_link(line)
    if link is None or not is_signed_by(line, link, key):
        where = _Place(HEAD_NAME, 1, b"", None)
        _raise(
            Damage.REPLACED,
            where,
            link.sequence if link else 0,
            "the newest checkpoint is not signed by this key",
        )
        return None
    return link.sequence, hash_line(line)


def _check_signature(place: _Place, link: Link, key: Ed25519PublicKey, begins_file: bool) -> str:
    """Which signed line this is, or "". A file's first line must be its own header."""
    part = signed_part(place.data) if link.signature is not None else None
    if part is None:
        if begins_file:
            _raise(Damage.REPLACED, place, link.sequence, "the file has no header")
        return ""
    what, file = part
    if not is_signed_by(place.data, link, key):
        if names_key(place.data, key):
            _raise(
                Damage.CHANGED, place, link.sequence, f"the {what} is not what its signature signs"
            )
        _raise(Damage.REPLACED, place, link.sequence, f"the {what} is not signed by this key")
    if file != place.file or begins_file != (what == "header"):
        detail = f"this is a {what} of {file}"
        _raise(Damage.REPLACED, place, link.sequence, detail)
    return what


def _check_known(
    place: _Place,
    sequence: int,
    line_hash: str,
    head: tuple[int, str] | None,
    wanted: dict[int, list[Seen]],
) -> None:
    if head and sequence == head[0] and line_hash != head[1]:
        _raise(Damage.CHANGED, place, sequence, "it is not the checkpoint that the head file holds")
    for one in wanted.get(sequence, ()):
        if one.hash != line_hash:
            by = f"that chain {one.by} saw" if one.by else "that was expected"
            _raise(Damage.REPLACED, place, sequence, f"its hash is not the one {by}")


def _raise(damage: Damage, place: _Place, sequence: int, detail: str) -> None:
    raise _FaultFound(Fault(damage, sequence, place.file, place.line, detail))


def _raise_unreadable(walk: _Walk, place: _Place, sequence: int) -> None:
    is_last = next(walk.after(place), None) is None
    if is_last:
        _raise(
            Damage.TRUNCATED, place, sequence + 1, "the last line is not whole (torn or cut off)"
        )
    _raise(Damage.CHANGED, place, sequence + 1, "the line is not an audit record")


def _raise_unlinked(
    walk: _Walk, place: _Place, link: Link, previous: _Place | None, sequence: int, prev: str
) -> None:
    """A record does not follow the one before it: find out which is wrong, and how."""
    expected = sequence + 1
    if link.prev == prev:
        _raise(Damage.CHANGED, place, expected, "its sequence number is not the next one")
    following = list(islice(walk.after(place), LOOK_AHEAD))
    if link.sequence == expected and previous is not None:
        successor = following[0].link if following else None
        own_hash = hash_line(place.data)
        if successor is None or successor.prev == own_hash:
            # What comes later vouches for this record, so the one before it is wrong;
            # nothing vouches for the very last one, and its ``prev`` is as believable.
            _raise(Damage.CHANGED, previous, sequence, "its hash is not what the next one names")
        _raise(Damage.CHANGED, place, expected, "it does not name the hash of the one before it")
    if link.sequence <= sequence:
        _raise(Damage.DUPLICATED, place, link.sequence, f"it comes again after record {sequence}")
    if any(later.link and later.link.sequence == expected for later in following):
        _raise(Damage.REORDERED, place, link.sequence, f"it stands where record {expected} belongs")
    last = link.sequence - 1
    gone = f"record {expected} is" if last == expected else f"records {expected} to {last} are"
    _raise(Damage.REMOVED, place, expected, f"{gone} missing before this line")
