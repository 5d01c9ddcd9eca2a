"""A query through the proxy by an ordinary driver of each protocol. Knows no secret but a token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import asyncpg
import pymysql


@dataclass(frozen=True, slots=True)
class Way:
    """From a client to one source through the proxy. ``ca``: what signed the listener."""

    workspace: str
    token: str
    source: str
    port: int
    dsn: str
    ca: Path


@dataclass(frozen=True, slots=True)
class Example:
    """A query of one protocol: its text, the driver's name, and how it is run."""

    text: str
    driver: str
    run: Callable[[Way, str], Awaitable[list[Any]]]
    paste: Callable[[Way], list[str]]
    """The lines to paste into a terminal."""


async def _by_asyncpg(way: Way, text: str) -> list[Any]:
    connection = await asyncpg.connect(way.dsn)
    try:
        return list((await connection.fetch(text))[0])
    finally:
        await connection.close()


async def _by_pymysql(way: Way, text: str) -> list[Any]:
    def work() -> list[Any]:
        with (
            pymysql.connect(
                host="127.0.0.1",
                port=way.port,
                user=way.workspace,
                password=way.token,
                database=way.source,
                ssl_ca=str(way.ca),
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(text)
            return list(cursor.fetchone())

    return await asyncio.to_thread(work)


def _psql(way: Way) -> list[str]:
    return [f"psql {quote(way.dsn)}"]


def _mysql(way: Way) -> list[str]:
    # The token in the environment: an argument is in the process list.
    options = f"--host=127.0.0.1 --port={way.port} --user={way.workspace} --ssl-ca={way.ca}"
    return [
        f"MYSQL_PWD={quote(way.token)} mariadb {options} {way.source}",
        f"or mysql in its place, or in a program: {way.dsn}",
    ]


EXAMPLES = {
    "postgresql": Example(
        "SELECT 'hello from ' || current_user AS greeting, version()",
        "asyncpg",
        _by_asyncpg,
        _psql,
    ),
    "mysql": Example(
        "SELECT CONCAT('hello from ', CURRENT_USER()) AS greeting, VERSION()",
        "PyMySQL",
        _by_pymysql,
        _mysql,
    ),
}
"""One for each engine."""
