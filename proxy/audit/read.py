"""Search and tail over an audit folder, across its rotated files and all its chains.

The chains of several workers are merged by time: each keeps its own order, and a record of
another chain than the folder's own says so (``metadata.log_name``). Knows files and records.
Verifies nothing (that is ``verify``) and changes nothing; may be used while a proxy writes.
Streams: memory does not grow with the log, but holds the lines of one file's open sessions
(``FileLines``), which their statements are read with.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path

from proxy.audit.chain import HEAD_NAME, hash_line, parse_link
from proxy.audit.chains import MAIN, chain_folders
from proxy.audit.expand import FileLines, Line, Record, record_of
from proxy.audit.files import audit_files, day_of, lines_of
from proxy.audit.tables import Table

__all__ = ["Filters", "Record", "checkpoint", "search", "tail"]

_MAXIMUM_TAIL = 100_000


@dataclass(frozen=True, slots=True)
class Filters:
    """What to look for; what is None or "" matches everything.

    ``since`` and ``until`` are wall-clock seconds, the second not included. ``workspace``,
    ``source`` and ``actor`` match an id or a name; ``text`` is searched in the statement
    and the message, upper and lower case alike. ``table`` is ``table`` or ``schema.table``, and
    found as ``tables`` says. ``class_uid`` is an OCSF class. ``tenant`` is a workspace's id and
    nothing else: a name could be made to look like one.
    """

    since: float | None = None
    until: float | None = None
    workspace: str = ""
    source: str = ""
    actor: str = ""
    kind: str = ""
    outcome: str = ""
    session: str = ""
    text: str = ""
    table: str = ""
    class_uid: int | None = None
    tenant: str = ""

    def matches(self, record: Record) -> bool:
        """Whether a record passes every filter."""
        milliseconds = record.get("time")
        # A line that was changed may have anything in its place.
        seconds = milliseconds / 1000 if isinstance(milliseconds, int | float) else 0.0
        if self.since is not None and seconds < self.since:
            return False
        if self.until is not None and seconds >= self.until:
            return False
        if self.class_uid is not None and record.get("class_uid") != self.class_uid:
            return False
        metadata, extra = _object(record, "metadata"), _object(record, "unmapped")
        if self.tenant and self.tenant != metadata.get("tenant_uid"):
            return False
        if self.workspace and self.workspace not in (
            metadata.get("tenant_uid"),
            extra.get("workspace"),
        ):
            return False
        if self.session and self.session != metadata.get("correlation_uid"):
            return False
        if self.kind and self.kind != extra.get("kind"):
            return False
        if self.outcome and self.outcome != extra.get("outcome"):
            return False
        if self.source and self.source not in _names(record, "dst_endpoint", "service", "database"):
            return False
        if self.actor and self.actor not in _actors(record):
            return False
        if self.text and not _has_text(record, self.text.casefold()):
            return False
        # The last, for it may have to read a text.
        return not self.table or Table.parse(self.table).is_in(record)


def _object(record: Record, name: str) -> Record:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _names(record: Record, *attributes: str) -> list[object]:
    return [_object(record, a).get(key) for a in attributes for key in ("name", "uid")]


def _actors(record: Record) -> list[object]:
    user = _object(record, "user")
    actor = _object(_object(record, "actor"), "user")
    return [user.get("uid"), user.get("name"), actor.get("uid"), actor.get("name")]


def _has_text(record: Record, text: str) -> bool:
    query = _object(record, "query_info").get("query_string", "")
    return text in str(query).casefold() or text in str(record.get("message", "")).casefold()


def _nothing() -> None:
    """A pulse that stops nothing."""


def search(
    folder: Path,
    filters: Filters,
    *,
    after: Mapping[str, int] | None = None,
    pulse: Callable[[], None] = _nothing,
) -> Iterator[Record]:
    """The matching records, oldest first. A line that is no record is passed over.

    ``after``: by chain, the sequence behind which to begin. ``pulse`` is called for each
    line that is looked at, and may raise to end the search. Files that ended before either
    are not read. Raises OSError.
    """
    places = after or {}
    return _merged(
        _named(name, _search_chain(path, filters, places.get(name, -1), pulse))
        for name, path in chain_folders(folder).items()
    )


def _search_chain(
    folder: Path, filters: Filters, after: int, pulse: Callable[[], None]
) -> Iterator[Record]:
    files = audit_files(folder)
    for index, path in enumerate(files):
        following = files[index + 1] if index + 1 < len(files) else None
        if filters.since is not None and following is not None:
            if day_of(following.name) < _day(filters.since):
                continue
        if following is not None and _begins_by(following, after + 1):
            continue
        for line in _shown(lines_of(path), FileLines()):
            pulse()
            record = record_of(line)
            if record is None or not filters.matches(record):
                continue
            if after < 0 or _object(record, "metadata").get("sequence", 0) > after:
                yield record


def _begins_by(path: Path, sequence: int) -> bool:
    """Whether a file's first record is of that sequence or an earlier one."""
    first = next(iter(lines_of(path)), b"")
    link = parse_link(first.rstrip(b"\n"))
    return link is not None and link.sequence <= sequence


def _named(name: str, records: Iterable[Record]) -> Iterator[Record]:
    """With the chain's name in each record, but for the folder's own chain."""
    for record in records:
        if name != MAIN:
            _object(record, "metadata")["log_name"] = f"audit/{name}"
        yield record


def _merged(chains: Iterable[Iterable[Record]]) -> Iterator[Record]:
    """By time, as far as each chain's own order allows: a statement's time is its begin, and
    its record stands where it ended.
    """

    def timed(records: Iterable[Record]) -> Iterator[tuple[int, Record]]:
        newest = 0
        for record in records:
            newest = max(newest, record.get("time", 0))
            yield newest, record

    for _, record in heapq.merge(*map(timed, chains), key=itemgetter(0)):
        yield record


def tail(
    folder: Path,
    count: int = 10,
    *,
    follow: bool = False,
    wait: Callable[[], None] = lambda: time.sleep(0.25),
) -> Iterator[Record]:
    """The newest ``count`` records (at most 100,000), then, if asked, those to come.

    ``wait`` is called when there is nothing new; it may raise to end the following.
    """
    needed = max(0, min(count, _MAXIMUM_TAIL))
    followed = {name: _Chain(path) for name, path in chain_folders(folder).items()}
    newest: deque[Record] = deque(maxlen=needed)
    newest.extend(
        _merged([_named(name, one.newest(needed, follow)) for name, one in followed.items()])
    )
    yield from newest
    while follow:
        has_more = False
        for name, path in chain_folders(folder).items():
            for record in _named(name, followed.setdefault(name, _Chain(path)).more()):
                has_more = True
                yield record
        if not has_more:
            wait()


class _Chain:
    """One chain's end, and how far it has been read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._position = 0
        self._reader = FileLines()

    def newest(self, needed: int, follow: bool) -> Iterator[Record]:
        """The newest records, up to ``needed``; to be followed by ``more``."""
        kept: deque[Line] = deque(maxlen=needed)
        files = audit_files(self._folder)
        start = len(files)
        lines = 0
        while start > 0 and lines < needed:
            start -= 1
            lines += sum(1 for _ in _shown(lines_of(files[start]), FileLines()))
        if follow and files:
            # Also where nothing old is shown: what comes may be of a session told of before.
            start = min(start, len(files) - 1)
        for path in files[start:]:
            self._path, self._position, self._reader = path, 0, FileLines()
            for data in lines_of(path):
                if data.endswith(b"\n"):
                    self._position += len(data)
                    if (line := self._reader.take(data)) is not None:
                        kept.append(line)
        for line in kept:
            if (record := record_of(line)) is not None:
                yield record

    def more(self) -> Iterator[Record]:
        """What has come since."""
        while True:
            if self._path is not None:
                yield from self._rest_of(self._path)
            later = [
                path
                for path in audit_files(self._folder)
                if self._path is None or _order(path) > _order(self._path)
            ]
            if not later:
                return
            self._path, self._position, self._reader = later[0], 0, FileLines()

    def _rest_of(self, path: Path) -> Iterator[Record]:
        with path.open("rb") as file:
            file.seek(self._position)
            for data in file:
                if not data.endswith(b"\n"):
                    return
                self._position += len(data)
                line = self._reader.take(data)
                if line is not None and (record := record_of(line)) is not None:
                    yield record


def _shown(lines: Iterable[bytes], reader: FileLines) -> Iterator[Line]:
    for data in lines:
        if (line := reader.take(data)) is not None:
            yield line


def _order(path: Path) -> tuple[str, int]:
    _, day, number = path.stem.split("-")
    return day, int(number)


def checkpoint(folder: Path) -> tuple[int, str] | None:
    """The newest checkpoint's (sequence, hash): what to keep elsewhere for ``expect``."""
    try:
        line = (folder / HEAD_NAME).read_bytes().rstrip(b"\n")
    except FileNotFoundError:
        return None
    link = parse_link(line)
    return (link.sequence, hash_line(line)) if link else None


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d")
