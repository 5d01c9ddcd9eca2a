"""The audit log: searched in pages, exported as a stream, verified. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from threading import Event
from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from proxy.admin.call import Admitted, Call
from proxy.admin.endpoint import Endpoint
from proxy.admin.paging import DEFAULT, bad_cursor, cursor_of, place_of
from proxy.admin.shapes import Answer, Cursor, Limit, Page
from proxy.administration.audit_log import Stopped, as_lines, find_page, stream
from proxy.audit import sheet
from proxy.audit.crosscheck import verify_all
from proxy.audit.files import AuditFolderError
from proxy.audit.read import Filters, Record
from proxy.audit.report import Report

LINES = "application/x-ndjson"
CSV = "text/csv"

Since = Annotated[AwareDatetime | None, Query(description="Records from this moment on.")]
Until = Annotated[AwareDatetime | None, Query(description="Records before this moment.")]
Word = Annotated[str, Query(max_length=200)]
TableName = Annotated[
    str,
    Query(
        max_length=200,
        description="A table, or schema.table: its name's statements are read again to find it.",
    ),
]
Format = Annotated[
    Literal["ocsf", "csv"], Query(description="One OCSF record a line, or docs/admin.md's columns.")
]
Class = Annotated[int | None, Query(ge=1, le=9_999, description="An OCSF class, as 6005.")]


class ChainAnswer(Answer):
    """One chain as it was found. ``fault``: the first bad record, in a sentence."""

    name: str
    is_intact: bool
    fault: str | None
    records: int
    files: int
    last_sequence: int
    last_hash: str
    unsigned_tail: int
    unrecorded: int
    notes: list[str]

    @classmethod
    def of(cls, name: str, report: Report) -> ChainAnswer:
        """From the report."""
        return cls(
            name=name,
            is_intact=report.is_intact,
            fault=None if report.fault is None else str(report.fault),
            records=report.records,
            files=report.files,
            last_sequence=report.last_sequence,
            last_hash=report.last_hash,
            unsigned_tail=report.unsigned_tail,
            unrecorded=len(report.unrecorded),
            notes=report.notes,
        )


class Verified(Answer):
    """Whether the log is whole."""

    is_intact: bool
    chains: list[ChainAnswer]


def _filters(
    call: Admitted,
    since: Since = None,
    until: Until = None,
    workspace: Word = "",
    source: Word = "",
    actor: Word = "",
    kind: Word = "",
    outcome: Word = "",
    session: Word = "",
    text: Word = "",
    table: TableName = "",
    class_uid: Class = None,
) -> Filters:
    """What is asked for. A workspace's key sees the records of that workspace alone."""
    return Filters(
        since=_seconds(since),
        until=_seconds(until),
        workspace=workspace,
        source=source,
        actor=actor,
        kind=kind,
        outcome=outcome,
        session=session,
        text=text,
        table=table,
        class_uid=class_uid,
        tenant=call.key.workspace_id or "",
    )


Asked = Annotated[Filters, Depends(_filters)]


async def search_audit(
    call: Admitted, asked: Asked, limit: Limit = DEFAULT, cursor: Cursor = None
) -> Page[Record]:
    """The oldest first."""
    after = {} if cursor is None else _places(cursor)
    async with call.office.reading():
        found = await asyncio.to_thread(
            find_page, call.office.config.audit.folder, asked, after, limit
        )
    following = None if found.places is None else cursor_of("audit", found.places)
    return Page(items=found.records, next_cursor=following)


async def export_audit(call: Admitted, asked: Asked, format: Format = "ocsf") -> StreamingResponse:
    """One record a line, the oldest first."""
    async with call.office.reading():
        if not call.office.config.audit.folder.is_dir():
            raise AuditFolderError("there is no audit log yet")
    if format == "csv":
        return StreamingResponse(
            _written(call, asked, sheet.lines, sheet.header()),
            media_type=CSV,
            headers={"Content-Disposition": 'attachment; filename="audit.csv"'},
        )
    return StreamingResponse(_written(call, asked, as_lines), media_type=LINES)


async def verify_audit(call: Admitted) -> Verified:
    """Every record of every chain: whether any was changed, removed or replaced."""
    folder = call.office.config.audit.folder
    if not folder.is_dir():
        raise AuditFolderError("there is no audit log yet")
    key = call.office.vault.verification_key()
    async with call.office.reading():
        reports = await asyncio.to_thread(verify_all, folder, key, {}, may_start_late=False)
    chains = [ChainAnswer.of(name, report) for name, report in reports.items()]
    return Verified(is_intact=all(one.is_intact for one in chains), chains=chains)


async def _written(
    call: Call, asked: Filters, write: Callable[[Iterable[Record]], bytes], header: bytes = b""
) -> AsyncIterator[bytes]:
    stopped = Event()
    batches = stream(call.office.config.audit.folder, asked, stopped.is_set)
    try:
        async with call.office.reading_in_turn():
            if header:
                yield header
            while batch := await asyncio.to_thread(next, batches, None):
                yield write(batch)
    except Stopped:
        return
    finally:
        # The thread that searches cannot be cancelled; it asks whether anybody waits.
        stopped.set()


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _places(cursor: str) -> dict[str, int]:
    place = place_of("audit", cursor)
    if len(place) != 1 or not isinstance(place[0], dict) or len(place[0]) > 128:
        raise bad_cursor()
    places: dict[str, Any] = place[0]
    if not all(type(sequence) is int for sequence in places.values()):
        raise bad_cursor()
    return places


_LINES_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One record a line.",
        "content": {kind: {"schema": {"type": "string"}} for kind in (LINES, CSV)},
    }
}

ENDPOINTS = (
    Endpoint("GET", "/v1/audit/records", "searchAudit", search_audit, "Search the audit log"),
    Endpoint(
        "GET",
        "/v1/audit/export",
        "exportAudit",
        export_audit,
        "Export the audit log",
        answers=_LINES_ANSWER,
    ),
    Endpoint("POST", "/v1/audit/verify", "verifyAudit", verify_audit, "Verify the audit log"),
)
