"""CSV into a table: checked, then written in batches of one transaction.

Lines that a pattern finds nothing wrong with stay together as they stand in the file; each
other one is looked at by itself. A batch that the server refuses is halved until the lines
that it refuses are alone: so a report names lines by their numbers, and the good ones can go
in without them. Memory holds one batch, whatever the file's size.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from proxy.administration.trail import audited
from proxy.administration.workplace import Desk
from proxy.audit.events import CREATE, entity_changed
from proxy.content.answers import Bounds, StepFailed
from proxy.content.csvpatterns import Guesser, known_pattern
from proxy.content.csvtargets import Piece, Target, target_of
from proxy.content.csvtext import CsvReader, Line, Run
from proxy.content.csvtypes import check_header, problem_of
from proxy.content.csvvisit import Carrier, Tell, carried
from proxy.content.entrance import Entrance
from proxy.content.naming import workspace_named
from proxy.content.problems import ContentRefused
from proxy.content.sessions import OPENERS, Open
from proxy.content.sqltext import SqlText
from proxy.content.tables import TableName, columns_text, quoted
from proxy.content.transfers import Progress
from proxy.store import Workspace

BATCH_CHARACTERS: Final = 1024 * 1024
MAX_BAD: Final = 1_000
"""Lines reported; a file with more bad lines is another file than was meant."""

Chunks = Callable[[], AsyncIterator[bytes]]
"""Opens the file from its beginning; called once to look, and once to write."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was not imported, and why."""

    number: int
    problem: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import does. ``create``: make the table, with types guessed from the whole file.

    ``on_bad``: ``stop`` imports all or nothing; ``skip`` leaves bad lines out.
    """

    table: TableName
    create: bool = False
    on_bad: Literal["stop", "skip"] = "stop"
    is_dry_run: bool = False


@dataclass(slots=True)
class Report:
    """What came of it. ``columns``: names, and the types of the table's or the guessed ones."""

    columns: tuple[tuple[str, str], ...] = ()
    rows: int = 0
    bytes: int = 0
    bad: list[BadLine] = field(default_factory=list)
    is_stored: bool = False


class ImportStopped(Exception):
    """An import that stored nothing; ``report`` names the lines. One sentence."""

    def __init__(self, sentence: str, report: Report) -> None:
        super().__init__(sentence)
        self.report = report


async def import_csv(
    place: Desk,
    entrance: Entrance,
    named: str | Workspace,
    source: str,
    plan: Plan,
    chunks: Chunks,
    *,
    tell: Tell = lambda progress: None,
    openers: Mapping[str, Open] = OPENERS,
) -> Report:
    """Import a file. Raises ImportStopped, ContentRefused, StepFailed, NotFound."""
    workspace = await workspace_named(place.store, named)
    found = await place.store.source(workspace, source)
    event = entity_changed(
        CREATE,
        actor=place.actor,
        workspace_id=workspace.id,
        entity_type="CSV import",
        entity_id=found.id,
        name=source,
        changes={
            "table": str(plan.table),
            "create": plan.create,
            "on_bad": plan.on_bad,
            "dry_run": plan.is_dry_run,
        },
    )

    async def act() -> Report:
        async with carried(
            place,
            entrance,
            workspace,
            "import",
            source,
            str(plan.table),
            tell=tell,
            openers=openers,
        ) as carrier:
            return await _Import(carrier, plan, chunks).run()

    return await audited(place.trail, event, act, place.warn)


class _Import:
    def __init__(self, carrier: Carrier, plan: Plan, chunks: Chunks) -> None:
        self._engine = carrier.engine
        self._session = carrier.session
        self._plan = plan
        self._chunks = chunks
        self._tell = carrier.tell
        self._report = Report()
        self._line_end = b"\n"

    async def run(self) -> Report:
        report, plan = self._report, self._plan
        header = await self._header()
        if plan.create:
            report.columns = await self._guessed(header)
        else:
            report.columns = await self._known(header)
        if plan.is_dry_run:
            async for piece in self._pieces():
                report.rows += _rows(piece)
            return report
        target = target_of(self._session, plan.table, report.columns)
        if plan.create and self._engine == "mysql":
            await self._into_new(target)
        else:
            async with target.transaction():
                if plan.create:
                    await self._create()
                await self._write(target)
        report.is_stored = True
        return report

    async def _into_new(self, target: Target) -> None:
        # In MySQL making a table ends the transaction, so that it is taken away by hand.
        await self._create()
        try:
            async with target.transaction():
                await self._write(target)
        except BaseException:
            # An import that is cancelled is undone too.
            if self._session.is_usable:
                table = self._plan.table.quoted(self._engine)
                await self._session.run(SqlText(f"DROP TABLE {table}", ()), (), Bounds(0))
            raise

    # --- the columns -------------------------------------------------------------------

    async def _header(self) -> tuple[str, ...]:
        async for line in read_pieces(self._chunks(), CsvReader()):
            assert isinstance(line, Line)
            if line.problem:
                raise ContentRefused.of(f"line 1: {line.problem}")
            try:
                return check_header(line.fields)
            except ValueError as error:
                raise ContentRefused.of(str(error)) from None
        raise ContentRefused.of("the file is empty")

    async def _guessed(self, header: Sequence[str]) -> tuple[tuple[str, str], ...]:
        reader = CsvReader()
        guesser = Guesser(len(header), reader)
        async for piece in read_pieces(self._chunks(), reader):
            if piece.number > 1:
                guesser.see(piece)
        return tuple(
            (name, guess.type_name(self._engine))
            for name, guess in zip(header, guesser.guesses, strict=True)
        )

    async def _known(self, header: Sequence[str]) -> tuple[tuple[str, str], ...]:
        # The server says which of the columns it does not have.
        names = columns_text(header, self._engine)
        table = self._plan.table.quoted(self._engine)
        text = SqlText(f"SELECT {names} FROM {table} WHERE 1 = 0", ())  # noqa: S608 - quoted names
        answer = await self._session.run(text, (), Bounds(1))
        return tuple(
            (name, column.type) for name, column in zip(header, answer.columns, strict=True)
        )

    async def _create(self) -> None:
        columns = ", ".join(
            f"{quoted(name, self._engine)} {kind}" for name, kind in self._report.columns
        )
        table = self._plan.table.quoted(self._engine)
        await self._session.run(SqlText(f"CREATE TABLE {table} ({columns})", ()), (), Bounds(0))

    # --- the lines ---------------------------------------------------------------------

    async def _pieces(self) -> AsyncIterator[Piece]:
        """The lines behind the header that nothing speaks against so far."""
        names = self._report.columns
        # The types of a table that is made are guessed from these very lines.
        types = ["" if self._plan.create else kind for _, kind in names]
        reader = CsvReader()
        async for piece in read_pieces(self._chunks(), reader, self._read):
            if isinstance(piece, Run):
                yield piece
            elif piece.number == 1:
                reader.pattern = known_pattern(types, reader.line_end)
                self._line_end = reader.line_end
            elif piece.fields != (None,) or len(names) == 1:
                problem = piece.problem or _problem(piece, names, is_checked=not self._plan.create)
                if problem:
                    self._refuse([BadLine(piece.number, problem)])
                else:
                    yield piece

    def _read(self, count: int) -> None:
        self._report.bytes += count
        self._told()

    async def _write(self, target: Target) -> None:
        batch: list[Piece] = []
        size = 0
        async for piece in self._pieces():
            for part in target.parts(piece):
                batch.append(part)
                size += _size(part)
                if len(batch) >= target.most or size >= BATCH_CHARACTERS:
                    await self._flush(target, batch)
                    batch, size = [], 0
        await self._flush(target, batch)

    async def _flush(self, target: Target, batch: Sequence[Piece]) -> None:
        if batch:
            bad = await _halved(target, batch, self._line_end)
            self._report.rows += sum(map(_rows, batch)) - len(bad)
            if bad:
                self._refuse(bad)
            self._told()

    def _refuse(self, bad: Sequence[BadLine]) -> None:
        report, plan = self._report, self._plan
        report.bad += bad[: MAX_BAD - len(report.bad)]
        self._told()
        if len(report.bad) >= MAX_BAD:
            raise ImportStopped(f"there are {MAX_BAD} bad lines, so nothing was imported", report)
        if plan.on_bad == "stop" and not plan.is_dry_run:
            first = report.bad[0]
            raise ImportStopped(
                f"nothing was imported: line {first.number}: {first.problem}", report
            )

    def _told(self) -> None:
        self._tell(Progress(self._report.rows, self._report.bytes, len(self._report.bad)))


async def read_pieces(
    chunks: AsyncIterator[bytes],
    reader: CsvReader,
    read: Callable[[int], None] = lambda count: None,
) -> AsyncIterator[Piece]:
    """The lines of a file; ``read`` is told how many bytes were taken."""
    async for data in chunks:
        read(len(data))
        for piece in reader.pieces(data):
            yield piece
    for piece in reader.pieces(b"", is_last=True):
        yield piece


def _rows(piece: Piece) -> int:
    return piece.rows if isinstance(piece, Run) else 1


def _size(piece: Piece) -> int:
    if isinstance(piece, Run):
        return len(piece.data)
    return sum([len(value) for value in piece.fields if value is not None])


def _problem(line: Line, columns: Sequence[tuple[str, str]], *, is_checked: bool) -> str | None:
    if len(line.fields) != len(columns):
        return f"the line has {len(line.fields)} fields, not {len(columns)}"
    if not is_checked:
        return None
    for value, (name, kind) in zip(line.fields, columns, strict=True):
        problem = problem_of(value, kind, name)
        if problem is not None:
            return problem
    return None


async def _halved(target: Target, batch: Sequence[Piece], line_end: bytes) -> list[BadLine]:
    """Write what can be written of a batch; the lines that cannot."""
    try:
        await target.write(batch, line_end)
    except StepFailed as failure:
        # A lost connection, a refusal by policy: no line's fault.
        if failure.is_transient or not failure.code.startswith(_BLAMED):
            raise
        first = batch[0]
        if len(batch) == 1 and isinstance(first, Line):
            return [BadLine(first.number, str(failure))]
        parts = first.lines() if len(batch) == 1 and isinstance(first, Run) else batch
        middle = len(parts) // 2
        bad = await _halved(target, parts[:middle], line_end) if middle else []
        return bad + await _halved(target, parts[middle:], line_end)
    return []


# PostgreSQL: data exceptions (22) and integrity constraints (23). MySQL's numbers of the same.
_BLAMED: Final = (
    *("22", "23"),
    *("1048", "1062", "1264", "1265", "1292", "1366", "1406", "1452", "3819", "4025", "1690"),
)
