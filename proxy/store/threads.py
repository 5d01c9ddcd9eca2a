"""SQLite's transactions, each from its beginning to its end in one thread.

SQLite waits for disks and locks, so it may not run on the event loop; and a driver that goes to a
thread for each of a statement's four steps pays thirty changes of threads for a login's look-ups.
What a transaction does is written for connections that are waited for, PostgreSQL's: here the
wait is over before it begins. Knows SQLAlchemy and no table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store.location import SqliteLocation

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")
Work = Callable[[AsyncConnection], Awaitable[T]]

THREADS = 5
"""Transactions at a time, each with a connection of its own; one of them writes."""


class SqliteThreads:
    """The threads and connections of one file. ``timeout`` is in seconds."""

    def __init__(self, location: SqliteLocation, timeout: float) -> None:
        self.engine = create_engine(
            URL.create("sqlite", database=str(location.path)),
            pool_size=THREADS,
            max_overflow=0,
            pool_timeout=timeout,
            hide_parameters=True,
            connect_args={"check_same_thread": False},
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._pragmas = sqlite_pragmas(timeout)
        # SQLite has one writer at a time. Waiting for one's turn here costs nothing;
        # waiting in SQLite is sleeping and trying again.
        self._writing = asyncio.Lock()
        event.listen(self.engine, "connect", self._set_up)
        event.listen(self.engine, "begin", _begin)

    async def run(self, work: Work[T], *, is_write: bool) -> T:
        """Do this work in a transaction. Where nobody waits for it any more it is done all the
        same, if it has begun.
        """
        if is_write:
            async with self._writing:
                return await self._in_thread(self._transaction, work, True)
        return await self._in_thread(self._transaction, work, False)

    async def checkpoint(self) -> None:
        """Move the write-ahead log into the file and empty it, if no reader is in it."""
        async with self._writing:
            await self._in_thread(self._checkpoint)

    async def close(self) -> None:
        """Close every connection, those in use when their work is done."""
        try:
            await self._in_thread(self.engine.dispose)
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, call: Callable[[Unpack[Arguments]], T], *given: *Arguments) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *given)

    def _transaction(self, work: Work[T], is_write: bool) -> T:
        with self.engine.connect() as connection:
            connection = connection.execution_options(is_write=is_write)
            with connection.begin():
                return _done(work(cast(AsyncConnection, _AtOnce(connection))))

    def _checkpoint(self) -> None:
        # Outside of a transaction: within one, SQLite answers that its table is locked.
        raw = self.engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            raw.close()

    def _set_up(self, connection: Any, _record: object) -> None:
        # The driver's own BEGIN is switched off for the one below, as SQLAlchemy's
        # manual says under "Serializable isolation / Savepoints / Transactional DDL".
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in self._pragmas:
            cursor.execute(pragma)
        cursor.close()


class _AtOnce:
    """A connection of this thread that looks like one to be waited for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect

    async def execute(self, *arguments: Any, **options: Any) -> Any:
        return self._connection.execute(*arguments, **options)

    async def scalar(self, *arguments: Any, **options: Any) -> Any:
        return self._connection.scalar(*arguments, **options)

    async def scalars(self, *arguments: Any, **options: Any) -> Any:
        return self._connection.scalars(*arguments, **options)

    async def exec_driver_sql(self, *arguments: Any, **options: Any) -> Any:
        return self._connection.exec_driver_sql(*arguments, **options)

    async def run_sync(self, work: Callable[..., T], *arguments: Any, **options: Any) -> T:
        return work(self._connection, *arguments, **options)


def _done(awaitable: Awaitable[T]) -> T:
    """What comes of work that waits for nothing but its connection."""
    try:
        next(awaitable.__await__())
    except StopIteration as end:
        return cast(T, end.value)
    raise RuntimeError("a transaction waited for something else than its connection")


def _begin(connection: Connection) -> None:
    # A deferred transaction that turns from reading to writing fails at once where
    # another has written meanwhile (SQLITE_BUSY_SNAPSHOT); IMMEDIATE waits instead.
    is_write = connection.get_execution_options().get("is_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


def sqlite_pragmas(timeout: float) -> tuple[str, ...]:
    """What every SQLite connection sets.

    ``synchronous=FULL``: a revocation that was answered survives a power cut.
    ``secure_delete``: deleted keys are overwritten in the file. ``busy_timeout`` ends
    before our own deadline does, so that the lock is given up in order.
    """
    return (
        f"PRAGMA busy_timeout = {int(timeout * 800)}",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
        "PRAGMA secure_delete = ON",
    )
