"""The journal: a statement's verdict on record before its bytes leave, for a memcpy.

Knows a file mapped into memory. Must never know chains, JSON or event loops, and is
never given a text that may hold a secret.

The pages of a shared mapping belong to the kernel: what was copied into them survives
the death of the process by any signal. They are not synced, so a power failure may
take the newest entries; what must survive that (a credential's use) is a durable
record of the log. The file's space is reserved with posix_fallocate, so a full disk
cannot kill the process with SIGBUS.

Layout: ``segments`` of ``SEGMENT`` bytes. A segment begins with ``SEGMENT_HEAD`` (magic,
epoch, size); entries follow back to back, each a ``HEAD`` and its text. The first entry whose
epoch or checksum does not fit is the segment's end; epochs count on from a random number. An
entry is settled (its first byte becomes 1) once its record has been written to the chain; a
segment with nothing unsettled is used again under the next epoch. When no free segment is
left but one, the unsettled entries of the emptiest are copied into that one: a log-structured
cleaner, so a statement that runs for a week costs one entry and not the journal.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from zlib import crc32

import cython

from protocols.statements import Statement
from proxy.audit.entry import CHECK, HEAD, HEAD_SIZE

if cython.compiled:
    from cython.cimports.proxy.audit.entry import write_entry
else:
    from proxy.audit.entry import write_entry

SEGMENT = 2 * 1024 * 1024
"""Bytes: small enough to stay in a CPU's cache, as two of them usually alternate."""

SEGMENTS = 32
"""64 MiB in all: about 500,000 running statements of 60 bytes, or 60,000 sessions."""

MAXIMUM_SEGMENT = 64 * 1024 * 1024
"""Bytes a reader takes into memory at once."""

TEXT_LIMIT = 2048
"""Bytes of a statement's text that are journaled; the whole goes into its record."""

_TEXT_LIMIT = TEXT_LIMIT
NAME = "journal"
SEGMENT_HEAD = struct.Struct("<8sII")
_MAGIC = b"ACPJRNL1"
_HEAD_SIZE = HEAD_SIZE
_SESSION = 1
_STATEMENT = 2
_MAXIMUM_SESSION = 0xFFFF


class JournalFullError(Exception):
    """More statements run than the journal has room for."""


class Placed(Protocol):
    """Something that has a place in the journal."""

    place: int


@dataclass(frozen=True, slots=True)
class JournaledStatement:
    """A statement that was allowed and whose record was not seen to be written."""

    session: int
    number: int
    time: float
    text: bytes
    text_length: int


@dataclass(frozen=True, slots=True)
class JournalContents:
    """What a dead process left: unsettled entries, and every session entry seen."""

    sessions: dict[int, bytes]
    open_sessions: list[int]
    statements: list[JournaledStatement]


class Journal:
    """The journal of a running process. Not thread-safe: the event loop's alone."""

    def __init__(self, mapped: mmap.mmap, segment_size: int, segments: int) -> None:
        self._map = mapped
        # For single bytes: compiled, an index is one store; and an address to write to.
        self._view = memoryview(mapped)
        self._base = cython.address(self._view[0]) if cython.compiled else self._view
        self._segment_size = segment_size
        self._segments = segments
        # A secret of this journal's: behind the newest entry lies what clients wrote before,
        # which must not be taken for one.
        self._epoch = int.from_bytes(os.urandom(4), "big")
        self.unsettled: dict[int, Placed] = {}
        """By place, oldest first. The object's ``place`` follows when its entry moves."""
        self.cursor = 0
        self.limit = 0
        self._open_segment(0)

    @classmethod
    def create(
        cls, folder: Path, *, segment_size: int = SEGMENT, segments: int = SEGMENTS
    ) -> Journal:
        """Reserve a new journal and put it in the place of an old one. Raises OSError."""
        if segments < 3 or segment_size < 2 * (_HEAD_SIZE + _MAXIMUM_SESSION):
            raise ValueError("a journal needs three segments, each larger than two sessions")
        size = segment_size * segments
        path = folder / (NAME + ".new")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
            mapped = mmap.mmap(descriptor, size)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        journal = cls(mapped, segment_size, segments)
        path.rename(folder / NAME)
        return journal

    def close(self) -> None:
        """Let go of the mapping; the file stays."""
        self._view = memoryview(bytearray(1))
        if not cython.compiled:
            self._base = self._view
        # No entry fits any more, and none is settled: what comes all the same meets a closed
        # map, not memory.
        self.cursor = self.limit = 0
        self.unsettled.clear()
        self._map.close()

    def begin_session(self, owner: Placed, session: int, time: float, data: bytes) -> None:
        """Write a session's constants; it stays unsettled until the session has closed."""
        if len(data) > _MAXIMUM_SESSION:
            raise ValueError("a session's constants are longer than the journal takes")
        self._append(owner, _SESSION, session, 0, time, data, len(data))

    def begin(
        self, owner: Placed, session: int, number: int, time: float, text: bytes, length: int
    ) -> int:
        """Write a statement's entry; its place, which is for the owner to remember.

        Raises JournalFullError.
        """
        stored = len(text)
        if stored > _TEXT_LIMIT:
            stored = _TEXT_LIMIT
        place = self.cursor
        end = place + _HEAD_SIZE + stored
        if end > self.limit:
            return self._append(owner, _STATEMENT, session, number, time, text[:stored], length)
        write_entry(
            self._base, place, _STATEMENT, self._epoch, session, number, time, length, text, stored
        )
        self.cursor = end
        self.unsettled[place] = owner
        return place

    def settle(self, owner: Placed) -> None:
        """The owner's record is written: a crash needs its entry no more."""
        place = owner.place
        if self.unsettled.pop(place, None) is not None:
            self._map[place] = 1

    def settle_all(self, owners: list[Placed]) -> None:
        """Settle each of them: a whole batch is written."""
        unsettled, view = self.unsettled, self._view
        for owner in owners:
            if isinstance(owner, Statement):
                # Nearly all of them, and compiled a field.
                statement = owner
                place = statement.place
            else:
                place = owner.place
            if unsettled.pop(place, None) is not None:
                view[place] = 1

    def _append(
        self,
        owner: Placed,
        kind: int,
        session: int,
        number: int,
        time: float,
        text: bytes,
        length: int,
    ) -> int:
        stored = len(text)
        size = _HEAD_SIZE + stored
        if self.cursor + size > self.limit:
            self._turn(size)
        place = self.cursor
        write_entry(
            self._base, place, kind, self._epoch, session, number, time, length, text, stored
        )
        self.cursor = place + size
        owner.place = place
        self.unsettled[place] = owner
        return place

    def _open_segment(self, segment: int) -> None:
        self._epoch = (self._epoch + 1) & 0xFFFFFFFF
        start = segment * self._segment_size
        first = start + SEGMENT_HEAD.size
        # Nothing of the older epoch may follow the head of the newer one.
        HEAD.pack_into(self._map, first, 0, 0, 0, 0, 0, 0, 0.0, 0)
        SEGMENT_HEAD.pack_into(self._map, start, _MAGIC, self._epoch, self._segment_size)
        self.cursor = first
        self.limit = start + self._segment_size

    def _turn(self, size: int) -> None:
        """Go on in a free segment, cleaning one if it is the last. Raises JournalFullError."""
        by_segment: dict[int, list[int]] = {}
        for place in self.unsettled:
            by_segment.setdefault(place // self._segment_size, []).append(place)
        free = [s for s in range(self._segments) if s not in by_segment]
        if not free:
            raise JournalFullError
        if len(free) > 1:
            self._open_segment(free[0])
            return
        sizes = {s: sum(map(self._size_at, places)) for s, places in by_segment.items()}
        emptiest = min(sizes, key=lambda s: sizes[s])
        # The last free segment is never spent on less room than it makes.
        if sizes[emptiest] + size > self._segment_size // 2:
            raise JournalFullError
        self._open_segment(free[0])
        for place in by_segment[emptiest]:
            self._move(place)

    def _size_at(self, place: int) -> int:
        stored: int = HEAD.unpack_from(self._map, place)[2]
        return _HEAD_SIZE + stored

    def _move(self, place: int) -> None:
        owner = self.unsettled.pop(place)
        _, kind, stored, _, session, number, time, length = HEAD.unpack_from(self._map, place)
        start = place + _HEAD_SIZE
        text = self._map[start : start + stored]
        self._append(owner, kind, session, number, time, text, length)
        self._map[place] = 1


def read_journal(folder: Path) -> JournalContents:
    """What a journal holds that is not settled, in order of time. Raises OSError.

    A missing file is an empty journal: no process has ever run here.
    """
    sessions: dict[int, bytes] = {}
    open_sessions: dict[int, None] = {}
    statements: dict[tuple[int, int], JournaledStatement] = {}
    try:
        file = (folder / NAME).open("rb")
    except FileNotFoundError:
        return JournalContents({}, [], [])
    with file:
        head = file.read(SEGMENT_HEAD.size)
        if len(head) < SEGMENT_HEAD.size:
            return JournalContents({}, [], [])
        magic, _, segment_size = SEGMENT_HEAD.unpack(head)
        if magic != _MAGIC or not 0 < segment_size <= MAXIMUM_SEGMENT:
            return JournalContents({}, [], [])
        file.seek(0)
        while segment := file.read(segment_size):
            for settled, kind, session, number, time, text, length in _entries(segment):
                if kind == _SESSION:
                    sessions[session] = text
                    if not settled:
                        open_sessions[session] = None
                elif not settled:
                    entry = JournaledStatement(session, number, time, text, length)
                    statements[session, number] = entry
    ordered = sorted(statements.values(), key=lambda s: (s.time, s.session, s.number))
    return JournalContents(sessions, sorted(open_sessions), ordered)


def _entries(segment: bytes) -> Iterator[tuple[int, int, int, int, float, bytes, int]]:
    if len(segment) < SEGMENT_HEAD.size:
        return
    magic, expected, _ = SEGMENT_HEAD.unpack_from(segment)
    if magic != _MAGIC:
        return
    place = SEGMENT_HEAD.size
    while place + _HEAD_SIZE <= len(segment):
        head = segment[place : place + HEAD.size]
        settled, kind, stored, epoch, session, number, time, length = HEAD.unpack(head)
        (check,) = CHECK.unpack_from(segment, place + HEAD.size)
        text = segment[place + _HEAD_SIZE : place + _HEAD_SIZE + stored]
        if epoch != expected or kind not in (_SESSION, _STATEMENT) or len(text) != stored:
            return
        if crc32(text, crc32(b"\0" + head[1:])) != check:
            return
        yield settled, kind, session, number, time, text, length
        place += _HEAD_SIZE + stored
