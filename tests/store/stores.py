"""Stores for tests: a SQLite file, or a fresh database in a real PostgreSQL."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.store import Store, Token, Workspace, new_id, new_token, verifiers_for
from tests.servers import roles
from tests.servers.postgres import PostgresServer
from vault import LocalKeyFile, Vault

KINDS = ("sqlite", "postgresql")


class SettableClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 4, 12, 30, 15, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **parts: float) -> None:
        self.now += timedelta(**parts)


def new_url(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of a store that does not exist yet."""
    if kind == "sqlite":
        return f"sqlite:///{folder}/store.db"
    return new_postgresql_url(request.getfixturevalue("postgres"))


def new_postgresql_url(server: PostgresServer) -> str:
    """The URL of a database that does not exist yet, reached with TLS."""
    database = f"store_{secrets.token_hex(6)}"
    server.execute(f"CREATE DATABASE {database}")
    return (
        f"postgresql://{roles.ADMIN.name}:{roles.ADMIN.password}"
        f"@{server.host}:{server.port}/{database}?sslmode=require"
    )


def make_vault(folder: Path) -> Vault:
    path = folder / "key"
    LocalKeyFile.create(path)
    return Vault(LocalKeyFile.load(path))


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Store]:
    # Where no test says otherwise a call may take as long as a busy machine needs.
    store = await Store.open(url, **{"timeout": 40.0, **options})
    try:
        yield store
    finally:
        await store.close()


async def a_workspace(store: Store, vault: Vault, name: str = "finance") -> Workspace:
    # One iteration: the count does not matter to any test of the store, its time does.
    return await store.create_workspace(name, vault.new_root_key(new_id()), scram_iterations=1)


async def a_token(store: Store, workspace: Workspace, **changes: Any) -> Token:
    verifier = verifiers_for(new_token(), workspace.scram_salt, workspace.scram_iterations)
    return await store.create_token(
        workspace, changes.get("label", "runtime"), changes.get("expires_at"), verifier
    )


def sql(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Do something behind the store's back, as an attacker or an operator might."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file, file:
            return list(file.execute(statement).fetchall())
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


async def run_sql(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Do the same in a thread, while the event loop goes on."""
    return await asyncio.to_thread(sql, url, statement)
