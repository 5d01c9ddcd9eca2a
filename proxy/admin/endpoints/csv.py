"""Rows of a data source as CSV: out of it as they come, and into it as they are sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

from fastapi import Query, Request, Response
from pydantic import Field, StrictBool

from proxy.admin.call import Admitted
from proxy.admin.endpoint import Endpoint
from proxy.admin.pace import Pace
from proxy.admin.problems import Problem
from proxy.admin.shapes import Answer, Body, SourceName, WorkspaceName
from proxy.admin.streamed import Streamed, Write
from proxy.admin.upload import Upload
from proxy.content.csvexport import export_csv
from proxy.content.csvimport import Chunks, Plan, Report, import_csv
from proxy.content.csvstream import kept, passed_once
from proxy.content.entrance import Entrance
from proxy.content.runs import new_run_id
from proxy.content.tables import TableName

KIND: Final = "text/csv"
_PIECE: Final = 64 * 1024

Table = Annotated[str, Query(min_length=1, max_length=256, description="table or schema.table.")]


class ExportCsv(Body):
    """What to export: a table, or a query without parameters; one of them."""

    table: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None, examples=["public.orders"]
    )
    query: Annotated[str, Field(min_length=1, max_length=100_000)] | None = None
    neutralise: StrictBool = Field(
        default=False, description="Put a ' before texts that a spreadsheet would calculate."
    )

    def what(self) -> TableName | str:
        """As the export takes it. Raises Problem."""
        if self.table is not None and self.query is None:
            return TableName.parse(self.table)
        if self.query is not None and self.table is None:
            return self.query
        raise Problem(422, "invalid", "Give a table or a query, one of them.")


class CsvColumn(Answer):
    """A column, and its type in the words of the data source."""

    name: str
    type: str


class BadLine(Answer):
    """A line that was left out, or with a dry run would be."""

    line: int
    problem: str


class ReportAnswer(Answer):
    """What came of an import. ``rows``: that were stored, or with a dry run could be."""

    rows: int
    bytes: int
    is_stored: bool
    columns: list[CsvColumn]
    bad_lines: list[BadLine]

    @classmethod
    def of(cls, report: Report) -> ReportAnswer:
        """From the report."""
        return cls(
            rows=report.rows,
            bytes=report.bytes,
            is_stored=report.is_stored,
            columns=[CsvColumn(name=name, type=kind) for name, kind in report.columns],
            bad_lines=[BadLine(line=bad.number, problem=bad.problem) for bad in report.bad],
        )


async def export_rows(
    call: Admitted,
    workspace: WorkspaceName,
    source: SourceName,
    body: ExportCsv,
    request: Request,
) -> Response:
    """RFC 4180 in UTF-8 with a header. A file that cannot be finished has no last chunk."""
    office, what, transfer_id = call.office, body.what(), new_run_id()
    await call.source(source)

    async def work(write: Write) -> None:
        gathered = _Gathered(write, office.pace)
        async with office.transfer():
            await export_csv(
                call.place,
                Entrance.of(office.config),
                call.here,
                source,
                what,
                gathered,
                neutralise=body.neutralise,
                openers=office.openers,
                transfer_id=transfer_id,
            )
        await gathered.flush()

    headers = {
        "Content-Disposition": f'attachment; filename="{source}.csv"',
        "Transfer-Id": transfer_id,
    }
    return Streamed(request, work, f"{KIND}; charset=utf-8; header=present", headers)


async def import_rows(
    call: Admitted,
    workspace: WorkspaceName,
    source: SourceName,
    request: Request,
    table: Table,
    create: bool = False,
    skip_bad_lines: bool = False,
    dry_run: bool = False,
) -> ReportAnswer:
    """The first line names the columns. All or nothing, or without the bad lines."""
    office = call.office
    upload = Upload(request, KIND, office.config.admin.csv_limit)
    try:
        await call.source(source)
        upload.check()
        plan = Plan(
            TableName.parse(table),
            create=create,
            on_bad="skip" if skip_bad_lines else "stop",
            is_dry_run=dry_run,
        )
        async with office.transfer(), _chunks(upload, plan) as chunks:
            report = await import_csv(
                call.place,
                Entrance.of(office.config),
                call.here,
                source,
                plan,
                chunks,
                openers=office.openers,
            )
    except Exception:
        # Whatever it is, it is answered, a bug too, and the answer has to arrive.
        await upload.linger()
        raise
    return ReportAnswer.of(report)


@asynccontextmanager
async def _chunks(upload: Upload, plan: Plan) -> AsyncIterator[Chunks]:
    if not plan.create:
        yield passed_once(upload.pieces())
        return
    async with kept(upload.pieces()) as chunks:
        yield chunks


class _Gathered:
    """Small pieces as larger ones, at the pace of all exports: a query that fails at its first row
    gets a problem document.
    """

    def __init__(self, write: Write, pace: Pace) -> None:
        self._write = write
        self._pace = pace
        self._held = bytearray()

    async def __call__(self, data: bytes) -> None:
        self._held += data
        if len(self._held) >= _PIECE:
            await self.flush()

    async def flush(self) -> None:
        """Pass on what is held."""
        data = bytes(self._held)
        self._held.clear()
        await self._write(data)
        await self._pace.keep(len(data))


_CSV = "/v1/workspaces/{workspace}/sources/{source}/csv"
_ROWS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The rows, a header before them.",
        "content": {f"{KIND}; charset=utf-8; header=present": {"schema": {"type": "string"}}},
    }
}

ENDPOINTS = (
    Endpoint(
        "POST",
        f"{_CSV}/export",
        "exportCsv",
        export_rows,
        "Export a table or a query as CSV",
        has_body=True,
        may_conflict=True,
        asks_proxy=True,
        answers=_ROWS,
    ),
    Endpoint(
        "POST",
        f"{_CSV}/import",
        "importCsv",
        import_rows,
        "Import CSV into a table",
        upload=KIND,
        may_conflict=True,
        asks_proxy=True,
    ),
)
