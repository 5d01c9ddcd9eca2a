"""A table or a query as CSV: streamed, in memory that does not grow with it.

PostgreSQL: COPY TO STDOUT, whose bytes go on as they come. MySQL: rows as they are read,
one after the other; the server waits while whoever takes them is slow.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from proxy.administration.trail import audited
from proxy.administration.workplace import Desk
from proxy.audit.events import READ, entity_changed
from proxy.content import mysql, postgres
from proxy.content.answers import Session, StepFailed
from proxy.content.csvpatterns import harmless_pattern
from proxy.content.csvtext import (
    MAX_RECORD,
    CsvReader,
    Line,
    Run,
    is_number_type,
    neutralised,
    written,
)
from proxy.content.csvvisit import Tell, carried
from proxy.content.entrance import Entrance
from proxy.content.naming import workspace_named
from proxy.content.sessions import OPENERS, Open
from proxy.content.tables import TableName
from proxy.content.transfers import Progress
from proxy.store import Workspace

Sink = Callable[[bytes], Awaitable[None]]
"""Takes the next bytes, and returns when more may come."""

_CHUNK: Final = 64 * 1024


async def export_csv(
    place: Desk,
    entrance: Entrance,
    named: str | Workspace,
    source: str,
    what: TableName | str,
    sink: Sink,
    *,
    neutralise: bool = False,
    tell: Tell = lambda progress: None,
    openers: Mapping[str, Open] = OPENERS,
    transfer_id: str | None = None,
) -> Progress:
    """Write a table, or a query's result, to ``sink``, with a header of the columns' names.

    ``neutralise`` makes texts harmless that a spreadsheet would calculate. Raises
    StepFailed, NotFound, LimitReached.
    """
    workspace = await workspace_named(place.store, named)
    found = await place.store.source(workspace, source)
    query = what
    if isinstance(what, TableName):
        query = f"SELECT * FROM {what.quoted(found.engine)}"  # noqa: S608 - a quoted name
    assert isinstance(query, str)
    event = entity_changed(
        READ,
        actor=place.actor,
        workspace_id=workspace.id,
        entity_type="CSV export",
        entity_id=found.id,
        name=source,
        changes={"table": str(what)} if isinstance(what, TableName) else {"query": True},
    )

    async def act() -> Progress:
        table = str(what) if isinstance(what, TableName) else ""
        async with carried(
            place,
            entrance,
            workspace,
            "export",
            source,
            table,
            tell=tell,
            openers=openers,
            transfer_id=transfer_id,
        ) as carrier:
            return await _export(carrier.session, query, _Counted(sink, carrier.tell), neutralise)

    return await audited(place.trail, event, act, place.warn)


class _Counted:
    """A sink that counts, and tells."""

    def __init__(self, sink: Sink, tell: Tell) -> None:
        self._sink = sink
        self._tell = tell
        self.progress = Progress()

    async def __call__(self, data: bytes, rows: int) -> None:
        await self._sink(data)
        self.progress = replace(
            self.progress,
            rows=self.progress.rows + rows,
            bytes=self.progress.bytes + len(data),
        )
        self._tell(self.progress)


async def _export(session: Session, query: str, sink: _Counted, neutralise: bool) -> Progress:
    if isinstance(session, postgres.PostgresSession):
        with postgres.translated():
            await _from_postgresql(session.connection, query, sink, neutralise)
    else:
        assert isinstance(session, mysql.MysqlSession)
        with mysql.translated():
            await _from_mysql(session, query, sink, neutralise)
    return sink.progress


async def _from_postgresql(connection: Any, query: str, sink: _Counted, neutralise: bool) -> None:
    # Prepared first: a text that is no single query is refused here, and could mean something
    # else between COPY's brackets.
    query = query.rstrip().removesuffix(";") + "\n"
    attributes = (await connection.prepare(query)).get_attributes()
    if not attributes:
        raise StepFailed("this statement gives no rows to export", "no-rows", had_no_effect=True)
    await sink(written([attribute.name for attribute in attributes]), 0)
    reader = CsvReader()
    types = [attribute.type.name for attribute in attributes]
    reader.pattern = harmless_pattern(types)
    are_numbers = [is_number_type(name) for name in types]

    async def passed(data: bytes) -> None:
        # COPY sends a row in a message, and asyncpg several of them at once.
        await sink(bytes(data), 0)

    async def rewritten(data: bytes) -> None:
        lines = [_harmless(piece, are_numbers) for piece in reader.pieces(bytes(data))]
        if lines:
            await sink(b"".join(lines), 0)

    status = await connection.copy_from_query(
        query, output=rewritten if neutralise else passed, format="csv"
    )
    await sink(b"", int(status.rsplit(" ", 1)[-1]))


def _harmless(piece: Line | Run, are_numbers: Sequence[bool]) -> bytes:
    if isinstance(piece, Run):
        return piece.data.replace(b"\n", b"\r\n")
    if piece.problem:
        raise StepFailed(
            f"a row of more than {MAX_RECORD} bytes cannot be neutralised", "too-large"
        )
    return neutralised(piece, are_numbers)


async def _from_mysql(
    session: mysql.MysqlSession, query: str, sink: _Counted, neutralise: bool
) -> None:
    found = await session.lines(query, neutralise=neutralise)
    if found is None:
        raise StepFailed("this statement gives no rows to export", "no-rows", had_no_effect=True)
    columns, pieces = found
    await sink(written([column.name for column in columns]), 0)
    held, size = [], 0
    async with aclosing(pieces):
        async for lines in pieces:
            held += lines
            size += sum(map(len, lines))
            if size >= _CHUNK:
                await sink(b"".join(held), len(held))
                held, size = [], 0
    await sink(b"".join(held), len(held))
