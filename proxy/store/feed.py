"""The change feed: what changed in the store, soon after, and how sure we are of it.

A feed is an asynchronous iterator of ``Change`` without an end. ``confirmed_at`` is the
time (of the event loop's clock) at which the database last confirmed that everything
committed before it has been handed out; a reader that finds it too old must stop
believing what it has cached. Knows no cache.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import sqlite3
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Protocol

import aiosqlite
import asyncpg

from proxy.store.database import ASYNCPG_ERRORS, open_postgresql
from proxy.store.location import PostgresqlLocation, SqliteLocation
from proxy.store.records import Change, ChangeKind
from proxy.store.threads import sqlite_pragmas

CHANNEL = "accode_proxy_changes"
"""The PostgreSQL notification channel."""

POLL_SECONDS = 0.2
"""Between two looks at a SQLite store: a fifth of the second a change may take."""
KEEP_ALIVE_SECONDS = 0.3
"""Between two questions on the listening connection: three fit into that second."""
FRESH_SECONDS = 1.0
"""A feed without a confirmation for longer is not current, and what was refused meanwhile
has to be looked at again: when it is back, it says EVERYTHING once."""
GRACE_SECONDS = 0.05
"""How long the notification of a visible change may lag behind it."""
PROBE_TIMEOUT_SECONDS = 1.0
"""How long one look may take before the connection counts as lost."""
BACKOFF_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.0)
"""Before each new attempt to connect; the last is repeated."""
BATCH = 500
"""Changes taken at once; more at once are one ``everything``."""
QUEUE_LIMIT = 10_000
"""Notifications held; a reader this far behind gets one ``everything`` instead."""

EVERYTHING = Change(ChangeKind.EVERYTHING)


class ChangeFeed(Protocol):
    """What ``Store.watch`` gives."""

    @property
    def confirmed_at(self) -> float:
        """Event loop time up to which the feed is complete; -inf before the first look."""
        ...

    def __aiter__(self) -> AsyncIterator[Change]: ...

    async def __anext__(self) -> Change: ...

    async def confirmed(self) -> None:
        """Wait for the next confirmation, or for a hint that there may have been one."""
        ...

    async def aclose(self) -> None:
        """Give the connection back."""
        ...


def encode(seq: int, change: Change) -> str:
    """A notification's payload; far below PostgreSQL's limit of 8,000 bytes."""
    return json.dumps([seq, change.kind, change.workspace_id, change.object_id])


def decode(payload: str) -> tuple[int, Change]:
    """What ``encode`` wrote; EVERYTHING for a payload that is not understood."""
    try:
        seq, kind, workspace_id, object_id = json.loads(payload)
        return int(seq), Change(ChangeKind(kind), str(workspace_id), str(object_id))
    except (ValueError, TypeError):
        return 0, EVERYTHING


class _Confirmation:
    """When a feed was last known to be complete, and whether that came late."""

    def __init__(self) -> None:
        self.at = -math.inf
        self._is_told = False
        self._confirmed = asyncio.Event()

    def is_late(self, at: float) -> bool:
        """Confirm up to ``at``, or once, after a gap, say that EVERYTHING comes first."""
        gap = at - self.at
        if FRESH_SECONDS < gap < math.inf and not self._is_told:
            self._is_told = True
            return True
        self._is_told = False
        self.at = max(self.at, at)
        self._confirmed.set()
        return False

    async def wait(self) -> None:
        """Wait for the next; whoever waits already is woken by it, too."""
        self._confirmed.clear()
        await self._confirmed.wait()


class _ConfirmedFeed:
    """What both feeds tell of their completeness."""

    def __init__(self) -> None:
        self._confirmation = _Confirmation()

    @property
    def confirmed_at(self) -> float:
        """See ``ChangeFeed``."""
        return self._confirmation.at

    async def confirmed(self) -> None:
        """See ``ChangeFeed``."""
        await self._confirmation.wait()


class SqliteFeed(_ConfirmedFeed):
    """Looks for new rows of ``changes`` by primary key, on a connection of its own.

    SQLite has one writer at a time, so rows become visible in the order of ``seq``.
    """

    def __init__(self, location: SqliteLocation, timeout: float) -> None:
        super().__init__()
        self._location = location
        self._timeout = timeout
        self._connection: aiosqlite.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._last: int | None = None
        self._pending: deque[Change] = deque()
        self._looked_at = -math.inf
        self._failures = 0

    def __aiter__(self) -> SqliteFeed:
        return self

    async def __anext__(self) -> Change:
        """Wait for the next change; looks again at most every POLL_SECONDS."""
        loop = asyncio.get_running_loop()
        while True:
            if self._pending:
                return self._pending.popleft()
            # Everything found at the last look has been handed out and worked off.
            if self._confirmation.is_late(self._looked_at):
                return EVERYTHING
            await asyncio.sleep(self._pause())
            started = loop.time()
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                    await self._look()
            except (sqlite3.Error, OSError, TimeoutError, ValueError):
                # ValueError is aiosqlite's word for a connection that is closed.
                self._failures += 1
                self._drop()
            else:
                self._failures = 0
                self._looked_at = started

    async def aclose(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _pause(self) -> float:
        if self._connection is None and not self._failures:
            return 0.0
        return POLL_SECONDS

    async def _look(self) -> None:
        self._check_file()
        if self._connection is None:
            self._connection = await aiosqlite.connect(self._location.path, isolation_level=None)
            for pragma in sqlite_pragmas(self._timeout):
                await self._connection.execute_fetchall(pragma)
        if self._last is None:
            self._last = await self._newest()
            # The reader may have read before this first look.
            self._pending.append(EVERYTHING)
            return
        rows = await self._rows(
            "SELECT seq, kind, workspace_id, object_id FROM changes"
            " WHERE seq > ? ORDER BY seq LIMIT ?",
            (self._last, BATCH),
        )
        if not rows:
            return
        if len(rows) == BATCH or rows[0][0] != self._last + 1:
            # Too many to tell one by one, or older ones were trimmed unseen.
            self._last = await self._newest()
            self._pending.append(EVERYTHING)
            return
        self._last = int(rows[-1][0])
        self._pending.extend(Change(ChangeKind(row[1]), row[2], row[3]) for row in rows)

    def _check_file(self) -> None:
        """Raise OSError where the path leads to another file than at the first look.

        Every connection of this process would go on with the file that was moved away
        or deleted, and see no revocation made in the one that took its place.
        """
        status = os.stat(self._location.path)
        file = (status.st_dev, status.st_ino)
        if self._file is None:
            self._file = file
        if file != self._file:
            raise FileNotFoundError("the store's file was replaced")

    async def _newest(self) -> int:
        rows = await self._rows("SELECT coalesce(max(seq), 0) FROM changes", ())
        return int(rows[0][0])

    async def _rows(self, sql: str, parameters: tuple[int, ...]) -> list[Any]:
        assert self._connection is not None
        return list(await self._connection.execute_fetchall(sql, parameters))

    def _drop(self) -> None:
        # Not awaited: the connection's thread ends by itself once its query does.
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.stop()


class PostgresqlFeed(_ConfirmedFeed):
    """Listens on a connection of its own, and asks it regularly whether all was heard.

    Notifications arrive in the order of commits (manual, NOTIFY). Each question also
    reads the newest ``seq``: one still unheard of at the next question means that
    notifications do not reach us, as behind a transaction pooler.
    """

    def __init__(self, location: PostgresqlLocation, timeout: float) -> None:
        super().__init__()
        self._location = location
        self._timeout = timeout
        self._connection: asyncpg.Connection | None = None
        self._pending: deque[Change] = deque()
        self._arrived = asyncio.Event()
        self._asked_at = -math.inf
        self._next_question = -math.inf
        self._heard = 0
        self._missing = 0
        self._failures = 0

    def __aiter__(self) -> PostgresqlFeed:
        return self

    async def __anext__(self) -> Change:
        """Wait for the next change; after a reconnection the first is EVERYTHING."""
        loop = asyncio.get_running_loop()
        while True:
            if self._pending:
                return self._pending.popleft()
            # Everything heard before the last question has been handed out.
            if self._confirmation.is_late(self._asked_at):
                return EVERYTHING
            try:
                if self._connection is None:
                    await self._connect(loop)
                elif loop.time() >= self._next_question:
                    await self._ask(loop)
                else:
                    await self._hear(self._next_question)
            except (*ASYNCPG_ERRORS, OSError, TimeoutError):
                self._lose()

    async def aclose(self) -> None:
        """Close the connection without waiting for a server that may be gone."""
        self._lose()

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._failures:
            await asyncio.sleep(BACKOFF_SECONDS[min(self._failures, len(BACKOFF_SECONDS)) - 1])
        self._failures += 1
        connection = await open_postgresql(self._location, PROBE_TIMEOUT_SECONDS)
        self._connection = connection
        # It may be lost, and no longer be ours, while one of the next questions waits.
        connection.add_termination_listener(self._on_lost)
        await connection.add_listener(CHANNEL, self._on_notification)
        started = loop.time()
        self._heard = await self._newest(connection)
        self._missing = 0
        self._failures = 0
        self._asked_at = started
        self._next_question = started + KEEP_ALIVE_SECONDS
        # What was committed while nobody listened was missed.
        self._pending.clear()
        self._pending.append(EVERYTHING)

    async def _hear(self, until: float) -> None:
        self._arrived.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._arrived.wait()

    async def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        started = loop.time()
        assert self._connection is not None
        newest = await self._newest(self._connection)
        if newest <= self._heard:
            self._missing = 0
            self._asked_at = started
            self._next_question = started + KEEP_ALIVE_SECONDS
        elif not self._missing:
            # A commit shows in a query a moment before its notification is sent.
            self._missing = newest
            self._next_question = started + GRACE_SECONDS
        else:
            self._heard = newest
            self._missing = 0
            self._next_question = started
            self._pending.append(EVERYTHING)

    async def _newest(self, connection: asyncpg.Connection) -> int:
        return int(
            await connection.fetchval(
                "SELECT coalesce(max(seq), 0) FROM changes", timeout=PROBE_TIMEOUT_SECONDS
            )
        )

    def _on_notification(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        seq, change = decode(str(payload))
        self._heard = max(self._heard, seq)
        if len(self._pending) >= QUEUE_LIMIT:
            self._pending.clear()
            change = EVERYTHING
        self._pending.append(change)
        self._arrived.set()

    def _on_lost(self, connection: Any) -> None:
        if connection is self._connection:
            self._connection = None
        self._arrived.set()

    def _lose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


def open_feed(location: SqliteLocation | PostgresqlLocation, timeout: float) -> ChangeFeed:
    """The feed of a store. ``timeout`` is the store's, in seconds."""
    if isinstance(location, SqliteLocation):
        return SqliteFeed(location, timeout)
    return PostgresqlFeed(location, timeout)
