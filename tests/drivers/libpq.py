"""psycopg 3 for scripts: sessions, and everything that an answer or an error shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg

from tests.drivers.routes import SCHEMA, Leg, dsn

Connection = psycopg.Connection[Any]


@contextmanager
def connected(leg: Leg, **params: Any) -> Iterator[Connection]:
    # Closed by itself: a connection's own `with` first commits, and does not close where
    # that fails, as it does in a COPY that was left early.
    with closing(
        psycopg.connect(dsn(leg, options=f"-c search_path={SCHEMA}", **params), autocommit=True)
    ) as connection:
        yield connection


def error_of(error: psycopg.Error) -> tuple[Any, ...]:
    d = error.diag
    return (
        type(error).__name__,
        error.sqlstate,
        d.severity_nonlocalized,
        d.message_primary,
        d.message_detail,
        d.message_hint,
        d.statement_position,
        d.internal_query,
        d.context,
        d.schema_name,
        d.table_name,
        d.column_name,
        d.constraint_name,
        d.source_function,
    )


def attempt(work: Callable[..., Any], *arguments: Any) -> Any:
    """What came of it: a value, or the whole of an error."""
    try:
        return work(*arguments)
    except psycopg.Error as error:
        return error_of(error)


def seen(cursor: psycopg.Cursor[Any]) -> list[Any]:
    """Status, columns with their types, row count and rows of every result."""
    results: list[Any] = []
    while True:
        columns = [(c.name, c.type_code, c.display_size) for c in cursor.description or ()]
        rows = cursor.fetchall() if cursor.description else None
        results.append((cursor.statusmessage, cursor.rowcount, columns, rows))
        if not cursor.nextset():
            return results
