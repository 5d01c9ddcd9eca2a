"""One database with a deadline on every use. Knows drivers; knows no table.

Every call either returns in time or raises a ``StoreError`` of ours. No text of a
driver gets out of here: it may hold a connection string or a stored value.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from proxy.store.errors import StoreUnavailable
from proxy.store.location import PostgresqlLocation, SqliteLocation
from proxy.store.threads import SqliteThreads, Work

T = TypeVar("T")

ASYNCPG_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # What it says of a connection that has told a fatal error and is not closed yet.
    asyncpg.InternalClientError,
)
"""All that asyncpg raises of its own: they have no base in common."""

_DRIVER_ERRORS = (
    SQLAlchemyError,
    *ASYNCPG_ERRORS,
    sqlite3.Error,
    OSError,
    TimeoutError,
)

CONNECT_SECONDS = 5.0
"""To connect, also where the work itself may take longer."""

POOL_SIZE = 5
"""Connections: logins need a few milliseconds each, and are cached."""


class Database:
    """A pool of connections, one transaction per call. ``timeout`` is in seconds."""

    def __init__(self, location: SqliteLocation | PostgresqlLocation, timeout: float) -> None:
        self.location = location
        self.timeout = timeout
        self._abandoned: set[asyncio.Task[Any]] = set()
        self._engine: SqliteThreads | _PostgresqlEngine
        if isinstance(location, SqliteLocation):
            self._engine = SqliteThreads(location, timeout)
        else:
            self._engine = _PostgresqlEngine(location, timeout)

    async def read(self, work: Work[T]) -> T:
        """Run queries in one transaction. Raises StoreUnavailable, and what ``work`` raises."""
        return await self._within(self._engine.run(work, is_write=False))

    async def write(self, work: Work[T]) -> T:
        """Run changes in one transaction: all or nothing.

        After a StoreUnavailable it is unknown whether they were made.
        """
        return await self._within(self._engine.run(work, is_write=True))

    async def empty_log(self) -> None:
        """SQLite: move the write-ahead log into the file and empty it, if no reader is in it."""
        if isinstance(self._engine, SqliteThreads):
            await self._within(self._engine.checkpoint())

    async def close(self) -> None:
        """Close every connection; bounded by the timeout."""
        await self._within(self._engine.close())
        for task in tuple(self._abandoned):
            task.cancel()
        await asyncio.gather(*self._abandoned, return_exceptions=True)

    async def _within(self, work: Awaitable[T]) -> T:
        """Await with a deadline that holds even where the driver's clean-up hangs.

        A cancelled driver first tries to say goodbye to a server that may be frozen, so
        a late task is left to end by itself, with a reference kept.
        """
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait((task,), timeout=self.timeout)
        except asyncio.CancelledError:
            self._abandon(task)
            raise
        if not task.done():
            self._abandon(task)
            raise StoreUnavailable(f"the store did not answer within {self.timeout:g} seconds")
        try:
            return task.result()
        except _DRIVER_ERRORS:
            # "from None": the driver's text would show the DSN or a row in a traceback.
            raise StoreUnavailable("the store's database cannot be reached or used") from None

    def _abandon(self, task: asyncio.Future[Any]) -> None:
        assert isinstance(task, asyncio.Task)
        task.cancel()
        self._abandoned.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.discard(task)
        # Asked for, so that asyncio does not report an error nobody waits for.
        if not task.cancelled():
            task.exception()


async def open_postgresql(location: PostgresqlLocation, timeout: float) -> asyncpg.Connection:
    """A new connection, with the server's own deadlines beside ours."""
    connection: asyncpg.Connection = await asyncpg.connect(
        location.dsn,
        timeout=min(timeout, CONNECT_SECONDS),
        command_timeout=timeout,
        server_settings={
            "application_name": "accode-proxy store",
            # Whatever the server's default: a revocation that was answered survives a crash.
            "synchronous_commit": "on",
            "statement_timeout": str(int(timeout * 1000)),
            "idle_in_transaction_session_timeout": str(int(timeout * 1000)),
        },
    )
    return connection


class _PostgresqlEngine:
    """asyncpg's connections. As ``SqliteThreads``, one transaction for each work."""

    def __init__(self, location: PostgresqlLocation, timeout: float) -> None:
        async def connect(*_: object, **__: object) -> asyncpg.Connection:
            return await open_postgresql(location, timeout)

        # The connection is made by us, so that SQLAlchemy never holds the DSN.
        self._engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect,
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=timeout,
            pool_pre_ping=True,
            hide_parameters=True,
        )

    async def run(self, work: Work[T], *, is_write: bool) -> T:
        """Do this work in a transaction; PostgreSQL needs not to know whether it writes."""
        async with self._engine.begin() as connection:
            return await work(connection)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()
