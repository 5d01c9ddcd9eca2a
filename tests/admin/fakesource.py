"""A data source without a proxy before it: what asyncpg's connection does for ``proxy.content``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from proxy.content.entrance import Door, Visit
from proxy.content.postgres import PostgresSession


@dataclass(frozen=True)
class Kind:
    name: str


@dataclass(frozen=True)
class Attribute:
    name: str
    type: Kind


class Prepared:
    """A query that gives two columns, and rows to a cursor; or a statement without rows."""

    def __init__(self, rows: list[tuple[Any, ...]] | None) -> None:
        self._has_rows = rows is not None
        self._rows = rows or []

    def get_parameters(self) -> list[Kind]:
        return []

    def get_attributes(self) -> list[Attribute]:
        if not self._has_rows:
            return []
        return [Attribute("id", Kind("int4")), Attribute("note", Kind("text"))]

    async def cursor(self) -> Prepared:
        return self

    def get_statusmsg(self) -> str:
        return "CREATE TABLE"

    async def fetch(self, most: int = 0) -> list[tuple[Any, ...]]:
        taken, self._rows = self._rows[:most], self._rows[most:]
        return taken


@dataclass
class FakeSource:
    """``rows``: what each query gives. ``pieces``: what COPY sends; then ``fails``, if it is set.

    ``stored`` is what was written and committed; ``visits`` who has logged in.
    """

    rows: list[tuple[Any, ...]] = field(default_factory=lambda: [(1, "one"), (2, None)])
    pieces: list[bytes] = field(default_factory=lambda: [b"1,one\n", b"2,\n"])
    fails: Exception | None = None
    refuses: asyncpg.PostgresError | None = None
    stored: list[bytes] = field(default_factory=list)
    visits: list[str] = field(default_factory=list)
    is_open: int = 0

    async def open(self, door: Door, visit: Visit, source: str) -> PostgresSession:
        """As ``PostgresSession.open``."""
        self.visits.append(f"{visit.workspace}/{source} {visit.name}")
        self.is_open += 1
        return PostgresSession(FakeConnection(self))


class FakeConnection:
    def __init__(self, source: FakeSource) -> None:
        self._source = source
        self._written: list[bytes] = []
        self._is_closed = False
        self._depth = 0

    def is_closed(self) -> bool:
        return self._is_closed

    async def close(self, timeout: float) -> None:
        self._is_closed = True
        self._source.is_open -= 1

    async def prepare(self, text: str) -> Prepared:
        if self._source.refuses is not None:
            raise self._source.refuses
        if text.startswith("CREATE"):
            return Prepared(None)
        # How an import asks for a table's columns.
        is_look = text.endswith("WHERE 1 = 0")
        return Prepared([] if is_look else list(self._source.rows))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        before = len(self._written)
        self._depth += 1
        try:
            yield
        except BaseException:
            del self._written[before:]
            raise
        finally:
            self._depth -= 1
        if self._depth == 0:
            self._source.stored += self._written
            self._written = []

    async def copy_from_query(
        self, query: str, *, output: Callable[[bytes], Awaitable[None]], format: str
    ) -> str:
        for piece in self._source.pieces:
            await output(piece)
        if self._source.fails is not None:
            raise self._source.fails
        return f"COPY {len(self._source.pieces)}"

    async def copy_to_table(
        self,
        name: str,
        *,
        schema_name: str | None,
        columns: list[str],
        source: AsyncIterator[bytes],
        format: str,
    ) -> None:
        async for data in source:
            self._written.append(data)
