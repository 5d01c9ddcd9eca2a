"""The audit log in pages and as a stream. Blocks: call it in a thread."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from proxy.audit.chains import MAIN
from proxy.audit.files import AuditFolderError
from proxy.audit.read import Filters, Record, search

SEARCH_SECONDS = 20.0
"""The longest that one page may take to be found: beyond it the time range must be narrower."""


class SearchTooLong(Exception):
    """A page was not found in time; one sentence for whoever asked."""


@dataclass(frozen=True, slots=True)
class FoundPage:
    """``places``: by chain, the last sequence that was given; None: the log's end was reached."""

    records: list[Record]
    places: dict[str, int] | None


def find_page(
    folder: Path,
    filters: Filters,
    after: Mapping[str, int],
    limit: int,
    clock: Callable[[], float] = time.monotonic,
) -> FoundPage:
    """At most ``limit`` records behind those places. Raises SearchTooLong, AuditFolderError."""
    ends = clock() + SEARCH_SECONDS

    def pulse() -> None:
        if clock() > ends:
            raise SearchTooLong(
                f"nothing more was found within {SEARCH_SECONDS:g} seconds; give a narrower"
                " range of time"
            )

    _check(folder)
    records: list[Record] = []
    places = dict(after)
    for record in search(folder, filters, after=after, pulse=pulse):
        if len(records) == limit:
            return FoundPage(records, places)
        records.append(record)
        chain, sequence = place_of(record)
        places[chain] = max(sequence, places.get(chain, sequence))
    return FoundPage(records, None)


class Stopped(Exception):
    """Nobody reads any more."""


def stream(
    folder: Path, filters: Filters, is_stopped: Callable[[], bool], size: int = 200
) -> Iterator[list[Record]]:
    """The matching records, so many at a time. Raises Stopped, AuditFolderError."""

    def pulse() -> None:
        if is_stopped():
            raise Stopped

    _check(folder)
    found = search(folder, filters, pulse=pulse)
    while batch := list(islice(found, size)):
        yield batch


def as_lines(records: Iterable[Record]) -> bytes:
    """One record of OCSF a line."""
    return b"".join(
        json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in records
    )


def place_of(record: Record) -> tuple[str, int]:
    """The chain and the sequence of a record, as ``search`` gives it."""
    metadata = record["metadata"]
    # "audit" is the folder's own chain, "audit/NAME" another one.
    _, _, name = str(metadata["log_name"]).partition("/")
    return name or MAIN, int(metadata["sequence"])


def _check(folder: Path) -> None:
    if not folder.is_dir():
        raise AuditFolderError("there is no audit log yet")
